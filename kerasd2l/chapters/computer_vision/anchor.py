"""13.4 Anchor boxes."""

from __future__ import annotations

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def anchor_boxes(
    *,
    height: int = 561,
    width: int = 728,
    sizes: tuple[float, ...] = (0.75, 0.5, 0.25),
    ratios: tuple[float, ...] = (1.0, 2.0, 0.5),
) -> Demo:
    """Lay anchors over a picture, and draw those around one pixel.

    Section: "anchor". n sizes and m ratios give n + m - 1 anchors a pixel.
    Expected: 2,042,040 anchors for 561 x 728 pixels; the first one around pixel (250, 250) is 0.06,
    0.07, 0.63, 0.82 (the book's output).
    Command: kerasd2l run anchor_boxes --out figures
    """
    if not (1 <= height <= 2000 and 1 <= width <= 2000):
        raise ValueError(
            f"`height` and `width` must be 1 to 2000. Received: height={height}, width={width}."
        )
    return Demo("anchor", lambda: _run_anchors(height, width, sizes, ratios))


def _run_anchors(height, width, sizes, ratios) -> DemoResult:
    anchors = layers.multibox_prior(np.zeros((1, height, width, 3), "uint8"), sizes, ratios)
    boxes = np.asarray(anchors).reshape(height, width, -1, 4)
    row, column = min(250, height - 1), min(250, width - 1)
    here = boxes[row, column]
    pairs = [(s, ratios[0]) for s in sizes] + [(sizes[0], r) for r in ratios[1:]]
    names = [f"s={s:g}, r={r:g}" for s, r in pairs]
    photograph = _photograph(height, width)
    values = {
        "shape": list(anchors.shape),
        f"around pixel ({row}, {column})": dict(zip(names, here.round(2).tolist(), strict=True)),
    }
    figure = figures.boxes_on_pictures([photograph], [here * _scale(photograph)], [names])
    return DemoResult(values, {"anchor_boxes": figure})


def anchor_labels() -> Demo:
    """Give five anchors their classes and offsets, and suppress boxes that overlap.

    Section: "anchor". The book's example: a dog, a cat and five anchors; then four predicted boxes,
    three of them of the dog.
    Expected: classes 0, 1, 2, 0, 2; offsets 1.40, 10.0, 2.59, 7.18 of anchor 1; the boxes of 0.9
    stay, those of 0.8 and 0.7 are -1 (the book's output).
    Command: kerasd2l run anchor_labels --out figures
    """
    return Demo(section="anchor", run=_run_labels)


def _run_labels() -> DemoResult:
    objects = np.array([[0, 0.1, 0.08, 0.52, 0.92], [1, 0.55, 0.2, 0.9, 0.88]], "float32")
    anchors = np.array(
        [
            [0, 0.1, 0.2, 0.3],
            [0.15, 0.2, 0.4, 0.4],
            [0.63, 0.05, 0.88, 0.98],
            [0.66, 0.45, 0.8, 0.8],
            [0.57, 0.3, 0.92, 0.9],
        ],
        "float32",
    )
    offsets, mask, classes = layers.multibox_target(anchors[None], objects[None])
    predicted = np.array(
        [
            [0.1, 0.08, 0.52, 0.92],
            [0.08, 0.2, 0.56, 0.95],
            [0.15, 0.3, 0.62, 0.91],
            [0.55, 0.2, 0.9, 0.88],
        ],
        "float32",
    )
    probabilities = np.array([[0] * 4, [0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.9]], "float32")
    no_offsets = np.zeros((1, predicted.size), "float32")
    detections = np.asarray(
        layers.multibox_detection(probabilities[None], no_offsets, predicted[None], 0.5)
    )[0]
    values = {
        "IoU of anchors and objects": np.asarray(layers.box_iou(anchors, objects[:, 1:]), float)
        .round(2)
        .tolist(),
        "classes (0: background)": np.asarray(classes)[0].tolist(),
        "mask": np.asarray(mask)[0].reshape(-1, 4).astype(int).tolist(),
        "offsets": [[float(f"{v:.3g}") for v in row] for row in np.reshape(offsets, (-1, 4))],
        "detections (class, confidence, corners)": detections.astype(float).round(2).tolist(),
    }
    paper = np.ones((561, 728, 3))
    scale = _scale(paper)
    stays = detections[:, 0] >= 0
    texts = [f"{'dog' if row[0] == 0 else 'cat'} {row[1]:.1f}" for row in detections[stays]]
    truth = np.concatenate([objects[:, 1:], anchors])
    boxes = [part * scale for part in (truth, predicted, detections[stays, 2:])]
    figure = figures.boxes_on_pictures(
        [paper] * 3,
        boxes,
        [["dog", "cat", *map(str, range(5))], ["0.9", "0.8", "0.7", "0.9"], texts],
        ["objects and anchors", "predicted", "left by non-maximum suppression"],
    )
    return DemoResult(values, {"anchor_labels": figure})


def _photograph(height: int, width: int):
    """Return scikit-learn's temple in that size."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    return np.asarray(Image.fromarray(load_sample_image("china.jpg")).resize((width, height)))


def _scale(picture):
    """Return what turns parts of a picture into pixels."""
    return np.tile(picture.shape[1::-1], 2)
