"""The layer catalogue: what each layer does to numbers one can follow."""

from kerasd2l.chapters.layer_catalogue.basics import (
    dropout_layers,
    linear_by_hand,
    padding_layers,
)
from kerasd2l.chapters.layer_catalogue.convolutions import (
    convolution_sizes,
    convolution_variants,
    dilated_convolution,
    transposed_convolution,
)
from kerasd2l.chapters.layer_catalogue.normalizations import normalization_layers
from kerasd2l.chapters.layer_catalogue.recurrent import recurrent_layers
from kerasd2l.chapters.layer_catalogue.resampling import (
    pooling_layers,
    unfold_and_fold,
    upsampling,
)

__all__ = [
    "convolution_sizes",
    "convolution_variants",
    "dilated_convolution",
    "dropout_layers",
    "linear_by_hand",
    "normalization_layers",
    "padding_layers",
    "pooling_layers",
    "recurrent_layers",
    "transposed_convolution",
    "unfold_and_fold",
    "upsampling",
]
