"""The course lessons: from three points on a line to handwritten digits, one idea at a time."""

from kerasd2l.chapters.lessons.by_hand import (
    exhaustive_search,
    float_representation,
    gradient_descent,
    stochastic_gradient_descent,
)
from kerasd2l.chapters.lessons.gradients import (
    backprop_by_hand,
    linear_regression_four_steps,
    logistic_function,
)
from kerasd2l.chapters.lessons.hello import learn_hello, one_hot_or_embedding
from kerasd2l.chapters.lessons.loaders import dataset_dataloader
from kerasd2l.chapters.lessons.names import names_classifier
from kerasd2l.chapters.lessons.networks import diabetes, logistic_regression
from kerasd2l.chapters.lessons.pictures import (
    mnist_cnn,
    mnist_inception,
    mnist_mlp,
    mnist_resnet,
)

__all__ = [
    "backprop_by_hand",
    "dataset_dataloader",
    "diabetes",
    "exhaustive_search",
    "float_representation",
    "gradient_descent",
    "learn_hello",
    "linear_regression_four_steps",
    "logistic_function",
    "logistic_regression",
    "mnist_cnn",
    "mnist_inception",
    "mnist_mlp",
    "mnist_resnet",
    "names_classifier",
    "one_hot_or_embedding",
    "stochastic_gradient_descent",
]
