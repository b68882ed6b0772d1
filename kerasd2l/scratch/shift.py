"""Training on one distribution, serving another: weights that correct for the shift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def covariate_shift_weights(
    source: np.ndarray, target: np.ndarray, *, clip: float | None = None
) -> np.ndarray:
    """Estimate p(x) / q(x) for each source example: how much more common it is in the target.

    A logistic regression tells target (p) from source (q) examples; its logit h(x) is
    log p(x) n_p / q(x) n_q, so the weight is exp(h(x)) n_q / n_p. P(y | x) is taken to be the same
    in both. Section: "environment".

    Args:
        source: (n, D) inputs of the labelled examples.
        target: (m, D) inputs from where the model will be used, without labels.
        clip: float or None, the largest weight: a few huge ones make the training noisy.

    Returns:
        (n,) positive weights; their mean is about 1.

    Raises:
        ValueError: inputs of different width, or NaN in them.
    """
    from sklearn.linear_model import LogisticRegression

    source, target = _table(source, "source"), _table(target, "target")
    if source.shape[1] != target.shape[1]:
        raise ValueError(
            "`source` and `target` must have as many columns. "
            f"Received: {source.shape[1]} and {target.shape[1]}."
        )
    x = np.concatenate([source, target])
    centre, scale = x.mean(0), x.std(0) + 1e-12
    is_target = np.repeat([0, 1], [len(source), len(target)])
    domain = LogisticRegression(C=1e4, max_iter=1000).fit((x - centre) / scale, is_target)
    logit = domain.decision_function((source - centre) / scale)  # (n,)
    weights = np.exp(logit) * len(source) / len(target)
    return weights if clip is None else np.minimum(weights, clip)


def confusion_matrix(
    labels: Sequence[int], predictions: Sequence[int], num_classes: int
) -> np.ndarray:
    """Return C with C[i, j] = the share of the examples of class j that are predicted as i.

    Section: "environment".

    Args:
        labels: (n,) int, the true classes.
        predictions: (n,) int.
        num_classes: int, K.

    Returns:
        (K, K), columns sum to 1.

    Raises:
        ValueError: a class without an example.
    """
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (np.asarray(predictions), np.asarray(labels)), 1)
    totals = counts.sum(0)
    if not totals.all():
        raise ValueError(
            "every class needs examples to tell how often it is mistaken. "
            f"Without any: {np.flatnonzero(totals == 0).tolist()}."
        )
    return counts / totals


def label_shift_prior(confusion: np.ndarray, target_predictions: Sequence[int]) -> np.ndarray:
    """Estimate how common each class is in the target, from predictions alone.

    What the model predicts there is mu = C p(y), so p(y) = C^-1 mu. P(x | y) is taken to be the
    same in source and target. Section: "environment".

    Args:
        confusion: (K, K) of `confusion_matrix`, on held-out source examples.
        target_predictions: (m,) int, predictions of the same model on the target.

    Returns:
        (K,) not negative, sums to 1. Weights of the source examples are `prior[y] / q[y]`.

    Raises:
        ValueError: the model confuses the classes so much that C has no inverse.
    """
    classes = len(confusion)
    mu = np.bincount(np.asarray(target_predictions), minlength=classes) / len(target_predictions)
    if np.linalg.cond(confusion) > 1e6:
        raise ValueError(
            "the confusion matrix has no inverse: the model does not tell the classes apart. "
            "Use a better model."
        )
    prior = np.maximum(np.linalg.solve(confusion, mu), 0)  # noise can push a rare class below 0
    return prior / prior.sum()


def _table(x: np.ndarray, name: str) -> np.ndarray:
    x = np.asarray(x, float)
    x = x[:, None] if x.ndim == 1 else x
    if not np.isfinite(x).all():
        raise ValueError(f"`{name}` must be finite numbers. Received NaN or infinity.")
    return x
