"""The demos of the catalogue give the numbers of S2 and of formulas."""

import numpy as np
import pytest

from kerasd2l import finding


def _values(name, **arguments):
    return finding.load(f"layer_catalogue/{name}", **arguments).run().values


def test_convolution_sizes():
    values = _values("convolution_sizes")
    # S2:268-278
    assert [case["size by the formula"] for case in values.values()] == [4, 2, 6, 3]
    outputs = [np.array(case["output"]) for case in values.values()]
    assert [len(output) for output in outputs] == [4, 2, 6, 3]
    x = np.arange(25).reshape(5, 5)
    padded = np.pad(x, 1)
    np.testing.assert_array_equal(outputs[0], x[:4, :4] + x[1:, :4] + x[:4, 1:] + x[1:, 1:])
    np.testing.assert_array_equal(outputs[1], outputs[0][::2, ::2])
    np.testing.assert_array_equal(
        outputs[2], padded[:6, :6] + padded[1:, :6] + padded[:6, 1:] + padded[1:, 1:]
    )
    np.testing.assert_array_equal(outputs[3], x[:3, :3] + x[2:, :3] + x[:3, 2:] + x[2:, 2:])


def test_convolution_variants():
    values = _values("convolution_variants")
    facts = [fact for fact in values.values() if "output shape" in str(fact)]
    assert [fact["parameters"] for fact in facts] == [  # S2:304-340
        [18464],
        [2336],
        [640, 2080],
        [18496],
    ]
    assert [fact["output shape"] for fact in facts] == [[126, 126, 32]] * 3 + [[128, 128, 64]]
    assert [fact["kernel shapes"] for fact in facts] == [
        [[3, 3, 64, 32]],
        [[3, 3, 8, 32]],
        [[3, 3, 64, 1], [1, 1, 64, 32]],
        [[3, 3, 64, 32]],
    ]
    assert list(values["weights without biases"].values()) == [18432, 576 + 2048]  # S2:239
    assert values["largest difference of the groups from Keras' own"] < 1e-5


def test_dilated_convolution():
    equal, growing = _values("dilated_convolution").values()
    assert (equal["side of the receptive field"], equal["pixels used"]) == (13, 7 * 7)
    assert (growing["side of the receptive field"], growing["pixels used"]) == (17, 17 * 17)
    once, _ = _values("dilated_convolution", rates="3").values()
    assert (once["pixels used"], once["most ways from one pixel"]) == (9, 1)
    plain, _ = _values("dilated_convolution", rates="1,1").values()
    assert plain["most ways from one pixel"] == 9


def test_transposed_convolution():
    values = _values("transposed_convolution")
    assert values["matrix of the convolution"][0] == [1, 2, 0, 3, 4, 0, 0, 0, 0]
    assert values["matrix of the convolution"][3] == [0, 0, 0, 0, 1, 2, 0, 3, 4]
    assert values["matrix times 0..8"] == [[27, 37], [57, 67]]  # S1:3454-3461
    assert values["largest difference of the transpose from the layer"] < 1e-4
    assert values["plain"] == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]
    assert values["padding 1"] == [[4]]
    assert values["strides 2"] == [[0, 0, 0, 1], [0, 0, 2, 3], [0, 2, 0, 3], [4, 6, 6, 9]]


def test_normalization_layers():
    values = _values("normalization_layers")
    sets = {"BatchNorm": 6, "LayerNorm": 4, "GroupNorm, 3 groups": 12, "InstanceNorm": 24}
    for name, number in sets.items():
        found = values[name]
        assert found["sets of values with statistics of their own"] == number
        assert found["values in a set"] * number == 4 * 6 * 9
        assert found["largest mean of a set"] < 1e-5
        np.testing.assert_allclose(found["variance of the sets"], 1, atol=1e-3)
        alone = found["largest mean of a channel of an example"] < 1e-5
        assert alone == (name == "InstanceNorm")
    # S2:138-143 and S2:158-162: n - 1 in the denominator
    batch, layer = values["BatchNorm, channel 0"], values["LayerNorm, token 0"]
    assert abs(batch["mean"]) < 1.5e-7 and abs(layer["mean"]) < 1e-6
    n = 32 * 128 * 128
    assert batch["standard deviation"] == pytest.approx(np.sqrt(n / (n - 1)), abs=1e-8)
    assert layer["standard deviation"] == pytest.approx(1.0002443, abs=1e-6)


def test_group_norm_of_one_and_of_all_groups():
    one, all_ = (_values("normalization_layers", groups=g) for g in (1, 6))
    key = "largest mean of a channel of an example"
    assert one["GroupNorm, 1 groups"][key] == pytest.approx(one["LayerNorm"][key], abs=1e-5)
    same = all_["GroupNorm, 6 groups"]["sets of values with statistics of their own"]
    assert same == all_["InstanceNorm"]["sets of values with statistics of their own"]


def test_linear_by_hand():
    by_hand, dense = _values("linear_by_hand").values()
    assert by_hand["bound"] == pytest.approx(1 / 16)
    assert dense["bound"] == pytest.approx(np.sqrt(6 / 768))
    for found in (by_hand, dense):
        assert 0.99 * found["bound"] < found["largest weight"] <= found["bound"]
        wanted = found["bound"] / np.sqrt(3)
        assert found["standard deviation of the weights"] == pytest.approx(wanted, rel=0.01)
    assert 0.9 / 16 < by_hand["largest bias"] <= 1 / 16
    assert dense["largest bias"] == 0
    # The variance of a sum of 256 products, and of a bias: 256 / (3 * 256) + 1 / (3 * 256).
    variance = by_hand["variance of outputs for inputs of variance 1"]
    assert variance == pytest.approx(1 / 3 + 1 / 768, rel=0.03)


def test_dropout_layers():
    single, whole = _values("dropout_layers", rate=0.5).values()
    assert single["values"] == whole["values"] == [0, 2]
    assert single["channels with more than one value"] == 8
    assert whole["channels with more than one value"] == 0


def test_padding_layers():
    assert list(_values("padding_layers", padding=3).values()) == [
        [0, 0, 1, 2, 3, 0],
        [7, 7, 1, 2, 3, 7],
        [1, 1, 1, 2, 3, 3],
        [-1, -1, 3],
    ]


def test_pooling_layers():
    values = _values("pooling_layers")
    assert values["bins"] == ["0-2", "2-4", "4-6", "6-8", "8-10"]
    assert values["means"] == [1, 3, 5, 7, 9]
    assert values["maxima"] == [2, 4, 6, 8, 10]
    assert values["427 x 640 pooled by 0.7"] == [298, 448]
    # Neighbouring pixels are alike, but two draws are not the same.
    assert 0.1 < values["share of values that two draws have alike"] < 0.95
    more = _values("pooling_layers", output_size=3, length=2)  # more bins than values
    assert (more["bins"], more["means"]) == (["0-0", "0-1", "1-1"], [0, 0.5, 1])


def test_upsampling():
    nearest, aligned, keras = _values("upsampling").values()
    assert nearest == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]  # S2:350-362
    assert aligned == [
        [1, 1.3333, 1.6667, 2],
        [1.6667, 2, 2.3333, 2.6667],
        [2.3333, 2.6667, 3, 3.3333],
        [3, 3.3333, 3.6667, 4],
    ]
    assert keras[0] == [1, 1.25, 1.75, 2]


def test_unfold_and_fold():
    values = _values("unfold_and_fold", kernel_size=2, side=3)
    assert values["windows"] == [4, 2 * 2 * 2]
    assert values["largest difference from Conv2D"] < 1e-5
    assert values["windows over each pixel"] == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("convolution_variants", {"groups": 5}, "must divide `channels` and.*Try groups=8 or 16"),
        ("convolution_variants", {"channels": 512}, "at most 256"),
        ("dilated_convolution", {"rates": "0,1"}, "`rates` must be 1 to 6 dilation rates"),
        ("normalization_layers", {"groups": 4}, "must divide the 6 channels: 1, 2, 3 or 6"),
        ("linear_by_hand", {"units": 0}, "`inputs` and `units` must be at least 1"),
        ("dropout_layers", {"rate": 1.0}, r"`rate` must be in \[0, 1\)"),
        ("padding_layers", {"padding": 0}, "`padding` must be 1 to 500"),
        ("pooling_layers", {"output_size": 65}, "must be 1 to 64"),
        ("upsampling", {"size": 9}, "`size` must be 1 to 8"),
        ("unfold_and_fold", {"kernel_size": 7}, "at most `side`"),
    ],
)
def test_bad_values(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        finding.load(f"layer_catalogue/{name}", **arguments)


def test_transformer_layers():
    values = _values("transformer_layers")
    for heads in (8, 16):  # S2:568-607
        attention = values[f"attention with {heads} heads"]
        assert attention["parameters"] == 4 * 64**2 + 4 * 64 == 16640
        assert attention["weights of attention"] == [8, heads, 200, 200]
    encoder, decoder = values["encoder's block"], values["decoder's block"]
    assert encoder["parameters"] == encoder["attention + network + 2 norms"] == 49984
    assert decoder["parameters"] == decoder["2 attentions + network + 3 norms"] == 66752
    assert encoder["outputs"] == decoder["outputs"] == [8, 200, 64]
    assert encoder["largest difference to one by hand"] < 1e-5
    for d, (plain, scaled) in zip(
        (16, 64, 256, 1024),
        values["standard deviation of q . k, and of q . k / sqrt(d)"].values(),
        strict=True,
    ):
        assert plain == pytest.approx(d**0.5, rel=0.1) and scaled == pytest.approx(1, rel=0.1)
    future = values["what another future changes in the decoder"]
    assert future["outputs before it"] == 0 < 0.1 < future["outputs from it on"]
    order = values["what another order changes in the encoder"]
    assert order["without positions"] < 1e-5 < 0.1 < order["with positions"]


def test_heads_by_hand():
    values = _values("heads_by_hand")
    assert values["heads"] == values["attended"] == [8, 8, 200, 8]
    assert values["joined"] == values["outputs"] == values["inputs"] == [8, 200, 64]
    assert values["parameters"] == values["4 D D + 4 D"] == 16640
    assert values["largest difference to the layer"] < 1e-5
    assert values["largest weight of a later step"] == 0
    assert values["least sum of a row of weights"] == pytest.approx(1, abs=1e-5)
    with pytest.raises(ValueError, match="`num_heads` must divide"):
        finding.load("heads_by_hand", num_heads=3)
    with pytest.raises(ValueError, match="`num_hiddens` must be divisible by 16"):
        finding.load("transformer_layers", num_hiddens=24)
