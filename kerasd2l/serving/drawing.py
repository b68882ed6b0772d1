"""What the figures of answers share: the pictures that were asked about, and short texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PICTURES = 16


def check_answers(right: bool, needs: str, outputs: Mapping[str, Any]) -> None:
    """Refuse outputs that are not what a figure needs.

    Raises:
        ValueError: `right` is False.
    """
    if not right:
        raise ValueError(
            f"a figure of {needs}. Received: "
            + ", ".join(f"{key} {np.shape(value)}" for key, value in outputs.items())
        )


def say_rest(figure: Figure, count: int, what: str = "pictures") -> None:
    """Say above a figure that it has the first ones of `count` only, where it has."""
    if count > MOST_PICTURES:
        figure.suptitle(f"the first {MOST_PICTURES} of {count} {what}", fontsize=10)


def read_picture(source: Any, most: int = 512) -> tuple[np.ndarray, str, tuple[int, int]]:
    """Read a picture to be drawn.

    Args:
        source: a file's name, or an array (H, W), (H, W, 1) or (H, W, 3) in [0, 1].
        most: int, pixels of a side; a larger picture of a file is made smaller.

    Returns:
        (pixels in [0, 1], the file's name or "", height and width before it was made smaller).
    """
    if not isinstance(source, np.ndarray):
        from pathlib import Path

        from PIL import Image

        with Image.open(source, formats=("PNG", "JPEG", "GIF", "BMP", "WEBP")) as image:
            name, size = Path(source).name, (image.height, image.width)
            if image.mode.startswith("I;16"):
                return np.asarray(image, dtype="float32") / 65535, name, size
            plain = image.convert("L" if image.mode in ("1", "L") else "RGBA")
            plain.thumbnail((most, most))
            return np.asarray(plain, dtype="float32") / 255, name, size
    pixels = np.clip(source.astype("float32"), 0, 1)
    grey = pixels.ndim == 3 and pixels.shape[-1] == 1
    return (pixels[..., 0] if grey else pixels), "", pixels.shape[:2]


def crop(text: str, length: int = 28) -> str:
    """Crop a text that is too long to be drawn."""
    text = text.encode("utf8", "backslashreplace").decode()  # no font has half characters
    return text if len(text) <= length else text[: length - 1] + "…"
