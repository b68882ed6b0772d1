"""BERT with Hugging Face's key names: safetensors, and beside it `config.json` and `vocab.txt`.

Where there is a `tokenizer_config.json`, it says whether words become lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.convert.bert import built_bert, heads_there
from kerasd2l.convert.reading import Checkpoint, ConvertError
from kerasd2l.convert.rules import (
    Family,
    Plan,
    Rule,
    agree,
    count,
    dense,
    norm,
    renumber,
    same,
    shape_of,
    with_heads,
)
from kerasd2l.data import word_pieces

models = lazy("kerasd2l.models")

SIGNS = {
    "<unk>": "[UNK]",
    "<pad>": "[PAD]",
    "<mask>": "[MASK]",
    "<cls>": "[CLS]",
    "<sep>": "[SEP]",
}
ACTIVATIONS = ("gelu", "relu", "silu", "tanh")  # the same functions under the same names in Keras
# What config.json calls the sizes that the weights tell.
_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "num_hiddens",
    "intermediate_size": "ffn_num_hiddens",
    "num_hidden_layers": "num_layers",
    "max_position_embeddings": "max_len",
}
# What config.json must say where it says anything: our BERT is no other.
_ONLY = {
    "model_type": "bert",
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "is_decoder": False,
    "add_cross_attention": False,
}
# What tokenizer_config.json must say where it says anything: our words are those of no other.
_ONLY_WORDS: dict[str, tuple[Any, ...]] = {
    "tokenizer_class": ("BertTokenizer", "BertTokenizerFast", None),
    "do_basic_tokenize": (True,),
    "tokenize_chinese_chars": (True, None),
    "never_split": (None, []),
    "word_tokenizer_type": ("basic",),
    "subword_tokenizer_type": ("wordpiece",),
}
_TABLE = "embeddings.word_embeddings.weight"
_DECODER = "cls.predictions.decoder"


def _bert(checkpoint: Checkpoint, settings: Mapping[str, Any], use_tokens: bool) -> Plan:
    arrays, tokens, words, remarks = dict(checkpoint.arrays), None, None, []
    bert = "bert." if any(name.startswith("bert.") for name in arrays) else ""
    vocab_size, num_hiddens = shape_of(arrays, f"{bert}{_TABLE}", 2)
    layers = count(arrays, rf"{bert}encoder\.layer\.(\d+)\.")
    ffn = shape_of(arrays, f"{bert}encoder.layer.0.intermediate.dense.weight", 2)[0]
    sizes = {
        "vocab_size": vocab_size,
        "num_hiddens": num_hiddens,
        "ffn_num_hiddens": ffn,
        "num_layers": layers,
        "max_len": shape_of(arrays, f"{bert}embeddings.position_embeddings.weight", 2)[0],
    }
    if checkpoint.config is None:
        remarks.append("no config.json beside it: taken for GELU and epsilon 1e-12, BERT's own")
    config = checkpoint.config or {}
    told = _configured(config, sizes)
    rate = {"dropout_rate": told.pop("dropout_rate")}
    arguments = rate | with_heads(agree(sizes | told, settings, "--to or --set"))
    tied = _drop_what_is_told_twice(arrays, bert, config)
    if use_tokens and checkpoint.tokens:
        rows = (f"{bert}{_TABLE}", "cls.predictions.bias", f"{_DECODER}.weight")
        arrays, tokens = renumber(arrays, rows, checkpoint.tokens, SIGNS)
        words = _words(tokens, checkpoint.tokenizer_config or {})
    theirs = {"hidden": f"{bert}pooler.", "mlm": "cls.predictions.", "nsp": "cls.seq_relationship."}
    more, fresh = heads_there(arrays, _heads(arrays, bert, tied), theirs)
    rules = _encoder(arrays, bert, layers) + more
    arguments |= {"embed_norm": True, "tied": tied}
    return Plan(lambda: built_bert(arguments), rules, arrays, fresh, tokens, words, remarks)


def _configured(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return the arguments that config.json tells.

    Raises:
        ConvertError: it contradicts the weights, or describes another model.
    """
    for key, value in _ONLY.items():
        if config.get(key, value) != value:
            raise ConvertError(
                f"config.json says {key}={config[key]!r}: only {key}={value!r} is converted."
            )
    for key, name in _SIZES.items():
        if config.get(key, sizes[name]) != sizes[name]:
            raise ConvertError(
                f"config.json says {key}={config[key]!r}, the weights say {sizes[name]}."
            )
    activation, epsilon = config.get("hidden_act", "gelu"), config.get("layer_norm_eps", 1e-12)
    if activation not in ACTIVATIONS:
        raise ConvertError(
            f"config.json says hidden_act={activation!r}: known are {', '.join(ACTIVATIONS)}."
        )
    dropout, heads = config.get("hidden_dropout_prob", 0.1), config.get("num_attention_heads")
    numbers = {"layer_norm_eps": (epsilon, 0, 1), "hidden_dropout_prob": (dropout, -1, 1)}
    for key, (value, low, high) in numbers.items():
        if not isinstance(value, (int, float)) or not low < value < high:
            raise ConvertError(f"config.json says {key}={value!r}: no number that can be.")
    if heads is not None and type(heads) is not int:
        raise ConvertError(f"config.json says num_attention_heads={heads!r}: no whole number.")
    told = {"activation": activation, "epsilon": epsilon, "dropout_rate": max(dropout, 0.0)}
    return told if heads is None else {**told, "num_heads": heads}


def _drop_what_is_told_twice(
    arrays: dict[str, np.ndarray], bert: str, config: Mapping[str, Any]
) -> bool:
    """Take out of `arrays` what only repeats others; return whether the output is the table.

    Raises:
        ConvertError: config.json and the weights contradict each other.
    """
    places = arrays.get(f"{bert}embeddings.position_ids")
    if places is not None and np.array_equal(places.ravel(), np.arange(places.size)):
        del arrays[f"{bert}embeddings.position_ids"]
    tied = _is_tied(arrays, bert, config)
    if tied:
        arrays.pop(f"{_DECODER}.weight", None)
    bias, used = arrays.get("cls.predictions.bias"), arrays.get(f"{_DECODER}.bias")
    if used is not None and (not tied or bias is None or np.array_equal(bias, used)):
        arrays["cls.predictions.bias"] = arrays.pop(f"{_DECODER}.bias")
    return tied


def _is_tied(arrays: Mapping[str, np.ndarray], bert: str, config: Mapping[str, Any]) -> bool:
    tied, own = config.get("tie_word_embeddings", True), arrays.get(f"{_DECODER}.weight")
    if own is None or not tied or np.array_equal(own, arrays[f"{bert}{_TABLE}"]):
        return bool(tied)
    if "tie_word_embeddings" not in config:
        return False
    raise ConvertError(
        f"config.json says tie_word_embeddings=true, but {_DECODER}.weight is not {bert}{_TABLE}."
    )


def _encoder(arrays: Mapping[str, np.ndarray], bert: str, layers: int) -> list[Rule]:
    tables = {"token": "word", "segment": "token_type"}
    rules = same("encoder/positions/embeddings", f"{bert}embeddings.position_embeddings.weight")
    for mine, other in tables.items():
        name = f"{bert}embeddings.{other}_embeddings.weight"
        rules += same(f"encoder/{mine}_embedding/embeddings", name)
    rules += _norm(arrays, "encoder/norm", f"{bert}embeddings.LayerNorm")
    for i in range(layers):
        ours, theirs = f"encoder/block{i + 1}", f"{bert}encoder.layer.{i}"
        for mine, other in (("W_q", "query"), ("W_k", "key"), ("W_v", "value")):
            rules += dense(f"{ours}/attention/{mine}", f"{theirs}.attention.self.{other}")
        rules += dense(f"{ours}/attention/W_o", f"{theirs}.attention.output.dense")
        rules += _norm(arrays, f"{ours}/norm1", f"{theirs}.attention.output.LayerNorm")
        rules += dense(f"{ours}/ffn/dense1", f"{theirs}.intermediate.dense")
        rules += dense(f"{ours}/ffn/dense2", f"{theirs}.output.dense")
        rules += _norm(arrays, f"{ours}/norm2", f"{theirs}.output.LayerNorm")
    return rules


def _heads(arrays: Mapping[str, np.ndarray], bert: str, tied: bool) -> dict[str, list[Rule]]:
    """Return the rules of each head. Theirs says "yes, no" of the next sentence, ours "no, yes"."""
    predictions = "cls.predictions"
    output = same("mlm/bias", f"{predictions}.bias")
    if not tied:
        output = [
            Rule("mlm/output/kernel", (f"{_DECODER}.weight",), np.transpose),
            *same("mlm/output/bias", f"{predictions}.bias"),
        ]
    return {
        "hidden": dense("hidden", f"{bert}pooler.dense"),
        "mlm": [
            *dense("mlm/dense", f"{predictions}.transform.dense"),
            *_norm(arrays, "mlm/norm", f"{predictions}.transform.LayerNorm"),
            *output,
        ],
        "nsp": [
            Rule("nsp/dense/kernel", ("cls.seq_relationship.weight",), lambda w: w[::-1].T),
            Rule("nsp/dense/bias", ("cls.seq_relationship.bias",), lambda b: b[::-1]),
        ],
    }


def _norm(arrays: Mapping[str, np.ndarray], ours: str, theirs: str) -> list[Rule]:
    """Take a norm; in files that came from TensorFlow it is called as there."""
    old = f"{theirs}.gamma" in arrays
    return norm(ours, theirs, ("gamma", "beta") if old else ("weight", "bias"))


def _words(tokens: list[str], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return how texts become words and pieces, by what tokenizer_config.json tells.

    Where it tells nothing: letters are small if all those of the tokens are, and lose their accents
    if they are small.

    Raises:
        ConvertError: what it tells is neither true nor false, or it is another tokenizer.
    """
    for key, values in _ONLY_WORDS.items():
        if told.get(key, values[0]) not in values:
            raise ConvertError(
                f"tokenizer_config.json says {key}={told[key]!r}: only {key}={values[0]!r} is "
                "converted. Give --out FILE.keras for the model alone."
            )
    words = [token for token in tokens[len(SIGNS) :] if not token.startswith("[")]
    lower = told.get("do_lower_case", all(word == word.lower() for word in words))
    strip = told.get("strip_accents")
    for key, value in {"do_lower_case": lower, "strip_accents": strip}.items():
        if not isinstance(value, bool | None):
            raise ConvertError(
                f"tokenizer_config.json says {key}={value!r}: neither true nor false."
            )
    accents = not (lower if strip is None else strip)
    return word_pieces.bert_words(tokens, lower=bool(lower), accents=accents).to_assets()


BERT = Family("Hugging Face's BERT", r"(bert\.)?(embeddings|encoder\.layer)\..*", _bert)
