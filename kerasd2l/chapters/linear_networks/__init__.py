"""Linear networks: regression, and softmax regression on pictures."""

from kerasd2l.chapters.linear_networks.classification import (
    image_classification_dataset,
    prediction_sheet,
    softmax_regression,
    stable_softmax,
)
from kerasd2l.chapters.linear_networks.regression import (
    linear_regression,
    linear_regression_by_hand,
    loss_functions,
    vectorization,
)

__all__ = [
    "image_classification_dataset",
    "linear_regression",
    "linear_regression_by_hand",
    "loss_functions",
    "prediction_sheet",
    "softmax_regression",
    "stable_softmax",
    "vectorization",
]
