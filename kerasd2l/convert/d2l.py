"""State dicts of the book's own PyTorch models, with the keys of the d2l package's torch module.

What the package leaves to the book's pages (the decoders) has the keys of these pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.convert.bert import built_bert, heads_there
from kerasd2l.convert.reading import Checkpoint
from kerasd2l.convert.rules import (
    Family,
    Plan,
    Rule,
    agree,
    count,
    dense,
    gru,
    norm,
    renumber,
    same,
    shape_of,
    with_heads,
)
from kerasd2l.data import bert_inputs

if TYPE_CHECKING:
    import keras
else:
    keras = lazy("keras")

models = lazy("kerasd2l.models")

SIGNS = {sign: sign for sign in ("<unk>", *bert_inputs.RESERVED)}


# BERT


def _bert(checkpoint: Checkpoint, settings: Mapping[str, Any], use_tokens: bool) -> Plan:
    arrays, tokens = dict(checkpoint.arrays), None
    vocab_size, num_hiddens = shape_of(arrays, "encoder.token_embedding.weight", 2)
    layers = count(arrays, r"encoder\.blks\.(\d+)\.")
    sizes = {
        "vocab_size": vocab_size,
        "num_hiddens": num_hiddens,
        "ffn_num_hiddens": shape_of(arrays, "encoder.blks.0.ffn.dense1.weight", 2)[0],
        "num_layers": layers,
        "max_len": shape_of(arrays, "encoder.pos_embedding", 3)[1],
    }
    arguments = with_heads(agree(sizes, settings, "--to or --set"))
    if use_tokens and checkpoint.tokens:
        rows = ("encoder.token_embedding.weight", "mlm.mlp.3.weight", "mlm.mlp.3.bias")
        arrays, tokens = renumber(arrays, rows, checkpoint.tokens, SIGNS)
    rules = [
        *same("encoder/token_embedding/embeddings", "encoder.token_embedding.weight"),
        *same("encoder/segment_embedding/embeddings", "encoder.segment_embedding.weight"),
        Rule("encoder/positions/embeddings", ("encoder.pos_embedding",), lambda p: p.squeeze(0)),
    ]
    for i in range(layers):
        rules += _block(f"encoder/block{i + 1}", f"encoder.blks.{i}", use_bias=True)
    heads = {
        "hidden": dense("hidden", "hidden.0"),
        "mlm": [
            *dense("mlm/dense", "mlm.mlp.0"),
            *norm("mlm/norm", "mlm.mlp.2"),
            *dense("mlm/output", "mlm.mlp.3"),
        ],
        "nsp": dense("nsp/dense", "nsp.output"),
    }
    more, fresh = heads_there(arrays, heads, {part: f"{part}." for part in heads})
    words = bert_inputs.TOKENIZER.to_assets()
    return Plan(lambda: built_bert(arguments), rules + more, arrays, fresh, tokens, words)


def _block(ours: str, theirs: str, use_bias: bool, decoder: bool = False) -> list[Rule]:
    """Take a block of a Transformer: attention, in a decoder to two sides, a network, norms."""
    attentions = {"attention": "attention"}
    if decoder:
        attentions = {"attention": "attention1", "cross_attention": "attention2"}
    rules = []
    for mine, other in attentions.items():
        for part in ("W_q", "W_k", "W_v", "W_o"):
            rules += dense(f"{ours}/{mine}/{part}", f"{theirs}.{other}.{part}", use_bias)
    for part in ("dense1", "dense2"):
        rules += dense(f"{ours}/ffn/{part}", f"{theirs}.ffn.{part}")
    for i in range(1, len(attentions) + 2):
        rules += norm(f"{ours}/norm{i}", f"{theirs}.addnorm{i}.ln")
    return rules


# Encoders, and decoders behind them


def _seq2seq(checkpoint: Checkpoint, settings: Mapping[str, Any], use_tokens: bool) -> Plan:
    arrays = checkpoint.arrays
    rules, sizes = _recurrent(arrays, "encoder", "encoder.")
    more, others = _recurrent(arrays, "decoder", "decoder.")
    source, target = sizes.pop("vocab_size"), others.pop("vocab_size")
    arguments = agree(agree(sizes, others, "the decoder"), settings, "--set")
    rules += more + dense("decoder/dense", "decoder.dense")
    return Plan(lambda: _built(models.seq2seq(source, target, **arguments)), rules, arrays)


def _seq2seq_encoder(checkpoint: Checkpoint, settings: Mapping[str, Any], use_tokens: bool) -> Plan:
    rules, sizes = _recurrent(checkpoint.arrays, "encoder", "")
    arguments = agree(sizes, settings, "--set")

    def build() -> Any:
        inputs = _sources()
        outputs, _ = models.Seq2SeqEncoder(**arguments, name="encoder")(*inputs.values())
        return keras.Model(inputs, outputs, name="seq2seq_encoder")

    return Plan(build, rules, checkpoint.arrays)


def _recurrent(arrays: Mapping[str, np.ndarray], ours: str, theirs: str) -> tuple[list[Rule], dict]:
    """Return the rules of an embedding and a stack of GRU layers, and its sizes."""
    rnn = f"{theirs}rnn.rnn"
    if not any(name.startswith(f"{rnn}.") for name in arrays):  # as in the earlier edition
        rnn = f"{theirs}rnn"
    vocab_size, embed_size = shape_of(arrays, f"{theirs}embedding.weight", 2)
    layers = count(arrays, rf"{re.escape(rnn)}\.(?:weight|bias)_[ih]h_l(\d+)$")
    rules = same(f"{ours}/embedding/embeddings", f"{theirs}embedding.weight")
    for i in range(layers):
        rules += gru(f"{ours}/stack/gru_{i}/gru_cell", rnn, i)
    hiddens = shape_of(arrays, f"{rnn}.weight_hh_l0", 2)[1]
    sizes = {"vocab_size": vocab_size, "embed_size": embed_size, "num_hiddens": hiddens}
    return rules, {**sizes, "num_layers": layers}


def _transformer(checkpoint: Checkpoint, settings: Mapping[str, Any], use_tokens: bool) -> Plan:
    arrays = checkpoint.arrays
    rules, sizes = _attentive(arrays, "encoder", "encoder.")
    more, others = _attentive(arrays, "decoder", "decoder.", "attention1")
    source, target = sizes.pop("vocab_size"), others.pop("vocab_size")
    arguments = with_heads(agree(agree(sizes, others, "the decoder"), settings, "--set"))
    rules += more + dense("decoder/dense", "decoder.dense")
    return Plan(lambda: _built(models.transformer(source, target, **arguments)), rules, arrays)


def _transformer_encoder(
    checkpoint: Checkpoint, settings: Mapping[str, Any], use_tokens: bool
) -> Plan:
    rules, sizes = _attentive(checkpoint.arrays, "encoder", "")
    arguments = with_heads(agree(sizes, settings, "--set"))

    def build() -> Any:
        inputs = _sources()
        outputs = models.TransformerEncoder(**arguments, name="encoder")(*inputs.values())
        return keras.Model(inputs, outputs, name="transformer_encoder")

    return Plan(build, rules, checkpoint.arrays)


def _attentive(
    arrays: Mapping[str, np.ndarray], ours: str, theirs: str, attention: str = "attention"
) -> tuple[list[Rule], dict]:
    """Return the rules of an embedding and the blocks of a Transformer, and its sizes."""
    vocab_size, num_hiddens = shape_of(arrays, f"{theirs}embedding.weight", 2)
    blocks = f"{theirs}blks.block"
    layers = count(arrays, rf"{theirs}blks\.block(\d+)\.")
    use_bias = f"{blocks}0.{attention}.W_q.bias" in arrays
    rules = same(f"{ours}/embedding/embeddings", f"{theirs}embedding.weight")
    for i in range(layers):
        block = f"{ours}/block{i + 1}"
        rules += _block(block, f"{blocks}{i}", use_bias, decoder=attention != "attention")
    sizes = {
        "vocab_size": vocab_size,
        "num_hiddens": num_hiddens,
        "num_layers": layers,
        "ffn_num_hiddens": shape_of(arrays, f"{blocks}0.ffn.dense1.weight", 2)[0],
        "use_bias": use_bias,
    }
    return rules, sizes


def _sources() -> dict[str, Any]:
    """Return the inputs of an encoder alone."""
    return {
        "source": keras.Input((None,), dtype="int32", name="source"),
        "source_lengths": keras.Input((), dtype="int32", name="source_lengths"),
    }


def _built(model: Any) -> Any:
    """Build a translator for sentences of any length."""
    tokens = dict.fromkeys(("source", "decoder_input"), (None, None))
    model.build({**tokens, "source_lengths": (None,)})
    return model


BERT = Family("d2l's BERTModel", r"encoder\.(token_embedding|blks\.\d+)\..*", _bert)
SEQ2SEQ = Family("d2l's Seq2Seq", r"decoder\.rnn\..*", _seq2seq)
SEQ2SEQ_ENCODER = Family("d2l's Seq2SeqEncoder", r"rnn\..*", _seq2seq_encoder)
TRANSFORMER = Family("d2l's Transformer", r"decoder\.blks\.block\d+\..*", _transformer)
TRANSFORMER_ENCODER = Family(
    "d2l's TransformerEncoder", r"blks\.block\d+\..*", _transformer_encoder
)
