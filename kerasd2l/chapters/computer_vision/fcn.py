"""13.11 Fully convolutional networks."""

from __future__ import annotations

from typing import Any

from kerasd2l import data, figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Expected, Recipe
from kerasd2l.tasks.augmentation import Changes
from kerasd2l.tasks.descent import PlainAdam, SummedDescent
from kerasd2l.tasks.segmentation import Masks, segmentation

models = lazy("kerasd2l.models")
np = lazy("numpy")

UNCHANGED = Changes(horizontal_flip=0.0)


def fcn(
    *,
    pictures: Masks = Masks(),
    changes: Changes = UNCHANGED,
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    descent: SummedDescent = SummedDescent(0.001, weight_decay=0.001, batch_size=32, epochs=5),
) -> Recipe:
    """Train FCN-32s to tell the class of every pixel (Pascal VOC 2012, 1,114 + 1,078 pictures).

    Section: "fcn". ResNet-18 without its head, a 1 x 1 convolution, a transposed one of 64 x 64
    with strides 32 that begins as bilinear interpolation; crops of 320 x 480; SGD on the sum of the
    losses of a batch, rate 0.001, decay 0.001. The book begins with ResNet-18 of ImageNet; here all
    weights are random, which needs more epochs, momentum and a smaller set: CamVid with --set
    dataset=camvid --set momentum=0.9, one's own with dataset=mask_folder. The builtin shapes train
    in minutes with --set crop=128,128 --set width=0.25 --set momentum=0.9.
    Expected: accuracy of pixels 0.848-0.852 (d2l notebooks, from weights of ImageNet).
    Command: kerasd2l train fcn --data files --export
    """
    return segmentation(
        "fcn",
        lambda shape, num_classes: models.fcn(shape, num_classes, depths=depths, width=width),
        stride=32,
        pictures=pictures,
        changes=changes,
        descent=descent,
        expected=_published(pictures, changes, depths, width),
    )


def fcn8s(
    *,
    pictures: Masks = Masks(),
    changes: Changes = UNCHANGED,
    depths: tuple[int, ...] = (2, 2, 2, 2),
    width: float = 1.0,
    descent: SummedDescent = SummedDescent(0.001, weight_decay=0.001, batch_size=32, epochs=5),
) -> Recipe:
    """Train FCN-8s: FCN with the scores of maps at 1/16 and 1/8 of the size added on the way back.

    Section: "fcn". Data and numbers are those of `fcn`; what differs is the network, whose masks
    have finer borders.
    Expected: nobody has published a figure for this network and these numbers.
    Command: kerasd2l train fcn8s --data files --export
    """
    return segmentation(
        "fcn",
        lambda shape, num_classes: models.fcn8s(shape, num_classes, depths=depths, width=width),
        stride=32,
        pictures=pictures,
        changes=changes,
        descent=descent,
    )


def unet(
    *,
    pictures: Masks = Masks(crop=(256, 256)),
    changes: Changes = UNCHANGED,
    levels: int = 4,
    width: float = 0.5,
    descent: PlainAdam = PlainAdam(0.001, batch_size=16, epochs=20),
) -> Recipe:
    """Train a U-Net, which is made to begin from random weights, by Adam.

    Section: "fcn". Half as many filters as in the paper (--set width=1 for all), crops of 256 x
    256. CamVid with --set dataset=camvid; random flips with --set horizontal_flip=0.5. The builtin
    shapes train in minutes with --set crop=128,128 --set width=0.125 --set levels=3.
    Expected: nobody has published a figure for this network and these numbers.
    Command: kerasd2l train unet --data files --set dataset=camvid --export
    """
    if levels < 1:
        raise ValueError(f"`levels` must be at least 1. Received: levels={levels}.")
    return segmentation(
        "fcn",
        lambda shape, num_classes: models.unet(shape, num_classes, levels=levels, width=width),
        stride=2**levels,
        pictures=pictures,
        changes=changes,
        descent=descent,
    )


def _published(*numbers: Any) -> Expected | None:
    """Return the book's figure where nothing but the descent may differ from it."""
    if numbers != (Masks(), UNCHANGED, (2, 2, 2, 2), 1.0):
        return None
    return Expected("test_accuracy", 0.848, 0.852, "d2l-zh and d2l-en notebooks, from ImageNet")


def bilinear_upsampling(*, picture: str = "", factor: int = 2) -> Demo:
    """Enlarge a photograph by a transposed convolution whose kernel interpolates.

    Section: "fcn". Kernel 2 f, strides f, padding f / 2 for a factor f; `picture` is a file,
    without it is scikit-learn's china.
    Expected: 561 x 728 become 1122 x 1456 (the book's catdog.jpg); china's 427 x 640 854 x 1280.
    Command: kerasd2l run bilinear_upsampling --set picture=catdog.jpg --out figures
    """
    if factor < 2 or factor % 2:
        raise ValueError(f"`factor` must be even and at least 2. Received: factor={factor}.")
    return Demo("fcn", lambda: _enlarge(picture, factor))


def _enlarge(picture: str, factor: int) -> DemoResult:
    if picture:
        pixels = data.decoded.read_picture(data.source.in_home(picture))
    else:
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image("china.jpg")
    small = np.asarray(pixels, "float32")[None] / 255.0  # (1, H, W, 3)
    layer = layers.TransposedConv2D(
        3,
        2 * factor,
        strides=factor,
        padding=factor // 2,
        use_bias=False,
        kernel_initializer=layers.BilinearKernel(),
    )
    large = np.asarray(layer(small))[0]
    values = {
        "shape of the picture": list(small.shape[1:]),
        "shape of the larger one": list(large.shape),
        "kernel, its first row": np.asarray(layer.kernel)[0, :, 0, 0].tolist(),
        "mean before and after": [float(small.mean()), float(large.mean())],
    }
    titles = [f"{x.shape[0]} x {x.shape[1]}" for x in (small[0], large)]
    figure = figures.pictures(
        [small[0], np.clip(large, 0, 1)], titles, columns=2, scale=4.0, title="Bilinear upsampling"
    )
    return DemoResult(values, {"bilinear_upsampling": figure})
