"""Optimizers whose formula is the book's where Keras has another one; on `keras.ops` only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("kerasd2l")
class Adam(keras.optimizers.Adam):
    """Adam as in the book and in PyTorch: epsilon is added after the bias correction.

    w -= learning_rate m' / (sqrt(v') + epsilon), m' = m / (1 - beta_1^t), v' = v / (1 - beta_2^t).
    Section: "adam". `keras.optimizers.Adam` adds epsilon to sqrt(v) instead, which is as much as
    epsilon / sqrt(1 - beta_2^t) here: at step 1 the 30-fold. Where gradients are as small as that
    its first updates are smaller, of a gradient of 1e-6 by a quarter.

    Args:
        learning_rate: float, or a schedule. Default: 0.001.
        beta_1: float in [0, 1), of the mean m of gradients. Default: 0.9.
        beta_2: float in [0, 1), of the mean v of their squares. Default: 0.999.
        epsilon: float > 0. Default: 1e-8, as in PyTorch.
        l2_decay: float >= 0, adds l2_decay w to the gradient of w: the `weight_decay` of PyTorch's
            Adam. Default: 0. Keras' `weight_decay` shrinks w beside the gradient, as AdamW does.
        **kwargs: of `keras.optimizers.Adam`: amsgrad, global_clipnorm, ...

    Raises:
        ValueError: a negative `l2_decay`.

    Example:
        >>> w = keras.Variable([1.0])
        >>> Adam(0.5).apply([ops.convert_to_tensor([1e-8])], [w])
        >>> round(float(w[0]), 3)
        0.75

    Reference:
        Kingma, Ba, Adam: a method for stochastic optimization, 2015.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        l2_decay: float = 0.0,
        **kwargs: Any,
    ):
        if l2_decay < 0:
            raise ValueError(f"`l2_decay` must be at least 0. Received: l2_decay={l2_decay}.")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.l2_decay = l2_decay
        # dtype -> what all weights of a step share; None: no step is being made
        self._factors: dict[str, tuple[Any, Any]] | None = None

    def apply(self, grads, trainable_variables=None):
        self._factors = {}
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._factors = None

    def update_step(self, gradient, variable, learning_rate):
        size, epsilon = self._of_this_step(variable.dtype, learning_rate)
        gradient = ops.cast(gradient, variable.dtype)
        if self.l2_decay:
            gradient = ops.add(gradient, ops.multiply(variable, self.l2_decay))
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, ops.multiply(ops.subtract(gradient, m), 1 - self.beta_1))
        self.assign_add(v, ops.multiply(ops.subtract(ops.square(gradient), v), 1 - self.beta_2))
        if self.amsgrad:
            largest = self._velocity_hats[index]
            self.assign(largest, ops.maximum(largest, v))
            v = largest
        change = ops.divide(ops.multiply(m, size), ops.add(ops.sqrt(v), epsilon))
        self.assign_sub(variable, change)

    def _of_this_step(self, dtype: str, learning_rate: Any) -> tuple[Any, Any]:
        """Return the rate and the epsilon that all weights share, with both corrections in.

        Computed for each weight, as Keras' Adam does, they made the graph of a step of YOLO, which
        has 114 weights, half as large again; all of it is traced before the first step.
        """
        factors = {} if self._factors is None else self._factors
        if dtype not in factors:
            step = ops.cast(self.iterations + 1, dtype)
            first = 1 - ops.power(ops.cast(self.beta_1, dtype), step)
            second = ops.sqrt(1 - ops.power(ops.cast(self.beta_2, dtype), step))
            size = ops.cast(learning_rate, dtype) * second / first
            factors[dtype] = size, self.epsilon * second
        return factors[dtype]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"l2_decay": self.l2_decay}


@keras.saving.register_keras_serializable("kerasd2l")
class SGD(keras.optimizers.SGD):
    """Stochastic gradient descent with L2 decay, and another rate and decay for some layers.

    g' = f (g + d w), w -= learning_rate g', with the factor f and the decay d of the weight's
    group; with momentum v = momentum v + learning_rate g'. Sections: "fine-tuning", where the head
    learns ten times as quickly as the body that was trained before; "fcn", "kaggle-cifar10". It is
    PyTorch's SGD with its `weight_decay` and parameter groups. Keras' `weight_decay` shrinks w
    beside the gradient; with momentum that is another step.

    Args:
        learning_rate: float, or a schedule. Default: 0.01.
        momentum: float in [0, 1). Default: 0.
        l2_decay: float >= 0, d of all weights that no group decays otherwise. Default: 0.
        groups: layer name -> {"rate": factor, "l2_decay": d}, both optional. A weight belongs to
            the group whose name is a part of its path. Default: none.
        **kwargs: of `keras.optimizers.SGD`: nesterov, ... Gradients that are clipped are clipped
            with factor and decay in them.

    Raises:
        ValueError: a negative number, or another key in a group; and when it is built, a group
            without weights.

    Example:
        >>> w = keras.Variable([1.0], name="logits")
        >>> sgd = SGD(0.1, groups={"logits": {"rate": 10.0}})
        >>> sgd.apply([ops.convert_to_tensor([0.5])], [w])
        >>> float(w[0])
        0.5
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        l2_decay: float = 0.0,
        groups: Mapping[str, Mapping[str, float]] | None = None,
        **kwargs: Any,
    ):
        super().__init__(learning_rate, momentum, **kwargs)
        self.l2_decay, self.groups = l2_decay, {k: dict(v) for k, v in (groups or {}).items()}
        for name, group in {"": {"l2_decay": l2_decay}, **self.groups}.items():
            wrong = {k: v for k, v in group.items() if k not in ("rate", "l2_decay") or v < 0}
            if wrong:
                raise ValueError(
                    "`l2_decay`, and `rate` and `l2_decay` of a group, must be at least 0. "
                    f"Received: {name or 'all weights'}: {wrong}."
                )

    def build(self, variables):
        paths = [variable.path.split("/") for variable in variables]
        for name in self.groups:
            if variables and not any(name in path for path in paths):
                raise ValueError(
                    f"`groups` must be of layers that are trained. Received: {name!r}, which no "
                    f"weight belongs to, e.g. not {'/'.join(paths[-1])}."
                )
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        if trainable_variables is None:
            raise ValueError("`trainable_variables` must be given: their names tell the groups.")
        variables = list(trainable_variables)
        changed = [
            grad if grad is None else self._changed(grad, variable)
            for grad, variable in zip(grads, variables, strict=True)
        ]
        return super().apply(changed, variables)

    def _changed(self, grad: Any, variable: Any) -> Any:
        """Return rate (gradient + d w)."""
        parts = variable.path.split("/")
        group = next((self.groups[name] for name in self.groups if name in parts), {})
        rate, decay = group.get("rate", 1.0), group.get("l2_decay", self.l2_decay)
        if decay:
            grad = ops.add(grad, ops.multiply(ops.convert_to_tensor(variable), decay))
        return grad if rate == 1 else ops.multiply(grad, rate)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"l2_decay": self.l2_decay, "groups": self.groups}
