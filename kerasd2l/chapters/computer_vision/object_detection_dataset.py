"""13.6 The object detection data set."""

from __future__ import annotations

from collections import Counter

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def object_detection_dataset(
    *,
    dataset: data.BoxDataset = "bananas",
    source: data.Kind = "builtin",
    skip_broken: bool = False,
    resize: int = 256,
    count: int = 10,
) -> Demo:
    """Draw pictures of a set for object detection with the boxes of their objects.

    Section: "object-detection-dataset". The book's 1000 + 100 bananas, one box each; the builtin
    stand-in is drawn shapes on photographs. One's own folder, in the layout of Pascal VOC, COCO,
    YOLO or a table: --set dataset=box_folder --set source=files, with KERASD2L_DATA=FOLDER.
    Expected: a batch of 32 bananas is (32, 256, 256, 3), its labels are (32, 1, 5): class and box.
    Command: kerasd2l run object_detection_dataset --set source=download --out figures
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}.")
    chosen = data.BoxSet(dataset, resize=resize)
    where = data.Source(source, skip_broken=skip_broken)
    return Demo("object-detection-dataset", lambda: _show(chosen, where, count))


def _show(chosen: data.BoxSet, source: data.Source, count: int) -> DemoResult:
    loaded = chosen.load(source, batch_size=32)
    names = loaded.assets["class_names"]
    x, labels = (np.asarray(part) for part in next(iter(loaded.epoch(0))))
    objects = sum(int((np.asarray(y)[..., 0] >= 0).sum()) for _, y in loaded.epoch(0))
    values = {
        "examples": dict(loaded.size),
        "class names": names,
        "shape of a batch": list(x.shape),
        "shape of its labels": list(labels.shape),
        "objects to train on": objects,
        "first labels": labels[0][labels[0, :, 0] >= 0].tolist(),
    }
    shown = list(zip(x[:count], labels[:count], strict=True))
    counts = [Counter(names[int(k)] for k in y[:, 0] if k >= 0) for _, y in shown]
    titles = [", ".join(f"{number} {name}" for name, number in count.items()) for count in counts]
    figure = figures.pictures(
        [image for image, _ in shown], titles, columns=5, scale=2.0, title="Objects and their boxes"
    )
    for axes, (image, of_one) in zip(figure.axes, shown, strict=False):
        _outline(axes, of_one[of_one[:, 0] >= 0, 1:], image.shape)
    return DemoResult(values, {"boxes": figure})


def _outline(axes, boxes, shape: tuple[int, ...]) -> None:
    """Draw boxes, given in parts of a picture of this shape."""
    from matplotlib.patches import Rectangle

    height, width = shape[:2]
    for x1, y1, x2, y2 in boxes * [width, height, width, height]:
        frame = Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor="white")
        axes.add_patch(frame)
