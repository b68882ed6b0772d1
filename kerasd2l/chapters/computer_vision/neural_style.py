"""13.12 Neural style transfer."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Data, Recipe
from kerasd2l.run import open_run, writing
from kerasd2l.tasks.transfer import Weights

export = lazy("kerasd2l.export")
keras = lazy("keras")
models = lazy("kerasd2l.models")
np = lazy("numpy")
optimizers = lazy("kerasd2l.optimizers")

RANDOM = (
    "no weights were given: content and style are compared by a VGG of random weights, which knows "
    "edges and colours but no things. Give trained ones: `kerasd2l convert vgg19.safetensors --to "
    "vgg19 --set include_top=no --out vgg19.keras`, then --set weights=vgg19.keras"
)
_MOST_PIXELS = 600 * 900
_STRIP = 8  # pictures that show the progress

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Balance:
    """What the losses of content, style and total variation count.

    Args:
        content_weight: float >= 0.
        style_weight: float >= 0; the book's 1e3, ten times.
        tv_weight: float >= 0.
    """

    content_weight: float = 1.0
    style_weight: float = 1e4
    tv_weight: float = 10.0


@dataclass(frozen=True)
class Steps:
    """Adam whose rate falls now and then; the book's 500 epochs of a step are 50 of 10 here.

    Args:
        learning_rate: float > 0, in units of the deviation of ImageNet's pixels.
        decay_every: int >= 1, steps after which the rate falls.
        decay: float in (0, 1], what it is multiplied by.
        steps: int >= 1, of an epoch.
        batch_size: int >= 1, how often the picture counts: once for each replica.
        epochs: int >= 1.
    """

    learning_rate: float = 0.3
    decay_every: int = 50
    decay: float = 0.8
    steps: int = 10
    batch_size: int = 1
    epochs: int = 50

    def optimizer(self) -> Any:
        """Make the optimizer."""
        return optimizers.Adam(
            keras.optimizers.schedules.ExponentialDecay(
                self.learning_rate, self.decay_every, self.decay, staircase=True
            )
        )


def neural_style(
    *,
    content: str = "",
    style: str = "",
    size: tuple[int, int] = (300, 450),
    weights: str = "",
    width: float = 1.0,
    balance: Balance = Balance(),
    descent: Steps = Steps(),
) -> Recipe:
    """Paint a picture with the content of one photograph and the style of another.

    Section: "neural-style". VGG-19, its layers 0, 5, 10, 19, 28 for style and 25 for content, Adam,
    and the weights of the losses as in the book, on rainier.jpg and autumn-oak.jpg (--data files),
    on files of one's own (--set content=FILE --set style=FILE) or on scikit-learn's two photographs
    (--data builtin). `weights` is a VGG-19 from `kerasd2l convert`; without, the network is random
    (with `width` times the filters), and the training says so. `size` is (height, width), at most
    600 x 900 here. The run folder gets picture.png and progress.png.
    Expected: no figure is published; the loss falls, the picture is to be looked at.
    Command: kerasd2l train neural_style --data files --set weights=vgg19.keras
    """
    if len(size) != 2 or size[0] * size[1] > _MOST_PIXELS:
        raise ValueError(
            f"`size` must be (height, width), at most {_MOST_PIXELS:,} pixels. "
            f"Received: size={size}."
        )
    if not 0 < descent.decay <= 1 or descent.decay_every < 1:
        raise ValueError(
            "`decay` must be in (0, 1], `decay_every` at least 1. "
            f"Received: decay={descent.decay}, decay_every={descent.decay_every}."
        )
    height, width_of_picture = size

    def load(source: Any) -> Data:
        pair = data.style_pair.load(
            source,
            content=content,
            style=style,
            height=height,
            width=width_of_picture,
            batch_size=descent.batch_size,
            steps=descent.steps,
        )
        return pair if weights else dataclasses.replace(pair, assets={"remarks": [RANDOM]})

    def build(d: Data) -> Any:
        contents, styles = next(iter(d.train))
        if weights:
            network = Weights(weights, open_run, export.load_model).model()
        else:
            network = models.imagenet_vgg(width=width, include_top=False, seed=0)
            models.spread_features(network, np.stack([contents[0], styles[0]]))
        picture = models.SynthesizedImage(
            height, width_of_picture, **dataclasses.asdict(balance), name="picture"
        )
        picture.begin(network, contents[:1], styles[:1])
        return picture

    return Recipe(
        section="neural-style",
        dataset="style_pair",
        data=load,
        model=build,
        optimizer=descent.optimizer,
        loss=lambda: None,
        metrics=lambda: [],
        epochs=descent.epochs,
        batch_size=descent.batch_size,
        fit=_paint,
    )


def _paint(training: Any) -> list[dict[str, Any]]:
    """Train the picture; keep it as it is now and then, and at the end as picture.png."""
    writes = training.checkpoints is not None and training.checkpoints.writes
    folder = training.checkpoints.folder.parent if writes else None
    shown = {max(1, round(training.epochs * i / _STRIP)) for i in range(1, _STRIP)}
    if "remarks" in training.data.assets:
        _log.warning("%s", RANDOM)

    def keep(history: list[dict[str, Any]]) -> None:
        epoch = history[-1]["epoch"]
        if folder and epoch in shown:
            _save(folder / "progress" / f"{epoch:06d}.png", _pixels(training.model))
        training.on_epoch(history)

    history = dataclasses.replace(training, on_epoch=keep).run()
    if folder:
        _save(folder / "picture.png", _pixels(training.model))
        _draw(folder, training.data, history[-1]["epoch"])
        _log.info("the picture: %s, how it came about: progress.png", folder / "picture.png")
    return history


def _pixels(model: Any) -> Any:
    """Return the picture as (H, W, 3) uint8."""
    one = np.zeros((1, model.height, model.width, 3), "float32")
    pixels = keras.ops.convert_to_numpy(model(one, training=False))[0]
    return np.rint(pixels * 255).astype(np.uint8)


def _save(path: Path, pixels: Any) -> None:
    from PIL import Image

    path.parent.mkdir(exist_ok=True)
    with writing(path):
        Image.fromarray(pixels).save(path)


def _draw(folder: Path, pair: Data, last: int) -> None:
    """Draw the pair and what was kept, also by a training that was resumed, side by side."""
    content, style = (pictures[0].numpy() for pictures in next(iter(pair.train)))
    kept = {int(path.stem): path for path in sorted((folder / "progress").glob("*.png"))}
    kept = {epoch: path for epoch, path in kept.items() if epoch < last}
    kept[last] = folder / "picture.png"
    images = [content, style, *(data.decoded.read_picture(path) for path in kept.values())]
    titles = ["content", "style", *(f"epoch {epoch}" for epoch in kept)]
    sheet = figures.pictures(images, titles, columns=5, scale=2.5, title="Style transfer")
    with writing(folder / "progress.png"):
        sheet.savefig(folder / "progress.png", dpi=120)
