"""scratch.computation_graph: both ways to accumulate, against TensorFlow."""

import math

import pytest
import tensorflow as tf

from kerasd2l.scratch import computation_graph as graph


def f(x, y, exp):
    shared = x * y - 3
    return exp(shared) * shared + 2 * x - (1 - y) ** 3 + x * x


def test_forward_reverse_and_tape_agree():
    x, y = graph.Node(0.7), graph.Node(1.3)
    z = f(x, y, graph.exp)
    v, w = tf.Variable(0.7, dtype=tf.float64), tf.Variable(1.3, dtype=tf.float64)
    with tf.GradientTape() as tape:
        expected = f(v, w, tf.exp)
    gradients = [float(g) for g in tape.gradient(expected, [v, w])]
    assert z.value == pytest.approx(float(expected), abs=1e-12)
    downwards, visits = graph.reverse(z, [x, y])
    assert downwards == pytest.approx(gradients, abs=1e-12)
    upwards = [graph.forward(z, variable) for variable in (x, y)]
    assert [derivative for derivative, _ in upwards] == pytest.approx(gradients, abs=1e-12)
    # one walk for all variables against one for each: S1-course-notes.md:59-72
    assert sum(count for _, count in upwards) == 2 * visits


def test_each_node_is_visited_once():
    x = graph.Node(1.0)
    y = x
    for _ in range(60):  # 2^60 ways from y to x
        y = y * 0.5 + y * 0.5
    (gradient,), visits = graph.reverse(y, [x])
    assert gradient == 1.0
    assert visits < 400
    assert graph.forward(y, x)[0] == 1.0


def test_detached_and_unused_variables():
    x, unused = graph.Node(3.0), graph.Node(5.0)
    square = x * x
    assert graph.reverse(graph.detach(square) * x, [x, unused])[0] == [9.0, 0.0]
    assert graph.reverse(square * x, [x])[0] == [27.0]
    assert graph.forward(square, unused)[0] == 0.0
    assert graph.reverse(x, [x])[0] == [1.0]


def test_a_long_chain_needs_no_recursion():
    x = graph.Node(0.0)
    y = x
    for _ in range(5000):
        y = y + 1
    assert graph.reverse(graph.exp(y * 0.0), [x])[0] == [0.0]
    assert y.value == 5000 and math.isclose(graph.forward(y, x)[0], 1.0)
