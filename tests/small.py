"""Small data and models for the tests of the loop: seconds to train, and every part in them."""

import keras
import numpy as np
import tensorflow as tf

from kerasd2l.data import pipeline
from kerasd2l.recipe import Data, TensorSpec
from kerasd2l.training import loop
from kerasd2l.training.strategy import make_strategy

CLASSES = 3


def data(kind="pictures", *, train=37, test=10, batch_size=8, seed=0, spoil=None):
    """Return learnable Data; 37 % 8 = 5 and 10 % 8 = 2 leave short last batches.

    `spoil(x)` may ruin the training pictures.
    """
    rng = np.random.default_rng(7)
    size = train + test
    y = rng.integers(0, CLASSES, size).astype(np.int32)
    if kind == "words":
        x = rng.integers(0, 11, (size, 5)).astype(np.int32)
        x[:, 0] = y
        spec = TensorSpec((5,), "int32")
    else:
        x = rng.normal(size=(size, 6, 6, 1)).astype(np.float32)
        x[np.arange(size), y, y, 0] += 3.0
        spec = TensorSpec((6, 6, 1))
    if spoil is not None:
        spoil(x[:train])
    arrays = (x, y)
    if kind == "weighted":
        arrays = (x, y, rng.uniform(0.2, 3.0, size).astype(np.float32))
    training = pipeline.from_arrays(
        tuple(a[:train] for a in arrays), batch_size=batch_size, seed=seed
    )
    testing = pipeline.from_arrays(tuple(a[train:] for a in arrays), batch_size=batch_size)
    return Data(
        train=training.dataset,
        valid=None,
        test=testing.dataset,
        features={"x": spec},
        assets={},
        size={"train": train, "test": test},
        order=training.order,
    )


def pictures(*, batch_norm=True, dropout=0.0, **compile_options):
    """Return a convolution with BatchNormalization and tanh: ReLU's kink would amplify rounding."""
    layers = keras.layers
    x = inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.01))(x)
    if batch_norm:
        x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.Flatten()(layers.Activation("tanh")(x))
    if dropout:
        x = layers.Dropout(dropout)(x)
    logits = layers.Dense(CLASSES, dtype="float32")(x)
    return compiled(keras.Model(inputs, logits), **compile_options)


def words(**compile_options):
    """Return an embedding: its gradients are IndexedSlices."""
    x = inputs = keras.Input((5,), dtype="int32")
    x = keras.layers.Embedding(11, 4)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return compiled(keras.Model(inputs, keras.layers.Dense(CLASSES)(x)), **compile_options)


class OwnStep(keras.Model):
    """A subclassed model with its own train_step."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(8, "tanh")
        self.norm = keras.layers.BatchNormalization(momentum=0.9)
        self.logits = keras.layers.Dense(CLASSES)

    def build(self, input_shape):
        self.hidden.build((None, 36))
        self.norm.build((None, 8))
        self.logits.build((None, 8))

    def call(self, inputs, training=False):
        hidden = self.hidden(keras.ops.reshape(inputs, (-1, 36)))
        return self.logits(self.norm(hidden, training=training))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        shown = keras.ops.mean(self.loss.call(y, y_pred))  # what Keras scales is not for showing
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(shown, sample_weight=keras.ops.shape(x)[0])
        return self.compute_metrics(x, y, y_pred)


def compiled(model, *, optimizer=None, **options):
    model.compile(
        optimizer=optimizer or keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=options.pop("jit_compile", False),
        **options,
    )
    return model


def strategy_of(replicas):
    return make_strategy("one" if replicas == 1 else "mirrored", replicas=replicas)


def train(make_model, data, *, replicas=1, epochs=3, seed=3, **options):
    """Train from the same start; return the model and its history."""
    keras.utils.set_random_seed(seed)
    strategy = strategy_of(replicas)
    with strategy.scope():
        model = make_model()
    history = loop.train(model, data, epochs=epochs, strategy=strategy, **options)
    return model, history


def difference(a, b):
    """Return the largest difference of the weights of two models."""
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    return max(float(np.max(np.abs(x - y))) for x, y in pairs)


def figures(history):
    """Return the history without times."""
    times = ("seconds", "compile_seconds", "examples_per_second")
    return [{k: v for k, v in event.items() if k not in times} for event in history]
