"""scikit-learn's 1797 handwritten digits, scaled to 28x28: the stand-in that needs no file."""

from __future__ import annotations

import functools

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.data import pipeline
from kerasd2l.data.source import Source, builtin_only
from kerasd2l.recipe import Data

CLASS_NAMES = tuple("0123456789")
SIZE = 28

datasets = lazy("sklearn.datasets")
Image = lazy("PIL.Image")


@functools.cache
def arrays() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return ((x, y) of 1437 training, (x, y) of 360 test digits), every class split 4 to 1.

    x (B, 28, 28, 1) uint8, bilinear from the original 8x8 with values 0..16; y (B,) int32. The
    arrays are shared by all callers, who cannot write to them.
    """
    bunch = datasets.load_digits()
    small = np.rint(bunch.images * (255 / 16)).astype(np.uint8)  # (B, 8, 8)
    size, bilinear = (SIZE, SIZE), 2  # PIL.Image.Resampling.BILINEAR
    x = np.stack([np.asarray(Image.fromarray(image).resize(size, bilinear)) for image in small])
    x, y = x[..., None], bunch.target.astype(np.int32)
    mixed = np.random.RandomState(0).permutation(len(y))  # numpy's frozen stream
    by_class = mixed[np.argsort(y[mixed], kind="stable")]
    is_test = np.zeros(len(y), bool)
    is_test[by_class[::5]] = True
    parts = [(x[part], y[part]) for part in (mixed[~is_test[mixed]], mixed[is_test[mixed]])]
    for array in (*parts[0], *parts[1]):
        array.setflags(write=False)
    return parts[0], parts[1]


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 256,
    resize: int | tuple[int, int] | None = None,
) -> Data:
    """Load the digits: 1437 for training, 360 for test, in a split that never changes.

    Section: none; the built-in stand-in of MNIST and Fashion-MNIST.

    Args:
        source: Source or the name of its kind, "auto" or "builtin"; its seed orders the training.
        batch_size: int, the global batch.
        resize: int or (height, width), bilinear with antialias; None: 28x28.

    Returns:
        Data: x (B, H, W, 1) float32 in [0, 1], y (B,) int32; assets["class_names"].

    Raises:
        DataError: asked for files or a download, which do not exist.

    Example:
        >>> load(batch_size=32).size
        {'train': 1437, 'test': 360}
    """
    source = builtin_only(source, "digits come with scikit-learn")
    train, test = arrays()
    return pipeline.image_data(
        train, test, CLASS_NAMES, batch_size=batch_size, resize=resize, seed=source.seed
    )
