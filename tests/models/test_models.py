"""LeNet, multilayer perceptron, softmax regression, and a model with a train_step of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.data import pipeline
from kerasd2l.models import lenet, mlp, softmax_regression
from kerasd2l.recipe import Data, Endpoint, Recipe, TensorSpec
from kerasd2l.testing import check_recipe
from kerasd2l.testing.models import check_model

PIXELS = np.random.default_rng(0).random((3, 28, 28, 1), dtype="float32")


@pytest.mark.parametrize(
    ("build", "parameters"),
    [  # inventory 3.8, 4.2, 6.6
        (softmax_regression, 784 * 10 + 10),
        (mlp, 784 * 256 + 256 + 256 * 10 + 10),
        (lenet, 156 + 2416 + 48120 + 10164 + 850),
        (lambda: lenet(activation="relu", pooling="max"), 61706),
        (lambda: mlp(hidden_units=(32, 16), activation="tanh"), 784 * 32 + 32 + 528 + 170),
    ],
)
def test_model(build, parameters):
    output = check_model(build, PIXELS, parameters=parameters)
    assert output.shape == (3, 10)


def test_published_parameter_counts():
    counts = [build().count_params() for build in (softmax_regression, mlp, lenet)]
    assert counts == [7850, 203530, 61706]


def test_lenet_has_the_shapes_of_the_book():
    # seeds/S3-notes.md:696-708, channels last
    model = lenet()
    shapes = [tuple(layer.output.shape[1:]) for layer in model.layers if layer.name != "pixels"]
    assert shapes == [
        (28, 28, 6),
        (14, 14, 6),
        (10, 10, 16),
        (5, 5, 16),
        (400,),
        (120,),
        (84,),
        (10,),
    ]


def test_lenet_computes_what_numpy_does():
    model = lenet((12, 12, 1), 3, seed=0)
    image = np.random.default_rng(1).random((1, 12, 12, 1))
    weights = [np.asarray(weight, np.float64) for weight in model.get_weights()]

    def convolve(x, kernel, bias):
        size = x.shape[1] - 4
        out = np.empty((1, size, size, kernel.shape[-1]))
        for i in range(size):
            for j in range(size):
                patch = x[:, i : i + 5, j : j + 5]
                out[:, i, j] = np.tensordot(patch, kernel, 3) + bias
        return out

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def pool(x):
        return x.reshape(1, x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean((2, 4))

    x = np.pad(image, ((0, 0), (2, 2), (2, 2), (0, 0)))
    x = pool(sigmoid(convolve(x, *weights[0:2])))
    x = pool(sigmoid(convolve(x, *weights[2:4]))).reshape(1, -1)
    x = sigmoid(x @ weights[4] + weights[5])
    x = sigmoid(x @ weights[6] + weights[7])
    np.testing.assert_allclose(model(image), x @ weights[8] + weights[9], atol=1e-5)


def test_lenet_starts_with_xavier_weights_and_zero_biases():
    model = lenet(seed=3)
    for layer in model.layers:
        if not layer.weights:
            continue
        kernel, bias = (np.asarray(weight) for weight in layer.weights)
        field = np.prod(kernel.shape[:-2], dtype=int)
        bound = np.sqrt(6 / (field * (kernel.shape[-2] + kernel.shape[-1])))
        assert np.abs(kernel).max() <= bound
        assert np.abs(kernel).max() > 0.9 * bound
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.15)
        assert not bias.any()


@pytest.mark.parametrize("build", [mlp, softmax_regression])
def test_the_linear_ones_start_with_normal_weights(build):
    for layer in build(seed=3).layers:
        if layer.weights:
            kernel, bias = (np.asarray(weight) for weight in layer.weights)
            assert kernel.std() == pytest.approx(0.01, rel=0.05)
            assert kernel.mean() == pytest.approx(0, abs=1e-3)
            assert not bias.any()


@pytest.mark.parametrize("build", [mlp, softmax_regression])
def test_stddev_scales_the_initial_weights(build):
    small, large = (build(seed=3, stddev=s).get_weights()[0] for s in (0.01, 0.5))
    np.testing.assert_allclose(large, 50 * small, rtol=1e-5)


@pytest.mark.parametrize("build", [lenet, mlp, softmax_regression])
def test_a_seed_fixes_the_weights_and_layers_differ(build):
    one, same, other = build(seed=1), build(seed=1), build(seed=2)
    for a, b in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.get_weights()[0], other.get_weights()[0])
    square = mlp((8, 1), 8, hidden_units=(8,), seed=1).get_weights()
    assert not np.array_equal(square[0], square[2])


@pytest.mark.parametrize(
    ("activation", "function"), [("relu", lambda x: np.maximum(x, 0)), ("tanh", np.tanh)]
)
def test_mlp_computes_what_numpy_does_with_its_activation(activation, function):
    model = mlp((4,), 3, hidden_units=(5, 6), activation=activation, stddev=1.0, seed=0)
    x = np.random.default_rng(0).normal(size=(2, 4))
    *hidden, (w, b) = np.array_split(np.array(model.get_weights(), dtype=object), 3)
    h = x
    for kernel, bias in hidden:
        h = function(h @ kernel + bias)
    np.testing.assert_allclose(model(x), (h @ w + b).astype(float), atol=1e-5)


def test_lenet_takes_its_activation_and_pooling():
    model = lenet(activation="relu", pooling="max")
    kinds = {type(layer) for layer in model.layers}
    assert keras.layers.MaxPooling2D in kinds and keras.layers.AveragePooling2D not in kinds
    assert model.get_layer("conv_1").activation is keras.activations.relu
    assert model.get_layer("dense_2").activation is keras.activations.relu
    assert model.get_layer("logits").activation is keras.activations.linear
    assert lenet((32, 40, 3), 4).output.shape == (None, 4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: lenet(pooling="min"),
            '`pooling` must be "average" or "max". Received: pooling=\'m',
        ),
        (lambda: lenet((8, 28, 1)), "at least 12 x 12 pixels"),
        (lambda: lenet(num_classes=1), "`num_classes` must be at least 2. Received: num_classes=1"),
        (lambda: mlp(num_classes=0), "`num_classes` must be at least 2. Received: num_classes=0"),
        (lambda: mlp(hidden_units=(3, 0)), "`hidden_units` must be positive. Received: (3, 0)"),
        (lambda: softmax_regression(num_classes=1), "`num_classes` must be at least 2"),
    ],
)
def test_wrong_arguments_are_refused(build, message):
    with pytest.raises(ValueError) as error:
        build()
    assert message in str(error.value)


# ---- A model with an own train_step, through the whole corridor


@keras.saving.register_keras_serializable(package="tests_models")
class OwnStep(keras.Model):
    """Two layers with BatchNormalization, trained by a step written out as in Keras' guides."""

    def __init__(self, units=4, classes=3, **options):
        super().__init__(**options)
        self.units, self.classes = units, classes
        self.hidden = keras.layers.Dense(units, name="hidden")
        self.norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm")
        self.logits = keras.layers.Dense(classes, dtype="float32", name="logits")

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.norm.build((*input_shape[:-1], self.units))
        self.logits.build((*input_shape[:-1], self.units))

    def call(self, inputs, training=False):
        x = self.norm(self.hidden(inputs), training=training)
        return self.logits(keras.ops.tanh(x))

    def train_step(self, data):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            prediction = self(x, training=True)
            loss = self.compute_loss(x, y, prediction, weight, training=True)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        each = keras.losses.sparse_categorical_crossentropy(y, prediction, from_logits=True)
        for metric in self.metrics:
            # Not `loss`, which on a replica is its part of the loss of the whole batch.
            values = (each,) if metric.name == "loss" else (y, prediction)
            metric.update_state(*values)
        return self.get_metrics_result()

    def get_config(self):
        return {**super().get_config(), "units": self.units, "classes": self.classes}


def points(source):
    """30 + 7 points of three classes: with batches of 8 the last ones have 6 and 7."""
    rng = np.random.default_rng(5)
    y = np.arange(37, dtype="int32") % 3
    x = (rng.normal(size=(37, 2)) + 2 * np.stack([y == 1, y == 2], -1)).astype("float32")
    train = pipeline.from_arrays((x[:30], y[:30]), batch_size=8, seed=1)
    test = pipeline.from_arrays((x[30:], y[30:]), batch_size=8)
    return Data(
        train=train.dataset,
        valid=None,
        test=test.dataset,
        features={"point": TensorSpec((2,))},
        assets={"class_names": ["a", "b", "c"]},
        size={"train": 30, "test": 7},
        order=train.order,
    )


def classify(model, assets):
    def serve(point):
        probabilities = tf.nn.softmax(model(point, training=False))
        names = tf.constant(assets["class_names"])
        return {
            "probabilities": probabilities,
            "class_names": tf.gather(names, tf.argmax(probabilities, -1)),
        }

    return serve


def own_step_recipe(**changes):
    values = {
        "section": "tests",
        "dataset": "points",
        "data": points,
        "model": lambda data: OwnStep(units=5),
        "optimizer": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        "loss": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": lambda: [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        "epochs": 1,
        "batch_size": 8,
        "name": "tests/own_step",
        "endpoints": (
            Endpoint(
                "serving_default",
                {"point": TensorSpec((None, 2))},
                classify,
                lambda: {"point": np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])},
            ),
        ),
    }
    return Recipe(**values | changes)


@pytest.mark.slow
def test_a_model_with_an_own_train_step_goes_through_the_whole_corridor(tmp_path):
    recipe = own_step_recipe()
    summary = check_recipe(recipe, tmp_path, source=None, limit_steps=4)
    assert summary["examples"] == {"train": 30, "test": 7}
    assert summary["savedmodel"] == str(tmp_path / "savedmodels" / "own_step" / "1")


def test_a_model_with_an_own_train_step_reloads_elsewhere():
    check_model(
        lambda: OwnStep(units=5),
        np.ones((2, 2)) * [[1], [-2]],
        parameters=(2 * 5 + 5) + 4 * 5 + (5 * 3 + 3),
        modules=[__name__],
    )
