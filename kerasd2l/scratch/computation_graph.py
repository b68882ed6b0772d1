"""Automatic differentiation by hand: a graph of numbers, walked forwards and backwards.

A node knows its value, the nodes that it was computed from, and the derivative by each of them. The
graph comes into being while the program runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


class Node:
    """A number in a computation graph.

    Section: "autograd".

    Args:
        value: float.
        inputs: (node, derivative of this node by it) pairs; empty for a variable.

    Example:
        >>> x = Node(3.0)
        >>> y = 2 * x * x
        >>> gradients, visits = reverse(y, [x])
        >>> y.value, gradients
        (18.0, [12.0])
    """

    def __init__(self, value: float, inputs: Sequence[tuple[Node, float]] = ()):
        self.value = float(value)
        self.inputs = tuple(inputs)

    def __add__(self, other):
        other = _node(other)
        return Node(self.value + other.value, [(self, 1.0), (other, 1.0)])

    def __mul__(self, other):
        other = _node(other)
        return Node(self.value * other.value, [(self, other.value), (other, self.value)])

    def __pow__(self, exponent: float):
        slope = exponent * self.value ** (exponent - 1)
        return Node(self.value**exponent, [(self, slope)])

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -_node(other)

    def __rsub__(self, other):
        return _node(other) - self

    __radd__, __rmul__ = __add__, __mul__


def exp(x: Node) -> Node:
    """Return e^x."""
    value = math.exp(x.value)
    return Node(value, [(x, value)])


def detach(x: Node) -> Node:
    """Return the same number without its past: a constant."""
    return Node(x.value)


def forward(y: Node, x: Node) -> tuple[float, int]:
    """Compute dy/dx from the inputs up: each node gets its derivative by x as soon as its inputs.

    du/dx = sum over the inputs v of u: du/dv dv/dx. Section: "autograd".

    Args:
        y: the result.
        x: one variable; every other one needs a walk of its own.

    Returns:
        The derivative, and the number of nodes that were visited.
    """
    order = _sorted(y)
    tangent: dict[int, float] = {}
    for node in order:
        from_inputs = sum(slope * tangent[id(source)] for source, slope in node.inputs)
        tangent[id(node)] = 1.0 if node is x else float(from_inputs)
    return tangent[id(y)], len(order)


def reverse(y: Node, variables: Sequence[Node]) -> tuple[list[float], int]:
    """Compute dy/dx for all variables from the result down: backpropagation.

    dy/dv = sum over the nodes u made from v: dy/du du/dv. Section: "autograd".

    Args:
        y: the result.
        variables: what to differentiate by; one that y does not depend on gets 0.

    Returns:
        The derivatives, and the number of nodes that were visited: one walk, however many
        variables. All values in between must still be there.
    """
    order = _sorted(y)
    gradient = {id(node): 0.0 for node in order}
    gradient[id(y)] = 1.0
    for node in reversed(order):
        for source, slope in node.inputs:
            gradient[id(source)] += gradient[id(node)] * slope
    return [gradient.get(id(variable), 0.0) for variable in variables], len(order)


def _node(value: Node | float) -> Node:
    return value if isinstance(value, Node) else Node(value)


def _sorted(y: Node) -> list[Node]:
    """Return all nodes that y depends on, inputs before what is made of them."""
    order: list[Node] = []
    seen: set[int] = set()
    stack = [(y, False)]
    while stack:
        node, inputs_done = stack.pop()
        if inputs_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((source, False) for source, _ in node.inputs)
    return order
