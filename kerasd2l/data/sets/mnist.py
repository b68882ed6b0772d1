"""MNIST: 60000 + 10000 handwritten digits, 28x28, grey. LeCun, Cortes, Burges, 1998."""

from __future__ import annotations

from kerasd2l.data import idx
from kerasd2l.data.source import Source
from kerasd2l.recipe import Data

CLASS_NAMES = tuple("0123456789")
MIRRORS = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
_HASHES = (  # the table of tensorflow_datasets, too
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
SHA256 = dict(zip(idx.FILES, _HASHES, strict=True))


def load(
    source: Source | str | None = None,
    *,
    batch_size: int = 256,
    resize: int | tuple[int, int] | None = None,
) -> Data:
    """Load MNIST; the built-in stand-in is scikit-learn's 1797 digits.

    Section: "softmax-mnist-mlp" and the other course lessons on MNIST.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        batch_size: int, the global batch.
        resize: int or (height, width), bilinear with antialias; None: 28x28.

    Returns:
        Data: x (B, H, W, 1) float32 in [0, 1], y (B,) int32; assets["class_names"].

    Raises:
        DataError: the files are not to be had or not right.

    Example:
        >>> data = load("builtin", batch_size=32)
        >>> data.features["pixels"].shape
        (28, 28, 1)
    """
    return idx.load(
        source, "mnist", SHA256, MIRRORS, CLASS_NAMES, batch_size=batch_size, resize=resize
    )
