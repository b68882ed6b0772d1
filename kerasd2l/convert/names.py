"""What can be converted: the NAMEs of `kerasd2l convert --to`. A new family is a line here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasd2l.convert import d2l, hugging_face, imagenet
from kerasd2l.convert.rules import Family

# What may be set, beside the sizes that weights tell, and of what kind it is.
_RECURRENT: Mapping[str, type] = {"dropout_rate": float}
_ATTENTIVE: Mapping[str, type] = {"num_heads": int, "dropout_rate": float}
_CLASSIFYING: Mapping[str, type] = {"include_top": bool}


@dataclass(frozen=True)
class Target:
    """A model that checkpoints are converted to.

    Args:
        text: str, one line for `--help`.
        families: whose checkpoints become it.
        settings: name -> type of what may be set.
        known: arguments of the model that its name tells.
    """

    text: str
    families: tuple[Family, ...]
    settings: Mapping[str, type]
    known: Mapping[str, Any] = field(default_factory=dict)


_BERT = (d2l.BERT, hugging_face.BERT)


def _bert(text: str, num_hiddens: int, num_layers: int, num_heads: int) -> Target:
    known = {"num_hiddens": num_hiddens, "num_layers": num_layers, "num_heads": num_heads}
    return Target(
        f"{text}: {num_layers} x {num_hiddens}, {num_heads} heads", _BERT, _ATTENTIVE, known
    )


def _resnet(num_layers: int) -> Target:
    families: tuple[Family, ...] = (imagenet.TORCHVISION_RESNET,)
    if num_layers == 50:
        families += (imagenet.KERAS_RESNET,)
    whose = "torchvision's, timm's or Keras'" if num_layers == 50 else "torchvision's or timm's"
    text = f"ResNet-{num_layers}, {whose}"
    return Target(text, families, _CLASSIFYING, {"num_layers": num_layers})


def _vgg(num_layers: int) -> Target:
    families = (imagenet.TORCHVISION_VGG, imagenet.KERAS_VGG)
    text = f"VGG-{num_layers}, torchvision's or Keras'"
    return Target(text, families, _CLASSIFYING, {"num_layers": num_layers})


TARGETS = {
    "bert": Target("BERT of any size, d2l's or Hugging Face's", _BERT, _ATTENTIVE),
    "bert_small": _bert("d2l's bert.small", 256, 2, 4),
    "bert_base": _bert("d2l's bert.base, or BERT base", 768, 12, 12),
    "bert_large": _bert("BERT large", 1024, 24, 16),
    **{f"resnet{num_layers}": _resnet(num_layers) for num_layers in (18, 34, 50)},
    **{f"vgg{num_layers}": _vgg(num_layers) for num_layers in (16, 19)},
    "seq2seq": Target("d2l's translator of GRU layers", (d2l.SEQ2SEQ,), _RECURRENT),
    "seq2seq_encoder": Target("the encoder of it alone", (d2l.SEQ2SEQ_ENCODER,), _RECURRENT),
    "transformer": Target("d2l's Transformer, encoder and decoder", (d2l.TRANSFORMER,), _ATTENTIVE),
    "transformer_encoder": Target(
        "the encoder of it alone", (d2l.TRANSFORMER_ENCODER,), _ATTENTIVE
    ),
}
