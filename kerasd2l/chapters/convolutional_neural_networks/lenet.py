"""6.6 LeNet."""

from __future__ import annotations

import os
from typing import Literal

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")
kerasfile = lazy("kerasd2l.export.kerasfile")


def lenet(
    *,
    pictures: Pictures = Pictures(),
    activation: Literal["sigmoid", "relu", "tanh"] = "sigmoid",
    pooling: Literal["average", "max"] = "average",
    descent: Descent = Descent(0.9),
) -> Recipe:
    """Train LeNet on pictures of clothes (60,000 + 10,000, 28 x 28 grey).

    Section: "lenet". Xavier weights, SGD, cross-entropy, all as in the book.
    Expected: test accuracy 0.779-0.828 after 10 epochs (d2l-zh notebooks, PyTorch and TensorFlow).
    A modern variant: --set dataset=mnist --set activation=relu --set pooling=max --set
    learning_rate=0.3. The builtin digits are few: they need smaller batches and ReLU. One's own
    pictures: --set dataset=image_folder --set resize=28 --data files --data-dir FOLDER.
    Command: kerasd2l train lenet --data files --export
    """
    as_published = (pictures.resize, activation, pooling) == (None, "sigmoid", "average")
    return image_classification(
        "lenet",
        lambda shape, num_classes: models.lenet(
            shape, num_classes, activation=activation, pooling=pooling
        ),
        pictures=pictures,
        descent=descent,
        least=12,
        expected=published(pictures, 0.779, 0.828) if as_published else None,
        small_steps=True,
    )


def lenet_layers(*, model_file: str | None = None, picture: int = 0) -> Demo:
    """Send a handwritten digit through LeNet and look at every layer.

    Section: "lenet". One of scikit-learn's 360 test digits at 28 x 28 pixels. The network is
    untrained unless `model_file` names one, e.g. the model.keras of `kerasd2l train lenet --set
    dataset=mnist`.
    Expected: 28 x 28 x 6, 14 x 14 x 6, 10 x 10 x 16, 5 x 5 x 16, 400, 120, 84, 10 (course notes);
    61,706 parameters.
    Command: kerasd2l run lenet_layers --out figures
    """
    if not 0 <= picture < 360:
        raise ValueError(f"`picture` must be 0 to 359. Received: picture={picture}.")
    if model_file is not None and not os.path.isfile(model_file):
        raise ValueError(
            "`model_file` must be a .keras file, such as model.keras in the folder of a run. "
            f"Received: model_file={model_file}, which does not exist."
        )
    return Demo(section="lenet", run=lambda: _run_lenet_layers(model_file, picture))


def _run_lenet_layers(model_file: str | None, picture: int) -> DemoResult:
    _, (digits, labels) = data.digits.arrays()
    pixels = digits[picture : picture + 1] / np.float32(255)
    model = models.lenet(seed=0) if model_file is None else kerasfile.load_model(model_file)
    if model.input_shape[1:] != (28, 28, 1):
        raise ValueError(
            "`model_file` must hold a model for pictures (28, 28, 1). "
            f"Received: {model_file}, for {model.input_shape[1:]}."
        )
    hidden = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    outputs = keras.Model(model.input, [layer.output for layer in hidden])(pixels)
    shapes = {layer.name: list(y.shape[1:]) for layer, y in zip(hidden, outputs, strict=True)}
    maps = {
        layer.name: np.asarray(y)[0]
        for layer, y in zip(hidden, outputs, strict=True)
        if len(y.shape) == 4
    }
    values = {
        "shapes (height, width, channels)": shapes,
        "parameters": {layer.name: layer.count_params() for layer in hidden if layer.weights},
        "all parameters": model.count_params(),
        "digit": int(labels[picture]),
        "largest logit": int(np.argmax(np.asarray(outputs[-1]))),
    }
    named = {
        name: figures.pictures(
            [*([pixels[0]] if name == next(iter(maps)) else []), *np.moveaxis(y, -1, 0)],
            [*(["input"] if name == next(iter(maps)) else []), *map(str, range(y.shape[-1]))],
            title=f"{name}: {y.shape[-1]} maps of {y.shape[0]} x {y.shape[1]}",
        )
        for name, y in maps.items()
    }
    return DemoResult(values, named)
