"""4.8 Forward propagation, backward propagation and computational graphs."""

from __future__ import annotations

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")


def backpropagation(*, weight_decay: float = 0.1, seed: int = 0) -> Demo:
    """Differentiate a perceptron with a hidden layer and an L2 penalty: by hand, tape, differences.

    Section: "backprop". 8 examples of 3 numbers, 5 hidden ReLU units, 2 outputs, in float64.
    Expected: the three ways agree to about 1e-8.
    Command: kerasd2l run backpropagation
    """
    if not weight_decay >= 0:
        raise ValueError(
            f"`weight_decay` must not be negative. Received: weight_decay={weight_decay}."
        )
    return Demo(section="backprop", run=lambda: _compare_gradients(weight_decay, seed))


def _compare_gradients(lambd: float, seed: int) -> DemoResult:
    import tensorflow as tf

    random = np.random.default_rng(seed)
    X, y = random.normal(size=(8, 3)), random.normal(size=(8, 2))
    W1, W2 = random.normal(size=(3, 5)), random.normal(size=(5, 2))
    objective, *by_hand = scratch.backpropagate(X, y, W1, W2, lambd)
    weights = [tf.Variable(W1), tf.Variable(W2)]
    with tf.GradientTape() as tape:
        output = tf.nn.relu(X @ weights[0]) @ weights[1]
        loss = tf.reduce_mean(tf.reduce_sum((output - y) ** 2, axis=1)) / 2
        penalty = lambd / 2 * sum(tf.reduce_sum(W**2) for W in weights)
        total = loss + penalty
    by_tape = tape.gradient(total, weights)
    step, differences = 1e-6, []
    for i, W in enumerate((W1, W2)):
        numeric = np.zeros_like(W)
        for place in np.ndindex(W.shape):
            ends = []
            for sign in (1, -1):
                moved = [W1.copy(), W2.copy()]
                moved[i][place] += sign * step
                ends.append(scratch.backpropagate(X, y, *moved, lambd)[0])
            numeric[place] = (ends[0] - ends[1]) / (2 * step)
        differences.append(float(np.max(np.abs(numeric - by_hand[i]))))
    values = {
        "objective by hand": objective,
        "objective by TensorFlow": float(total),
        "largest difference from the tape": max(
            float(np.max(np.abs(mine - tape_.numpy())))
            for mine, tape_ in zip(by_hand, by_tape, strict=True)
        ),
        "largest difference from finite differences": max(differences),
    }
    return DemoResult(values)
