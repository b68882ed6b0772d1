"""L.13 A classifier of names."""

from __future__ import annotations

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Recipe

models = lazy("kerasd2l.models")
keras = lazy("keras")


def names_classifier(
    *,
    embed_size: int = 100,
    num_hiddens: int = 100,
    num_layers: int = 2,
    bidirectional: bool = True,
    learning_rate: float = 0.001,
    batch_size: int = 256,
    epochs: int = 100,
) -> Recipe:
    """Train a GRU to tell the country of a family name (13,374 + 6,700 names, 18 countries).

    Section: "rnn-names-classifier". Characters through an embedding and two bidirectional layers,
    Keras' Adam (its epsilon counts before the bias correction, so that rare characters learn more
    slowly at first than with `optimizers.Adam`, which is PyTorch's), cross-entropy; lengths keep
    the padding out. Accents of Latin letters are left away, any
    other character that is not ASCII is one unknown character. The builtin stand-in are 7,058 +
    1,775 names of places, days and languages in 18 languages.
    Expected: no figure in the lesson. Who always says "Russian" is right for 0.468 of the test set.
    The export answers kerasd2l predict savedmodels/names_classifier Satoshi
    Command: kerasd2l train names_classifier --data files --export
    """
    for key, value in (("embed_size", embed_size), ("num_hiddens", num_hiddens)):
        if value < 1:
            raise ValueError(f"`{key}` must be at least 1. Received: {key}={value}.")
    if not 1 <= num_layers <= 8:
        raise ValueError(f"`num_layers` must be 1 to 8. Received: num_layers={num_layers}.")
    return Recipe(
        section="rnn-names-classifier",
        dataset="names",
        data=lambda source: data.names.load(source, batch_size=batch_size),
        model=lambda d: models.names_classifier(
            len(d.assets["class_names"]),
            vocab_size=len(d.assets["vocabulary"]),
            embed_size=embed_size,
            num_hiddens=num_hiddens,
            num_layers=num_layers,
            bidirectional=bidirectional,
        ),
        optimizer=lambda: keras.optimizers.Adam(learning_rate, epsilon=1e-8),
        loss=lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=endpoints.text_classifier(example=["Satoshi", "O'Neal", "Nguyễn", "王", ""]),
    )
