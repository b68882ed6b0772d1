"""13.5 Multiscale object detection."""

from __future__ import annotations

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")

# width and height of the feature map, size of its anchors
SCALES = ((4, 4, 0.15), (2, 2, 0.4), (1, 1, 0.8))


def display_anchors(*, ratios: tuple[float, ...] = (1.0, 2.0, 0.5)) -> Demo:
    """Lay anchors over a photograph by feature maps of three sizes: small ones, middle ones, one.

    Section: "multiscale-object-detection". Maps of 4 x 4, 2 x 2 and 1 x 1 pixels with anchors of
    size 0.15, 0.4 and 0.8: a small map sees large objects.
    Expected: 48, 12 and 3 anchors, evenly spread (the book's figures).
    Command: kerasd2l run display_anchors --out figures
    """
    return Demo("multiscale-object-detection", lambda: _run(ratios))


def _run(ratios) -> DemoResult:
    from sklearn.datasets import load_sample_image

    photograph = load_sample_image("china.jpg")
    scale = np.tile(photograph.shape[1::-1], 2)
    values, boxes = {}, []
    for width, height, size in SCALES:
        maps = np.zeros((1, height, width, 10), "float32")
        anchors = np.asarray(layers.multibox_prior(maps, [size], ratios))[0]
        values[f"anchors of size {size}"] = len(anchors)
        boxes.append(anchors * scale)
    titles = [f"{height} x {width}, size {size}" for width, height, size in SCALES]
    figure = figures.boxes_on_pictures([photograph] * len(boxes), boxes, titles=titles)
    return DemoResult(values, {"display_anchors": figure})
