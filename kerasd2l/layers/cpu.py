"""Where layers compute: some have a quicker way with TensorFlow on a CPU, or another for XLA."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras


def on_tensorflow_cpu() -> bool:
    """Return whether the backend is TensorFlow, on a machine without a GPU that it may use."""
    return keras.backend.backend() == "tensorflow" and _quick_without_gpu()


def traced_for_xla() -> bool:
    """Return whether TensorFlow traces this for XLA: `tf.function(..., jit_compile=True)`."""
    return keras.backend.backend() == "tensorflow" and _quick_is_for_xla()


def _quick_is_for_xla() -> bool:
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util  # TensorFlow tells it nowhere else

    return control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


@functools.lru_cache
def _quick_without_gpu() -> bool:
    import tensorflow as tf

    return not tf.config.get_visible_devices("GPU")


@functools.lru_cache
def groups_at_once() -> bool:
    """Return whether TensorFlow has the gradients of grouped convolutions here: oneDNN has."""
    return on_tensorflow_cpu() and _quick_trial()


def _quick_trial() -> bool:
    import tensorflow as tf

    with tf.init_scope():  # eager, where no tape records: the gradients are asked for by themselves
        x, kernel = tf.ones((1, 3, 3, 4)), tf.ones((3, 3, 2, 4))
        options = {"out_backprop": x, "strides": [1, 1, 1, 1], "padding": "SAME"}
        try:
            tf.raw_ops.Conv2DBackpropInput(input_sizes=x.shape, filter=kernel, **options)
            tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=kernel.shape, **options)
        except (tf.errors.OpError, ValueError):
            return False
    return True


def as_one_graph(function: Callable) -> Callable:
    """Let TensorFlow run a function of many small operations as one graph, in eager mode as well.

    Numbers among its arguments become tensors, so that another one makes no other graph. Other
    backends call it as it is.
    """
    graph = functools.cache(lambda: _quick_graph(function))

    @functools.wraps(function)
    def call(*arguments):
        given = [
            keras.ops.convert_to_tensor(x, "float32") if isinstance(x, float) else x
            for x in arguments
        ]
        return (graph() if _quick_and_eager() else function)(*given)

    return call


def _quick_graph(function: Callable) -> Callable:
    import tensorflow as tf

    return tf.function(function, reduce_retracing=True, autograph=False)


def fused(function: Callable) -> Callable:
    """Let XLA make one loop of a function that does many small things to the same large arrays.

    On TensorFlow's CPU only, where each operation is a way through memory of its own. A shape that
    is new is compiled anew: for functions that meet few of them.
    """
    compiled = functools.cache(lambda: _quick_compiled(function))

    @functools.wraps(function)
    def call(*arguments):
        return (compiled() if on_tensorflow_cpu() else function)(*arguments)

    return call


def _quick_compiled(function: Callable) -> Callable:
    import tensorflow as tf

    return tf.function(function, jit_compile=True, reduce_retracing=True, autograph=False)


def _quick_and_eager() -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.executing_eagerly()
