"""L.8 Data set and loader."""

from __future__ import annotations

from typing import Any

from kerasd2l import data, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
keras = lazy("keras")
np = lazy("numpy")


def dataset_dataloader(*, batch_size: int = 32, epochs: int = 3, seed: int = 0) -> Demo:
    """Read the same table through `keras.utils.PyDataset` and through tf.data.

    Section: "dataset-dataloader". The built-in diabetes table (353 x 8). A Dataset says how many
    examples there are and gives example i; the DataLoader, a PyDataset, makes shuffled batches of
    them; the pipeline of this library does it in tf.data. Both get the same orders, so `model.fit`
    learns the same from either. Figure: why one shuffles before batching.
    Expected: equal batches, equal losses.
    Command: kerasd2l run dataset_dataloader --out figures
    """
    for name, value in (("batch_size", batch_size), ("epochs", epochs)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    return Demo("dataset-dataloader", lambda: _side_by_side(batch_size, epochs, seed))


def _side_by_side(batch_size: int, epochs: int, seed: int) -> DemoResult:
    (x, y), _, _ = data.diabetes.arrays("builtin")
    dataset = scratch.ArrayDataset(x, y)

    def new_loader():
        return scratch.DataLoader(dataset, batch_size=batch_size, seed=seed)

    table = data.diabetes.load(data.Source("builtin", seed=seed), batch_size=batch_size)
    loader, equal, shapes = new_loader(), True, []
    for epoch in range(epochs):
        loader.on_epoch_begin()
        by_hand = [loader[i] for i in range(len(loader))]
        by_pipeline = [(xs.numpy(), ys.numpy()) for xs, ys in table.epoch(epoch)]
        shapes = [list(xs.shape) for xs, _ in by_hand]
        equal &= len(by_hand) == len(by_pipeline) and all(
            np.array_equal(one, other)
            for pair in zip(by_hand, by_pipeline, strict=True)
            for one, other in zip(*pair, strict=True)
        )

    def fit_loader(model):
        return model.fit(new_loader(), epochs=epochs, shuffle=False, verbose=0).history["loss"]

    def fit_table(model):
        fits = (model.fit(table.epoch(i), shuffle=False, verbose=0) for i in range(epochs))
        return [fit.history["loss"][0] for fit in fits]

    values = {
        "examples": len(dataset),
        "one example": [list(np.shape(part)) for part in dataset[0]],
        "batches": len(new_loader()),
        "shape of the first batch": shapes[0],
        "shape of the last batch": shapes[-1],
        "the same batches": bool(equal),
        "losses": {"PyDataset": _fit(fit_loader, seed), "tf.data": _fit(fit_table, seed)},
    }
    return DemoResult(values, {"shuffling": _draw_orders(seed)})


def _fit(train, seed: int) -> list[float]:
    """Train a new small network with the given function and return its losses."""
    model = models.diabetes_mlp(seed=seed)
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return [float(loss) for loss in train(model)]


def _draw_orders(seed: int, size: int = 40, batch_size: int = 8, epochs: int = 6):
    """Draw where each example stands in each epoch, for three ways to make batches."""
    ways = ("in order", "shuffle, then batch", "batch, then shuffle")
    orders: dict[str, list[Any]] = {way: [] for way in ways}
    for epoch in range(epochs):
        random = np.random.default_rng([seed, epoch])
        orders["in order"].append(np.arange(size))
        orders["shuffle, then batch"].append(random.permutation(size))
        batches = np.arange(size).reshape(-1, batch_size)
        orders["batch, then shuffle"].append(batches[random.permutation(len(batches))].ravel())
    figure, (panels,) = figures.new_figure(1, 3, width=4.4, height=3)
    figure.suptitle(f"Who is in which batch: {size} examples, batches of {batch_size}")
    for axes, (name, order) in zip(panels, orders.items(), strict=True):
        image = axes.imshow(order, cmap="viridis", aspect="auto")
        for border in range(batch_size, size, batch_size):
            axes.axvline(border - 0.5, color="white", linewidth=2)
        axes.set(title=name, xlabel="place in the epoch", ylabel="epoch")
    figure.colorbar(image, ax=panels, label="number of the example")
    return figure
