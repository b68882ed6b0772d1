"""L.7 Inputs of several dimensions."""

from __future__ import annotations

from typing import Literal

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")
tf = lazy("tensorflow")


def diabetes(
    *,
    activation: Literal["sigmoid", "relu", "tanh"] = "sigmoid",
    learning_rate: float = 1.0,
    batch_size: int = 32,
    epochs: int = 100,
) -> Recipe:
    """Train an 8-6-4-1 network to tell diabetes from eight measurements (607 + 152 women).

    Section: "multi-dimensional-input". Sigmoids, SGD, mean cross-entropy.
    Expected: no figure in the lesson. Who always says "no diabetes" is right for 0.651 of the test
    set, and with a learning rate of 0.1 the sigmoids do just that for 100 epochs (ReLU does not).
    The export takes measurements in the order and units of data.diabetes.FEATURES:
    kerasd2l predict savedmodels/diabetes 6,148,72,35,0,33.6,0.627,50
    Command: kerasd2l train diabetes --data files --export
    """
    return Recipe(
        section="multi-dimensional-input",
        dataset="diabetes",
        data=lambda source: data.diabetes.load(source, batch_size=batch_size),
        model=lambda d: models.diabetes_mlp(d.features["features"].shape[0], activation=activation),
        optimizer=lambda: keras.optimizers.SGD(learning_rate),
        loss=lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=_binary_accuracy,
        epochs=epochs,
        batch_size=batch_size,
        endpoints=(
            endpoints.binary_classifier(
                (8,),
                input_name="measurements",
                transform=_scale,
                example=_three_women,
            ),
            endpoints.binary_classifier((8,), name="predict", input_name="features"),
        ),
    )


def _binary_accuracy() -> list:
    """Make the accuracy of logits: z = 0 is the boundary."""
    return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]


def _scale(measurements, assets):
    """Scale measurements as the training data is scaled, in the graph."""
    return data.diabetes.scale(
        measurements,
        assets["minimum"],
        assets["maximum"],
        lowest_is_zero=assets["lowest_is_zero"],
        where=tf.where,
    )


def _three_women():
    """Return the lowest, middle and highest measurements of the table."""
    low, high = np.array(data.diabetes.MINIMUM), np.array(data.diabetes.MAXIMUM)
    return np.stack([low, (low + high) / 2, high])
