"""7.3 Network in network (NiN)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

if TYPE_CHECKING:
    import keras

keras = lazy("keras")
models = lazy("kerasd2l.models")

_SECTIONS = {
    "alexnet": "alexnet",
    "vgg": "vgg",
    "nin": "nin",
    "googlenet": "googlenet",
    "batch_norm_lenet": "batch-norm",
    "resnet18": "resnet",
    "resnext": "resnext",
    "densenet": "densenet",
    "regnet": "cnn-design",
}


def nin(
    *,
    pictures: Pictures = Pictures(resize=224),
    width: float = 1.0,
    descent: Descent = Descent(0.1, batch_size=128),
) -> Recipe:
    """Train NiN on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey, resized to 224 x 224).

    Section: "nin". Xavier weights, SGD, cross-entropy, a last ReLU on the logits, as in the book;
    runs differ much. The builtin digits train in seconds with --set resize=71 --set width=0.1.
    One's own pictures: --set dataset=image_folder --data files --data-dir FOLDER.
    Expected: test accuracy 0.790-0.868 after 10 epochs (d2l-zh notebooks).
    Command: kerasd2l train nin --data files --export
    """
    return image_classification(
        "nin",
        lambda shape, num_classes: models.nin(shape, num_classes, width=width),
        pictures=pictures,
        descent=descent,
        least=67,
        expected=published(pictures, 0.790, 0.868) if width == 1 else None,
    )


def layer_shapes(
    *,
    network: Literal[
        "alexnet",
        "vgg",
        "nin",
        "googlenet",
        "batch_norm_lenet",
        "resnet18",
        "resnext",
        "densenet",
        "regnet",
    ] = "nin",
) -> Demo:
    """Show the shape after each layer of a network, and where its parameters are.

    Section: "nin". (Or that of another network: --set network=alexnet.)
    Expected: 54, 26, 26, 12, 12, 5, 5 pixels and 10 logits for NiN at 224 x 224 (course notes).
    Command: kerasd2l run layer_shapes
    """
    return Demo(section=_SECTIONS[network], run=lambda: _run(network))


def _run(network: str) -> DemoResult:
    model = getattr(models, network)()
    shapes, parameters = {}, {}
    for layer in model.layers:
        shapes[layer.name] = list(layer.output.shape[1:])
        count = sum(math.prod(weight.shape) for weight in layer.trainable_weights)
        if count:
            parameters[layer.name] = count
    values = {
        "shapes (height, width, channels)": shapes,
        "trainable parameters": sum(parameters.values()),
        "parameters of each layer": parameters,
    }
    return DemoResult(values, {"shapes": _figure(network, model, parameters)})


def _figure(network: str, model: keras.Model, parameters: dict[str, int]):
    maps = [layer for layer in model.layers if len(layer.output.shape) == 4]
    figure, panels = figures.new_figure(1, 2, width=6.5, height=4)
    sides, channels = zip(*((m.output.shape[1], m.output.shape[-1]) for m in maps), strict=True)
    left, right = panels[0]
    left.step(range(len(maps)), sides, "-", where="mid", label="height of the map (pixels)")
    left.step(range(len(maps)), channels, "--", where="mid", label="channels")
    left.set(title=f"{network}: maps", xlabel="layer (number)", ylabel="size", yscale="log")
    left.legend()
    right.bar(range(len(parameters)), list(parameters.values()))
    right.set(
        title=f"{network}: {sum(parameters.values()):,} parameters",
        xlabel="layer with weights (number)",
        ylabel="parameters (number)",
        yscale="log",
    )
    return figure
