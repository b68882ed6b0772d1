"""13.3 Object detection and bounding boxes."""

from __future__ import annotations

from kerasd2l import figures, layers
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")

# in pixels of the book's picture, 561 x 728: left, top, right, bottom
DOG_AND_CAT = ((60.0, 45.0, 378.0, 516.0), (400.0, 112.0, 655.0, 493.0))
# in scikit-learn's photograph, 427 x 640
TEMPLE_AND_TREE = ((62.0, 29.0, 372.0, 408.0), (544.0, 134.0, 639.0, 400.0))


def bounding_boxes() -> Demo:
    """Write boxes as corners and as centre and size, and draw them on a photograph.

    Section: "bounding-box". The book's boxes of a dog and a cat; the photograph is scikit-learn's
    temple with boxes of its own, as the book's picture does not come with the library.
    Expected: centres and sizes 219, 280.5, 318, 471 and 527.5, 302.5, 255, 381; there and back
    gives the same boxes (course notes).
    Command: kerasd2l run bounding_boxes --out figures
    """
    return Demo(section="bounding-box", run=_run)


def _run() -> DemoResult:
    from sklearn.datasets import load_sample_image

    corners = np.array(DOG_AND_CAT, "float32")
    centers = layers.box_corner_to_center(corners)
    back = layers.box_center_to_corner(centers)
    values = {
        "dog and cat, corners": corners.tolist(),
        "centre and size": np.asarray(centers).tolist(),
        "there and back": (np.asarray(back) == corners).tolist(),
    }
    figure = figures.boxes_on_pictures(
        [load_sample_image("china.jpg")], [TEMPLE_AND_TREE], [["temple", "tree"]]
    )
    return DemoResult(values, {"bounding_boxes": figure})
