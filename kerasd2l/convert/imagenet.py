"""Networks trained on ImageNet: ResNets and VGGs of torchvision, timm and `keras.applications`.

The models normalise the pixels themselves, as those who trained the weights did: torchvision and
timm by mean and deviation, Keras by the mean alone, of levels 0..255, with blue first (the first
convolution is turned around instead).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasd2l._lazy import lazy
from kerasd2l.convert.reading import Checkpoint
from kerasd2l.convert.rules import (
    Family,
    Plan,
    Rule,
    batch_norm,
    conv,
    dense,
    same,
    shape_of,
)

models = lazy("kerasd2l.models")

# Keras' preprocessing "caffe", for pixels in [0, 1], red first.
CAFFE = {
    "pixel_mean": tuple(level / 255 for level in (123.68, 116.779, 103.939)),
    "pixel_std": (1 / 255,) * 3,
}
_NO_TOP = "no dense layers in the file, or not wished for: the model ends with its last map"
_HEADS = r"(predictions|probs|fc1000)/"  # what versions of Keras have called the last layer
_KERAS_EPSILON = 1.001e-5  # of its batch normalization; ours is 1e-5


def _torchvision_resnet(checkpoint: Checkpoint, settings: Mapping[str, Any], _: bool) -> Plan:
    arrays = {  # how many batches there were is nothing that a prediction needs
        name: array
        for name, array in checkpoint.arrays.items()
        if not name.endswith(".num_batches_tracked")
    }
    top, arrays = _top(arrays, settings, r"fc\.")
    layers = 3 if settings["num_layers"] == 50 else 2
    rules = [*conv("stem_conv", "conv1", use_bias=False), *batch_norm("stem_bn", "bn1")]
    for stage, block, projected in models.resnet_blocks(settings["num_layers"]):
        ours, theirs = f"stage_{stage}_block_{block}", f"layer{stage}.{block - 1}"
        for i in range(1, layers + 1):
            rules += conv(f"{ours}_conv_{i}", f"{theirs}.conv{i}", use_bias=False)
            rules += batch_norm(f"{ours}_bn_{i}", f"{theirs}.bn{i}")
        if projected:
            rules += conv(f"{ours}_project", f"{theirs}.downsample.0", use_bias=False)
            rules += batch_norm(f"{ours}_project_bn", f"{theirs}.downsample.1")
    arguments = {"num_layers": settings["num_layers"], "include_top": top}
    if top:
        rules += dense("logits", "fc")
        arguments["num_classes"] = shape_of(arrays, "fc.weight", 2)[0]
    return _plan(models.imagenet_resnet, arguments, rules, arrays)


def _torchvision_vgg(checkpoint: Checkpoint, settings: Mapping[str, Any], _: bool) -> Plan:
    top, arrays = _top(checkpoint.arrays, settings, r"classifier\.")
    arguments = {"num_layers": settings["num_layers"], "include_top": top}
    rules = []
    for place, name in models.vgg_places(settings["num_layers"]).items():
        rules += conv(name, f"features.{place}")
    if top:
        first = shape_of(arrays, "classifier.0.weight", 2)[0]
        second = shape_of(arrays, "classifier.3.weight", 2)[0]
        arguments["dense_units"] = (first, second)
        arguments["num_classes"] = shape_of(arrays, "classifier.6.weight", 2)[0]
        rules += [
            Rule("dense_1/kernel", ("classifier.0.weight",), _of_maps),
            *same("dense_1/bias", "classifier.0.bias"),
            *dense("dense_2", "classifier.3"),
            *dense("logits", "classifier.6"),
        ]
    return _plan(models.imagenet_vgg, arguments, rules, arrays)


def _of_maps(weight: np.ndarray) -> np.ndarray:
    """Turn the dense layer behind the maps: PyTorch flattens channel by channel, Keras pixels."""
    out = len(weight)
    return weight.reshape(out, -1, 7, 7).transpose(2, 3, 1, 0).reshape(-1, out)


def _keras_resnet(checkpoint: Checkpoint, settings: Mapping[str, Any], _: bool) -> Plan:
    top, arrays = _top(checkpoint.arrays, settings, _HEADS)
    rules = _keras_normalised("stem", "conv1", blue_first=True)
    for stage, block, projected in models.resnet_blocks(settings["num_layers"]):
        ours, theirs = f"stage_{stage}_block_{block}", f"conv{stage + 1}_block{block}"
        for i in (1, 2, 3):
            rules += _keras_normalised(ours, f"{theirs}_{i}", i)
        if projected:
            rules += _keras_normalised(ours, f"{theirs}_0", "project")
    arguments = {"num_layers": settings["num_layers"], "include_top": top, "stride_first": True}
    if top:
        (name,) = {name.partition("/")[0] for name in arrays if re.match(_HEADS, name)}
        rules += [rule for w in ("kernel", "bias") for rule in same(f"logits/{w}", f"{name}/{w}")]
        arguments["num_classes"] = shape_of(arrays, f"{name}/kernel", 2)[1]
    return _plan(models.imagenet_resnet, {**arguments, **CAFFE}, rules, arrays)


def _keras_normalised(
    ours: str, theirs: str, part: int | str = "", *, blue_first: bool = False
) -> list[Rule]:
    """Take a convolution and its batch normalization, which takes in the convolution's bias."""
    convolution = f"{ours}_project" if part == "project" else f"{ours}_conv"
    norm = f"{ours}_project_bn" if part == "project" else f"{ours}_bn"
    if isinstance(part, int):
        convolution, norm = f"{convolution}_{part}", f"{norm}_{part}"
    turn = _red_first if blue_first else np.asarray
    more = np.float32(_KERAS_EPSILON - 1e-5)
    return [
        Rule(f"{convolution}/kernel", (f"{theirs}_conv/kernel",), turn),
        *same(f"{norm}/gamma", f"{theirs}_bn/gamma"),
        *same(f"{norm}/beta", f"{theirs}_bn/beta"),
        Rule(
            f"{norm}/moving_mean",
            (f"{theirs}_bn/moving_mean", f"{theirs}_conv/bias"),
            lambda mean, bias: mean - bias,
        ),
        Rule(f"{norm}/moving_variance", (f"{theirs}_bn/moving_variance",), lambda v: v + more),
    ]


def _keras_vgg(checkpoint: Checkpoint, settings: Mapping[str, Any], _: bool) -> Plan:
    top, arrays = _top(checkpoint.arrays, settings, r"(fc\d|predictions)/")
    names = {
        ours: re.sub(r"block_(\d)_conv_(\d)", r"block\1_conv\2", ours)
        for ours in models.vgg_places(settings["num_layers"]).values()
    }
    arguments = {"num_layers": settings["num_layers"], "include_top": top}
    if top:
        names |= {"dense_1": "fc1", "dense_2": "fc2", "logits": "predictions"}
        units = tuple(shape_of(arrays, f"{name}/kernel", 2)[1] for name in ("fc1", "fc2"))
        arguments["dense_units"] = units
        arguments["num_classes"] = shape_of(arrays, "predictions/kernel", 2)[1]
    rules = []
    for ours, theirs in names.items():
        turn = _red_first if theirs == "block1_conv1" else np.asarray
        rules += [
            Rule(f"{ours}/kernel", (f"{theirs}/kernel",), turn),
            *same(f"{ours}/bias", f"{theirs}/bias"),
        ]
    return _plan(models.imagenet_vgg, {**arguments, **CAFFE}, rules, arrays)


def _red_first(kernel: np.ndarray) -> np.ndarray:
    """Turn the inputs of the first convolution (h, w, in, out) from blue, green, red around."""
    return kernel[:, :, ::-1]


def _top(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], pattern: str
) -> tuple[bool, dict[str, np.ndarray]]:
    """Return whether the model gets its dense layers, and the arrays that it is made of."""
    there = {name for name in arrays if re.match(pattern, name)}
    if settings.get("include_top", True) and there:
        return True, dict(arrays)
    return False, {name: array for name, array in arrays.items() if name not in there}


def _plan(
    build: Any, arguments: dict[str, Any], rules: list[Rule], arrays: Mapping[str, np.ndarray]
) -> Plan:
    remarks = [] if arguments["include_top"] else [_NO_TOP]
    return Plan(lambda: build(**arguments), rules, arrays, remarks=remarks)


TORCHVISION_RESNET = Family(
    "torchvision's or timm's ResNet", r"layer1\.\d+\.conv1\.weight", _torchvision_resnet
)
KERAS_RESNET = Family("Keras' ResNet", r"conv\d_block\d+_1_conv/kernel", _keras_resnet)
TORCHVISION_VGG = Family("torchvision's VGG", r"features\.\d+\.weight", _torchvision_vgg)
KERAS_VGG = Family("Keras' VGG", r"block1_conv1/kernel", _keras_vgg)
