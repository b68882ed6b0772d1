"""Keras layers that models share or that the book teaches, e.g. `from kerasd2l.layers import Fold`.

What Keras has already is not here: Dropout over whole channels is SpatialDropout, zero padding is
ZeroPadding, nearest-neighbour upsampling is UpSampling2D, a depthwise-separable convolution is
DepthwiseConv2D followed by Conv2D(filters, 1).

Names load on first use. `from kerasd2l.layers import *` loads all, which makes them known to
`keras.saving.load_model`.
"""

from kerasd2l._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AdaptiveAveragePooling1D": "pooling",
        "AdaptiveAveragePooling2D": "pooling",
        "AdaptiveAveragePooling3D": "pooling",
        "AdaptiveMaxPooling1D": "pooling",
        "AdaptiveMaxPooling2D": "pooling",
        "AdaptiveMaxPooling3D": "pooling",
        "BatchNormalization": "batch_normalization",
        "BilinearUpSampling2D": "upsampling",
        "CenteredLayer": "custom",
        "Conv2D": "convolution",
        "ConstantPadding1D": "padding",
        "ConstantPadding2D": "padding",
        "ConstantPadding3D": "padding",
        "Embedding": "embedding",
        "Fold": "folding",
        "FractionalMaxPooling2D": "pooling",
        "GRU": "recurrent",
        "GappedUniform": "initializers",
        "GroupedConv2D": "convolution",
        "InstanceNorm": "normalization",
        "LSTM": "recurrent",
        "LengthMask": "masking",
        "sequence_mask": "masking",
        "Linear": "dense",
        "MyLinear": "custom",
        "ReplicationPadding1D": "padding",
        "ReplicationPadding2D": "padding",
        "ReplicationPadding3D": "padding",
        "SimpleRNN": "recurrent",
        "SwitchableNorm": "normalization",
        "Threshold": "dense",
        "TransposedConv2D": "convolution",
        "Unfold": "folding",
        "batch_normalization": "batch_normalization",
        "conv_output_size": "sizes",
        "convolution": "convolution",
        "custom": "custom",
        "dense": "dense",
        "embedding": "embedding",
        "folding": "folding",
        "initializers": "initializers",
        "masking": "masking",
        "normalization": "normalization",
        "padding": "padding",
        "pooling": "pooling",
        "receptive_field": "sizes",
        "recurrent": "recurrent",
        "sizes": "sizes",
        "upsampling": "upsampling",
    },
)
