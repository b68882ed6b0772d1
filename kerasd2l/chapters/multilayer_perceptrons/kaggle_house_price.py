"""4.11 Predicting house prices on Kaggle."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from kerasd2l import data, endpoints
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Expected, Recipe
from kerasd2l.run import write_atomic

models = lazy("kerasd2l.models")
keras = lazy("keras")
metrics = lazy("kerasd2l.metrics")
np = lazy("numpy")


def house_prices(
    *,
    k: int = 5,
    learning_rate: float = 5.0,
    weight_decay: float = 0.0,
    batch_size: int = 64,
    epochs: int = 100,
) -> Recipe:
    """Predict house prices by linear regression on 331 encoded columns (1,460 + 1,459 houses).

    Section: "kaggle-house-price". Numbers standardised over both files, codes as ones and zeros,
    Adam, mean squared error of the price. Cross-validates with k folds, then trains on all houses:
    `valid_log_rmse` is the mean over the folds, `train_...` are those of the final model. The run
    also holds the figure of every fold (metrics.jsonl, "folds") and submission.csv.
    The exported model takes the raw columns of a house; a code it has not seen counts as zeros.
    Expected: the book's run has a mean validation log RMSE of 0.1703.
    Command: kerasd2l train house_prices --data files
    """
    if k < 2:
        raise ValueError(f"`k` must be at least 2 folds. Received: k={k}.")
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(
            f"`weight_decay` must be 0 or a positive number. Received: weight_decay={weight_decay}."
        )

    def load(source: Any) -> data.kaggle_house.HouseData:
        houses = data.kaggle_house.load(source, batch_size=batch_size)
        houses.fold(0, k)  # a k that is too large is told before the training
        return houses

    recipe = Recipe(
        section="kaggle-house-price",
        dataset="kaggle_house",
        data=load,
        model=lambda d: models.tabular_regression(
            d.features["features"].shape[0], weight_decay=weight_decay
        ),
        optimizer=lambda: keras.optimizers.Adam(learning_rate, epsilon=1e-8),
        loss=lambda: keras.losses.MeanSquaredError(),
        metrics=lambda: [metrics.LogRMSE()],
        epochs=epochs,
        batch_size=batch_size,
        endpoints=(
            endpoints.table_regressor(
                tuple(data.kaggle_house.NUMERIC),
                tuple(data.kaggle_house.CATEGORICAL),
                output="price",
                example=lambda: data.kaggle_house.example_rows(),
            ),
        ),
        expected=Expected("valid_log_rmse", 0.1703, 0.1703, "d2l-zh notebook, PyTorch, 5 folds"),
    )
    return dataclasses.replace(recipe, fit=functools.partial(_cross_validate_and_train, recipe, k))


def _cross_validate_and_train(recipe: Recipe, k: int, whole: Any) -> list[dict[str, Any]]:
    """Train k models on k folds, then `whole.model` on everything; `whole` is a `Training`.

    After an interruption the folds are trained again, to the same figures.
    """
    from kerasd2l.training.apart import train_apart

    alone = dataclasses.replace(whole, callbacks=())
    folds = [train_apart(recipe, alone, whole.data.fold(i, k)) for i in range(k)]

    def with_folds(history: list[dict[str, Any]]) -> None:
        for event in history:
            event |= _fold_figures([fold[event["epoch"] - 1] for fold in folds])
        whole.on_epoch(history)

    history = dataclasses.replace(whole, on_epoch=with_folds).run()
    if whole.checkpoints is not None and whole.checkpoints.writes:
        houses = whole.data
        prices = keras.ops.convert_to_numpy(whole.model(houses.x_unknown, training=False))
        write_submission(whole.checkpoints.folder.parent / "submission.csv", houses.ids, prices)
    return history


def _fold_figures(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the folds of one epoch say: means over the folds, and every single figure."""
    names = ("train_log_rmse", "valid_log_rmse")
    return {
        "valid_loss": float(np.mean([event["valid_loss"] for event in events])),
        "valid_log_rmse": float(np.mean([event["valid_log_rmse"] for event in events])),
        "valid_examples": sum(event["valid_examples"] for event in events),
        "folds": {name: [event[name] for event in events] for name in names},
    }


def write_submission(path: Path, ids: Any, prices: Any) -> None:
    """Write the file that Kaggle takes: a line "Id,SalePrice" for each house.

    Args:
        path: the .csv file.
        ids: n texts.
        prices: (n,) or (n, 1) numbers.

    Raises:
        ValueError: not as many ids as prices, or a price that is no number.
    """
    prices = np.asarray(prices, np.float64).reshape(-1)
    if len(ids) != len(prices) or not np.isfinite(prices).all():
        raise ValueError(
            f"Expected a finite price for each of {len(ids)} ids. Received: {len(prices)} prices, "
            f"{int(np.isfinite(prices).sum())} of them finite."
        )
    lines = [f"{id_},{price:.2f}\n" for id_, price in zip(ids, prices, strict=True)]
    write_atomic(path, "".join(["Id,SalePrice\n", *lines]).encode("utf8"))
