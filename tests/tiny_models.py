"""Small models and pictures for the tests of this folder."""

import io

import keras
import numpy as np

CLASSES = ["t-shirt", "trouser", "ankle boot"]


@keras.saving.register_keras_serializable(package="tests_export")
class Subclassed(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(units)

    def build(self, input_shape):
        self.dense.build((None, 28 * 28))

    def call(self, inputs, training=False):
        return self.dense(self.flatten(inputs))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def make_linear(seed=0):
    inputs = keras.Input((28, 28, 1))
    start = keras.initializers.RandomNormal(stddev=0.05, seed=seed)
    x = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=start)(x))


def make_normed():
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(8, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5, seed=1)(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    norm = model.layers[3]
    norm.set_weights([np.linspace(low, high, 8) for low, high in ((1, 2), (-1, 1), (0, 1), (1, 3))])
    return model


def make_subclassed():
    model = Subclassed(name="own")
    model.build((None, 28, 28, 1))
    return model


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
