"""13.9 Semantic segmentation and the data set."""

from __future__ import annotations

from kerasd2l import data, figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def semantic_segmentation_and_dataset(
    *,
    dataset: data.MaskDataset = "voc2012",
    source: data.Kind = "builtin",
    skip_broken: bool = False,
    crop: tuple[int, int] = (320, 480),
    count: int = 5,
) -> Demo:
    """Draw crops of pictures of a segmentation set, and of their masks in the classes' colours.

    Section: "semantic-segmentation-and-dataset". Pascal VOC 2012 as in the book; CamVid with --set
    dataset=camvid --set source=files; one's own with dataset=mask_folder. The builtin stand-in is
    drawn shapes on photographs.
    Expected: of VOC 1114 + 1078 pictures are at least 320 x 480; a batch of 32 is
    (32, 320, 480, 3), its masks are (32, 320, 480).
    Command: kerasd2l run semantic_segmentation_and_dataset --set source=download --out figures
    """
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}.")
    chosen = data.MaskSet(dataset, crop=crop)
    where = data.Source(source, skip_broken=skip_broken)
    return Demo("semantic-segmentation-and-dataset", lambda: _show(chosen, where, count))


def _show(chosen: data.MaskSet, source: data.Source, count: int) -> DemoResult:
    loaded = chosen.load(source, batch_size=32)
    names = loaded.assets["class_names"]
    colours = loaded.assets.get("colours", data.VOC_COLORMAP[: len(names)])
    x, y = (np.asarray(part) for part in next(iter(loaded.epoch(0))))
    shares = np.bincount(y.ravel(), minlength=256) / y.size
    values = {
        "examples": dict(loaded.size),
        "shape of a batch": list(x.shape),
        "shape of its masks": list(y.shape),
        "part of the pixels": {name: float(shares[i]) for i, name in enumerate(names) if shares[i]}
        | {"no class": float(shares[loaded.assets["ignore"]])},
    }
    masks = [data.label2image(mask, colours) for mask in y[:count]]
    figure = figures.pictures(
        [*x[:count], *masks], columns=min(count, len(masks)), scale=2.4, title="Crops and masks"
    )
    return DemoResult(values, {"masks": figure})
