"""3.8 Concise softmax regression."""

from __future__ import annotations

from typing import Literal

from kerasd2l import figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult, Recipe
from kerasd2l.tasks.image_classification import Descent, Pictures, image_classification, published

models = lazy("kerasd2l.models")
np = lazy("numpy")


def softmax_regression(
    *,
    pictures: Pictures = Pictures(),
    implementation: Literal["concise", "scratch"] = "concise",
    descent: Descent = Descent(0.1),
) -> Recipe:
    """Train softmax regression on Fashion-MNIST (60,000 + 10,000, 28 x 28 grey).

    Section: "softmax-regression-concise". W from N(0, 0.01^2), SGD, cross-entropy. "scratch" is
    section "softmax-regression-scratch": own model, own stable cross-entropy, own SGD. One's own
    pictures: --set dataset=image_folder --set resize=28 --data files --data-dir FOLDER.
    Expected: the book asserts train loss < 0.5 and test accuracy in (0.7, 1].
    Command: kerasd2l train softmax_regression --data files
    """
    by_hand = implementation == "scratch"
    return image_classification(
        f"softmax-regression-{implementation}",
        lambda shape, num_classes: (
            scratch.SoftmaxRegressionScratch(num_classes)
            if by_hand
            else models.softmax_regression(shape, num_classes)
        ),
        pictures=pictures,
        descent=descent,
        expected=published(pictures, 0.7, 1.0, "asserted by the book"),
        by_hand=by_hand,
    )


def stable_softmax() -> Demo:
    """Show where the textbook softmax overflows, and that taking the maximum away cures it.

    Section: "softmax-regression-concise" and "softmax-regression-scratch". The book's toy example,
    the gradient softmax(o) - y, and logits from 0 to 200 in float32.
    Expected: cross-entropy [2.3026, 0.6931], accuracy 0.5; the naive loss ends near a logit of 89.
    Command: kerasd2l run stable_softmax --out figures
    """
    return Demo("softmax-regression-concise", _compare_softmaxes)


def _compare_softmaxes() -> DemoResult:
    import tensorflow as tf

    y_hat, y = np.float32([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]), np.array([0, 2])
    logits = tf.constant([[1.0, 2.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = scratch.CrossEntropyScratch()(tf.constant([0]), logits)
    gradient = tape.gradient(loss, logits)
    scale = np.arange(0, 201, dtype=np.float32)
    pairs = np.stack([scale, np.zeros_like(scale)], axis=1)  # (n, 2), the first class is the truth
    with np.errstate(all="ignore"):
        naive = np.asarray(scratch.cross_entropy(scratch.softmax(pairs), np.ones(len(scale))))
        naive_row = np.asarray(scratch.softmax(np.float32([[1000, 0, -1000]])))[0]
    stable = -np.asarray(scratch.log_softmax(pairs))[:, 1]
    broken = scale[~np.isfinite(naive)]
    values = {
        "cross-entropy of the toy example": np.asarray(scratch.cross_entropy(y_hat, y)).tolist(),
        "accuracy of the toy example": scratch.accuracy(y_hat, y) / len(y),
        "gradient by the logits": np.asarray(gradient)[0].tolist(),
        "softmax - y": (np.asarray(scratch.stable_softmax(logits))[0] - [1, 0, 0]).tolist(),
        "naive softmax of [1000, 0, -1000]": [str(value) for value in naive_row],
        "stable softmax of [1000, 0, -1000]": np.asarray(
            scratch.stable_softmax(np.float32([[1000, 0, -1000]]))
        )[0].tolist(),
        "first logit without a naive loss": float(broken[0]),
        "stable loss there": float(stable[scale == broken[0]][0]),
    }
    curves = {"naive: -log(softmax)": naive, "stable: log-softmax": stable}
    figure = figures.lines(
        scale,
        {name: np.where(np.isfinite(curve), curve, np.nan) for name, curve in curves.items()},
        title="Loss of a wrong prediction in float32",
        xlabel="logit of the wrong class (the right one has 0)",
        ylabel="cross-entropy (nats)",
    )
    figure.axes[0].axvline(broken[0], color="tab:red", lw=0.8)
    figure.axes[0].annotate("naive: infinite", (broken[0] + 3, 20), color="tab:red")
    return DemoResult(values, {"softmax": figure})
