"""Recurrent layers with Keras' own weights, arguments and results, quicker to train on a CPU.

Sections: "rnn-concise", "gru", "lstm".
"""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable("kerasd2l")
class SimpleRNN(keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN`."""


@keras.saving.register_keras_serializable("kerasd2l")
class GRU(keras.layers.GRU):
    """`keras.layers.GRU`."""


@keras.saving.register_keras_serializable("kerasd2l")
class LSTM(keras.layers.LSTM):
    """`keras.layers.LSTM`."""
