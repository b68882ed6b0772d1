"""How the weights of a Transformer are cut over devices: for `keras.distribution`.

Keras has it on its JAX backend only.
"""

from __future__ import annotations

from typing import Any

import keras

# What is cut by columns gives each device some of the heads, or some of the units, and needs no
# communication; what comes next is cut by rows, and its results are added up.
_COLUMNS = (
    r".*attention/W_[qkv]/kernel",
    r".*ffn/dense1/kernel",
    r".*embedding/embeddings",
    r".*decoder/dense/kernel",
)
_ROWS = (r".*attention/W_o/kernel", r".*ffn/dense2/kernel")
_VECTORS = (r".*attention/W_[qkv]/bias", r".*ffn/dense1/bias", r".*decoder/dense/bias")


def transformer_layout(device_mesh: Any, axis: str = "model") -> Any:
    """Return the layout that cuts a Transformer of this library over an axis of devices.

    W_q, W_k, W_v and the first layer of each feed-forward network are cut by columns, W_o and the
    second one by rows, embeddings and the last layer by columns; norms are everywhere. Section:
    "multiple-gpus". For `models.transformer` and its encoder; the axis must divide the heads, the
    hidden units and the vocabulary.

        mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"))
        keras.distribution.set_distribution(keras.distribution.ModelParallel(
            layout_map=transformer_layout(mesh), batch_dim_name="batch"))
        net = transformer(200, 200)

    Args:
        device_mesh: `keras.distribution.DeviceMesh`.
        axis: str, the name of its axis that weights are cut over. Default: "model".

    Returns:
        `keras.distribution.LayoutMap`.

    Raises:
        ValueError: an axis that the mesh has not.

    Reference:
        Shoeybi et al., Megatron-LM: training multi-billion parameter language models using model
        parallelism, 2019.
    """
    if axis not in device_mesh.axis_names:
        raise ValueError(
            f"`axis` must be one of the mesh's {list(device_mesh.axis_names)}. "
            f"Received: axis={axis!r}."
        )
    layout = keras.distribution.LayoutMap(device_mesh)
    for pattern in _COLUMNS:
        layout[pattern] = (None, axis)
    for pattern in _ROWS:
        layout[pattern] = (axis, None)
    for pattern in _VECTORS:
        layout[pattern] = (axis,)
    return layout
