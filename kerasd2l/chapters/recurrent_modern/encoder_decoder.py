"""9.6 The encoder-decoder architecture."""

from __future__ import annotations

from typing import Literal

from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

models = lazy("kerasd2l.models")
np = lazy("numpy")


def encoder_decoder(*, cell: Literal["gru", "lstm"] = "gru") -> Demo:
    """Put an encoder and a decoder together, and follow the shapes through them.

    Section: "encoder-decoder". The book's sizes: vocabulary 10, embedding 8, two layers of 16
    units, 4 sentences of 7 tokens; then the same sentences padded to 12, and decoded step by step.
    Expected: outputs (4, 7, 16), states (2, 4, 16), logits (4, 7, 10) as the book's, batch first;
    neither padding nor steps change the logits by more than rounding does.
    Command: kerasd2l run encoder_decoder --set cell=lstm
    """
    return Demo("encoder-decoder", lambda: _follow_shapes(cell))


def _follow_shapes(cell: str) -> DemoResult:
    sizes = {"vocab_size": 10, "embed_size": 8, "num_hiddens": 16, "num_layers": 2}
    encoder = models.Seq2SeqEncoder(**sizes, cell=cell, seed=0)
    decoder = models.Seq2SeqDecoder(**sizes, cell=cell, seed=1)
    model = models.EncoderDecoder(encoder, decoder)
    source = np.random.RandomState(0).randint(0, 10, (4, 7)).astype("int32")
    lengths = np.array([7, 5, 3, 1], "int32")
    outputs, states = encoder(source, lengths)
    target = source[::-1]
    inputs = {"source": source, "source_lengths": lengths, "decoder_input": target}
    logits = np.asarray(model(inputs))
    padded = {**inputs, "source": np.pad(source, ((0, 0), (0, 5)))}
    ignored = {key: inputs[key] for key in ("source", "decoder_input")}
    state, steps = model.encode(source, lengths), []
    for step in range(target.shape[1]):
        part, state = model.decode(target[:, step : step + 1], state)
        steps.append(np.asarray(part))
    hidden = np.stack([np.asarray(layer[0]) for layer in states])
    values = {
        "source (B, S)": list(source.shape),
        "outputs of the encoder (B, S, H)": list(outputs.shape),
        "hidden states of the encoder (layers, B, H)": list(hidden.shape),
        "states in each layer": len(states[0]),
        "logits of the decoder (B, T, V)": list(logits.shape),
        "parameters": model.count_params(),
        "change of the logits by longer padding": float(np.abs(model(padded) - logits).max()),
        "change if the padding were read as words": float(np.abs(model(ignored) - logits).max()),
        "change if decoded step by step": float(
            np.abs(np.concatenate(steps, axis=1) - logits).max()
        ),
    }
    return DemoResult(values)
