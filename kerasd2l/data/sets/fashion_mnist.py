"""Fashion-MNIST: 60000 + 10000 pictures of clothes, 28x28, grey. Xiao, Rasul, Vollgraf, 2017."""

from __future__ import annotations

from kerasd2l.data import idx
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
MIRRORS = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
_HASHES = (  # the table of tensorflow_datasets, too
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)
SHA256 = dict(zip(idx.FILES, _HASHES, strict=True))


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 256,
    resize: int | tuple[int, int] | None = None,
) -> Data:
    """Load Fashion-MNIST; the built-in stand-in is scikit-learn's 1797 digits.

    Section: "image-classification-dataset".

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.
        resize: int or (height, width), bilinear with antialias as in the book; None: 28x28.

    Returns:
        Data: x (B, H, W, 1) float32 in [0, 1], y (B,) int32; assets["class_names"], which are the
        digits' own names with the stand-in.

    Raises:
        DataError: the files are not to be had or not right.

    Example:
        >>> data = load("builtin", batch_size=32, resize=64)
        >>> data.features["pixels"].shape
        (64, 64, 1)
    """
    return idx.load(
        source, "fashion_mnist", SHA256, MIRRORS, CLASS_NAMES, batch_size=batch_size, resize=resize
    )
