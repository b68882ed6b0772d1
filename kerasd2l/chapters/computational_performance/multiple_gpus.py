"""12.5 Training on multiple GPUs.

Run as a program it computes the JAX part of `sharded_transformer`, in a process of its own:
python -m kerasd2l.chapters.computational_performance.multiple_gpus DEVICES LAYERS SEED
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any, Literal

from kerasd2l import data, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

by_hand = lazy("kerasd2l.scratch.data_parallel")
cut = lazy("kerasd2l.scratch.model_parallel")
keras = lazy("keras")
models = lazy("kerasd2l.models")
np = lazy("numpy")
tf = lazy("tensorflow")


def multiple_gpus(
    *,
    num_gpus: int = 2,
    source: data.Kind = "builtin",
    learning_rate: float = 0.2,
    batch_size: int = 256,
    epochs: int = 10,
    dtype: Literal["float32", "float64"] = "float32",
    seed: int = 0,
) -> Demo:
    """Train LeNet by hand on several devices, and beside it on one: the same numbers.

    Section: "multiple-gpus". split_batch, allreduce, parameters on every device; LeNet with 20 and
    50 channels, ReLU, weights from N(0, 0.01^2), SGD 0.2, batches of 256 (of all devices). Where
    there are too few GPUs, the CPU counts as several devices. Sums are rounded in another order on
    several devices; hundreds of steps make that grow, which --set dtype=float64 shows.
    60 batches of the built-in digits are too few to leave weights that small: the loss stays at
    ln 10 = 2.303. With --set batch_size=16 --set epochs=12 they are learned to 0.97.
    Expected: allreduce of [1, 1] and [2, 2] is [3, 3] on both; with --set source=files test
    accuracy 0.83-0.84 (d2l-zh notebooks), with one device and with two.
    Command: kerasd2l run multiple_gpus --set source=files --out figures
    """
    if num_gpus < 1 or epochs < 1 or not 0 < learning_rate < float("inf"):
        raise ValueError(
            "`num_gpus` and `epochs` must be at least 1, `learning_rate` positive. "
            f"Received: {num_gpus}, {epochs}, {learning_rate}."
        )
    if batch_size < num_gpus:
        raise ValueError(
            "`batch_size` must be an example for each device at least. "
            f"Received: batch_size={batch_size}, num_gpus={num_gpus}."
        )

    def run() -> DemoResult:
        devices = scratch.logical_devices(num_gpus)
        loaded = data.fashion_mnist.load(data.Source(source, seed=seed), batch_size=batch_size)
        shape = loaded.features["pixels"].shape
        start = scratch.lenet_params(shape, len(loaded.assets["class_names"]), seed=seed)
        params = [p.astype(dtype) for p in start]

        def batches(dataset: Any) -> Any:
            """Leave out a last batch with fewer examples than devices."""
            return ((tf.cast(X, dtype), y) for X, y in dataset if len(X) >= num_gpus)

        runs = {}
        for count in sorted({1, num_gpus}):
            runs[count] = scratch.train_data_parallel(
                (batches(loaded.epoch(i)) for i in range(epochs)),
                loaded.test.map(lambda X, y: (tf.cast(X, dtype), y)),
                params,
                devices[:count],
                learning_rate,
            )
        return _compared(runs, devices)

    return Demo("multiple-gpus", run)


def _compared(runs: dict[int, Any], devices: list[str]) -> DemoResult:
    (alone, _), (shared, _) = runs[1], runs[max(runs)]
    sums = [tf.ones((1, 2)) * (i + 1) for i in range(2)]
    scratch.allreduce(sums)
    X_pieces, _ = scratch.split_batch(
        tf.reshape(tf.range(20), (4, 5)), tf.range(4), [devices[0], devices[-1]]
    )
    values: dict[str, Any] = {
        "devices": devices,
        "allreduce of [1, 1] and [2, 2]": [total.numpy().tolist() for total in sums],
        "arange(20) as 4 x 5, cut in two": [piece.numpy().tolist() for piece in X_pieces],
        "largest difference of weights from one device": max(
            float(np.abs(a.numpy() - b.numpy()).max())
            for a, b in zip(alone[0], shared[0], strict=True)
        ),
        "largest difference between the devices": max(
            float(np.abs(a.numpy() - b.numpy()).max())
            for copy in shared
            for a, b in zip(copy, shared[0], strict=True)
        ),
    }
    for count, (_, history) in runs.items():
        name = "1 device" if count == 1 else f"{count} devices"
        values[name] = {
            "train loss": [epoch["train_loss"] for epoch in history],
            "test accuracy": [epoch["test_accuracy"] for epoch in history],
            "seconds an epoch": [epoch["seconds"] for epoch in history],
        }
    figure, (panels,) = figures.new_figure(1, 2)
    for axes, key in zip(panels, ("train_loss", "test_accuracy"), strict=True):
        for style, (count, (_, history)) in zip(("-o", "--x"), runs.items(), strict=False):
            epochs = np.arange(1, len(history) + 1)
            axes.plot(epochs, [one[key] for one in history], style, label=f"{count} device(s)")
        axes.set(title=key.replace("_", " "), xlabel="epoch", ylabel=key.replace("_", " "))
        axes.grid(alpha=0.3)
        axes.legend()
    return DemoResult(values, {"multiple_gpus": figure})


def model_parallelism(*, batch_size: int = 64, pieces: int = 4, seed: int = 0) -> Demo:
    """Put the layers of LeNet on two devices, and cut a perceptron's matrices over two.

    Section: "multiple-gpus". Model parallelism: the convolutions on one device, the dense layers on
    another; with the batch in `pieces`, both can be at work. Tensor parallelism ("by channels"):
    784 -> 256 by columns, ReLU, 256 -> 10 by rows; one all-reduce of the outputs, and an all-gather
    where the hidden units are wanted in one place. The drawing is the time table of a pipeline.
    Expected: outputs and gradients of one device, to 1e-5 of their size.
    Command: kerasd2l run model_parallelism --out figures
    """
    if not 1 <= pieces <= batch_size:
        raise ValueError(
            "`pieces` must be 1 to `batch_size`. "
            f"Received: pieces={pieces}, batch_size={batch_size}."
        )

    def run() -> DemoResult:
        devices = scratch.logical_devices(2)
        random = np.random.default_rng(seed)
        X = tf.constant(random.uniform(size=(batch_size, 28, 28, 1)).astype(np.float32))
        y = tf.constant(random.integers(0, 10, batch_size))
        params = [10 * p for p in scratch.lenet_params(seed=seed)]
        values = {
            "devices": devices,
            "layers on two devices": _layers_on_devices(X, y, params, devices, pieces),
            "matrices on two devices": _matrices_on_devices(X, random, devices),
            "share of time that nothing is done": {
                f"2 stages, {m} pieces": cut.bubble(2, m) for m in (1, 2, 4, 8)
            },
        }
        return DemoResult(values, {"pipeline": _draw_pipeline(2, pieces)})

    return Demo("multiple-gpus", run)


def _layers_on_devices(X, y, params, devices, pieces: int) -> dict[str, Any]:
    stages = [by_hand.lenet_convolutions, by_hand.lenet_dense]
    parts = [scratch.get_params(params[:4], devices[0]), scratch.get_params(params[4:], devices[1])]
    whole = scratch.get_params(params, devices[0])
    with tf.GradientTape() as tape:
        loss = by_hand.sum_of_losses(y, by_hand.lenet(X, whole))
    wanted = tape.gradient(loss, whole)
    # In a graph the pieces' operations run as soon as what they need is there.
    graph = tf.function(lambda: cut.pipeline_gradients(X, y, stages, parts, devices, pieces=pieces))
    found, grads = graph()
    seconds = {}
    for number in sorted({1, pieces}):
        one = tf.function(
            lambda number=number: cut.pipeline_gradients(
                X, y, stages, parts, devices, pieces=number
            )
        )
        seconds[f"{number} pieces"] = scratch.best_seconds(lambda one=one: one()[0].numpy())
    return {
        "weights on each device": [sum(w.shape.num_elements() for w in part) for part in parts],
        "loss": float(found),
        "loss on one device": float(loss),
        "largest difference of gradients, relative": _difference([*grads[0], *grads[1]], wanted),
        "seconds of a step": seconds,
    }


def _matrices_on_devices(X, random, devices) -> dict[str, Any]:
    flat = tf.reshape(X, (len(X), -1))
    W1, b1, W2, b2 = (
        random.normal(0, 0.1, shape).astype(np.float32)
        for shape in ((flat.shape[1], 256), (256,), (256, 10), (10,))
    )
    whole = [tf.Variable(w) for w in (W1, b1, W2, b2)]
    with tf.GradientTape() as tape:
        Y = tf.matmul(tf.nn.relu(tf.matmul(flat, whole[0]) + whole[1]), whole[2]) + whole[3]
        loss = tf.reduce_sum(Y**2)
    wanted = tape.gradient(loss, whole)
    W1s, b1s = cut.split_kernel(W1, devices, 1), cut.split_kernel(b1, devices, 0)
    W2s, last = cut.split_kernel(W2, devices, 0), tf.Variable(b2)
    with tf.GradientTape() as tape:
        hidden = cut.column_parallel(flat, W1s, b1s, devices)
        outputs = cut.row_parallel([tf.nn.relu(h) for h in hidden], W2s, last, devices)
        loss = tf.reduce_sum(outputs[0] ** 2)
    n = len(devices)
    grads = tape.gradient(loss, [*W1s, *b1s, *W2s, last])
    together = [
        tf.concat(grads[:n], 1),
        tf.concat(grads[n : 2 * n], 0),
        tf.concat(grads[2 * n : 3 * n], 0),
        grads[-1],
    ]
    gathered = cut.all_gather(hidden, devices)
    return {
        "hidden units on each device": [h.shape[1] for h in hidden],
        "after the all-gather": [h.shape[1] for h in gathered],
        "largest difference of outputs, relative": _difference(outputs, [Y] * n),
        "largest difference of gradients, relative": _difference(together, wanted),
    }


def _difference(tensors: Any, wanted: Any) -> float:
    """Return the largest difference, relative to the largest number of each tensor."""
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(tensors, wanted, strict=True)]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def _draw_pipeline(stages: int, pieces: int):
    """Draw which device works on which piece when: forwards, then backwards."""
    figure, panels = figures.new_figure(width=7, height=2.4)
    axes = panels[0, 0]
    turn = pieces + stages - 1
    for piece in range(pieces):
        for stage in range(stages):
            for start, colour, row in (
                (piece + stage, "tab:blue", stage),
                (turn + piece + stage, "tab:orange", stages - 1 - stage),
            ):
                axes.barh(row, 1, left=start, color=colour, edgecolor="white")
                axes.text(start + 0.5, row, str(piece + 1), ha="center", va="center", color="w")
    axes.set_yticks(range(stages), [f"device {i + 1}" for i in range(stages)])
    axes.invert_yaxis()
    axes.set(
        title="A pipeline: pieces forwards (blue) and backwards (orange)",
        xlabel="time, in pieces of a stage",
        xlim=(0, 2 * turn),
    )
    return figure


def sharded_transformer(*, num_devices: int = 8, num_layers: int = 2, seed: int = 0) -> Demo:
    """Cut a Transformer's weights over devices with `keras.distribution`, on the JAX backend.

    Section: "multiple-gpus". The Transformer of this library in a process with Keras' JAX backend
    and 8 devices that are one CPU: 2 parts of the batch x 4 parts of each weight, as
    `models.transformer_layout` says. The whole model and the cut one get the same weights; compared
    are logits, and weights after a step of SGD.
    Needs JAX (pip install jax), which this library does without; says so where it is missing.
    Expected: equal logits and weights, to 1e-5; a device holds about a quarter of the weights.
    Command: kerasd2l run sharded_transformer
    """
    if num_devices not in (2, 4, 8) or num_layers < 1:
        raise ValueError(
            "`num_devices` must be 2, 4 or 8, `num_layers` at least 1. "
            f"Received: num_devices={num_devices}, num_layers={num_layers}."
        )

    def run() -> DemoResult:
        if importlib.util.find_spec("jax") is None:
            return DemoResult({"JAX": "is not installed: pip install jax"})
        numbers = [str(number) for number in (num_devices, num_layers, seed)]
        command = [sys.executable, "-m", __name__, *numbers]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the process with JAX failed: {done.stderr.strip()[-2000:]}")
        return DemoResult(json.loads(done.stdout.splitlines()[-1]))

    return Demo("multiple-gpus", run)


def _transformers(num_devices: int, num_layers: int, seed: int) -> dict[str, Any]:
    """Compare a whole Transformer with one that is cut over JAX's devices."""
    random = np.random.default_rng(seed)
    tokens = random.integers(1, 64, (3, 8, 10)).astype("int32")
    inputs = {"source": tokens[0], "decoder_input": tokens[1]}
    inputs["source_lengths"] = random.integers(1, 11, 8).astype("int32")

    def trained(weights: Any = None) -> tuple[Any, Any, list, list]:
        net = models.transformer(64, 64, num_layers=num_layers, dropout_rate=0, seed=seed)
        net(inputs)
        if weights is not None:
            net.set_weights(weights)
        before = net.get_weights()
        logits = np.asarray(net.predict_on_batch(inputs))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        net.compile(keras.optimizers.SGD(0.1), loss)
        net.train_on_batch(inputs, tokens[2])
        return net, logits, before, net.get_weights()

    _, logits, before, after = trained()
    distribution = keras.distribution
    parts = max(1, num_devices // 2)
    mesh = distribution.DeviceMesh((num_devices // parts, parts), ("batch", "model"))
    distribution.set_distribution(
        distribution.ModelParallel(
            layout_map=models.transformer_layout(mesh), batch_dim_name="batch"
        )
    )
    net, cut_logits, _, cut_after = trained(before)
    held = sum(w.value.addressable_shards[0].data.size for w in net.weights)
    kernel = net.encoder.blocks[0].ffn.dense1.kernel
    return {
        "backend": keras.backend.backend(),
        "devices": [str(device) for device in distribution.list_devices()],
        "mesh": {"batch": num_devices // parts, "model": parts},
        "weights": net.count_params(),
        "weights on a device": int(held),
        "a matrix, and its part on a device": [
            list(kernel.shape),
            list(kernel.value.addressable_shards[0].data.shape),
        ],
        "largest difference of logits": float(np.abs(cut_logits - logits).max()),
        "largest difference of weights after a step": max(
            float(np.abs(a - b).max()) for a, b in zip(cut_after, after, strict=True)
        ),
        "largest change of a weight by the step": max(
            float(np.abs(a - b).max()) for a, b in zip(after, before, strict=True)
        ),
    }


def _main() -> None:
    """Set up Keras' JAX backend before it is imported, compute, print JSON."""
    num_devices, num_layers, seed = (int(word) for word in sys.argv[1:])
    os.environ["KERAS_BACKEND"] = "jax"
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={num_devices}"
    print(json.dumps(_transformers(num_devices, num_layers, seed)))


if __name__ == "__main__":
    _main()
