import math

import keras
import numpy as np
import pytest

from kerasd2l import models, testing
from kerasd2l.models.vision.image_network import ImageNetwork


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


# Inventory, chapter 7 and lessons L.10-L.11: PyTorch's counts of the book's networks.
@pytest.mark.parametrize(
    ("name", "arguments", "count"),
    [
        ("alexnet", {}, 46_764_746),
        ("alexnet", {"dense_units": (4096,), "first_padding": 0}, 29_983_434),  # S3:770-773
        pytest.param("vgg", {}, 128_806_154, marks=pytest.mark.slow),  # half a gigabyte
        ("vgg", {"width": 0.25}, 43_093_322),
        ("nin", {}, 1_992_166),
        ("googlenet", {}, 5_977_530),
        ("batch_norm_lenet", {}, 44_878),
        ("resnet18", {}, 11_178_378),
        ("resnet18", {"small_stem": True, "input_shape": (32, 32, 3)}, 11_176_970),  # 3x3x3 not 7x7
        ("resnet18", {"small_stem": True, "input_shape": (28, 28, 1)}, 11_175_818),
        ("densenet", {}, 758_226),
        ("mnist_cnn", {}, 8_490),
    ],
)
def test_parameters(name, arguments, count):
    assert trainable(getattr(models, name)(**arguments)) == count


def shape(model, layer):
    return tuple(model.get_layer(layer).output.shape[1:])


def test_alexnet_shapes():
    net = models.alexnet()
    found = [shape(net, name)[0] for name in ("conv_1", "pool_1", "conv_2", "pool_2", "conv_3")]
    found += [shape(net, name)[0] for name in ("conv_4", "conv_5", "pool_3", "flatten")]
    assert found == [54, 26, 26, 12, 12, 12, 12, 5, 6400]  # 6400: S1:1878, S3:767 256 * 5 * 5
    # S3:748-763; the fifth convolution has 256 filters (S1:1875 is wrong)
    filters = [net.get_layer(f"conv_{i}").filters for i in range(1, 6)]
    assert filters == [96, 256, 384, 384, 256]
    assert [net.get_layer(f"dense_{i}").units for i in (1, 2)] == [4096, 4096]
    assert shape(models.alexnet(first_padding=0, dense_units=(8,)), "conv_1")[0] == 54


def test_alexnet_against_lenet():
    ratio = trainable(models.alexnet()) / models.lenet().count_params()
    assert round(ratio) == 758  # S1:1893 says 10, which is not the ratio of these networks


def test_vgg_shapes():
    net = models.vgg(width=0.25)
    assert [shape(net, f"block_{i}_pool")[0] for i in range(1, 6)] == [112, 56, 28, 14, 7]
    first = net.get_layer("dense_1")
    assert math.prod(first.kernel.shape) == 102_760_448 // 4  # 128 of 512 channels
    convs = [layer for layer in net.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convs) == 8 and [conv.filters for conv in convs][-2:] == [128, 128]


@pytest.mark.slow
def test_the_first_dense_layer_of_vgg():
    first = models.vgg().get_layer("dense_1")
    assert math.prod(first.kernel.shape) == 102_760_448  # S1:1948, 512 * 7 * 7 * 4096


def test_nin_shapes():
    net = models.nin()
    names = ["block_1_conv_3", "pool_1", "block_2_conv_3", "pool_2", "block_3_conv_3", "pool_3"]
    found = [shape(net, name) for name in [*names, "dropout", "block_4_conv_3", "logits"]]
    # S1:2007-2016 and S3:875-884
    assert found == [
        (54, 54, 96), (26, 26, 96), (26, 26, 256), (12, 12, 256), (12, 12, 384), (5, 5, 384),
        (5, 5, 384), (5, 5, 10), (10,),
    ]  # fmt: skip
    pixels = np.random.default_rng(0).random((4, 67, 67, 1))
    logits = np.asarray(models.nin((67, 67, 1), width=0.1, seed=0)(pixels))
    assert logits.min() >= 0 and logits.max() > 0  # the last ReLU


def test_googlenet_shapes():
    net = models.googlenet()
    pools = ["stage_1_pool", "stage_2_pool", "stage_3_pool", "stage_4_pool"]
    assert [shape(net, name)[0] for name in pools] == [24, 12, 6, 3]
    assert shape(net, "global_pool") == (1024,)
    # S1:2042-2044
    channels = [shape(net, f"stage_3_inception_{i}")[-1] for i in (1, 2)]
    channels += [shape(net, f"stage_4_inception_{i}")[-1] for i in range(1, 6)]
    channels += [shape(net, f"stage_5_inception_{i}")[-1] for i in (1, 2)]
    assert channels == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    paths = [shape(net, f"stage_3_inception_1_path_{i}")[-1] for i in (1, 2, 3, 4)]
    assert paths == [64, 128, 32, 32]
    reduced = [
        shape(net, f"stage_3_inception_{b}_path_{i}_reduce")[-1] for b in (1, 2) for i in (2, 3)
    ]
    # to 1/2 and 1/12 of the 192, to 1/2 and 1/8 of the 256 channels; the text says so of 96 and
    # 16, of 128 and 32
    assert reduced == [192 // 2, 192 // 12, 256 // 2, 256 // 8]


def test_batch_norm_lenet_shapes():
    net = models.batch_norm_lenet()
    assert shape(net, "flatten") == (256,)  # S1:2156, 16 * 4 * 4
    assert shape(net, "conv_1") == (24, 24, 6)


def test_resnet_shapes_and_depth():
    net = models.resnet18((224, 224, 1))
    found = [shape(net, f"stage_{i}_block_2") for i in range(1, 5)]
    assert found == [(56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]
    assert shape(net, "global_pool") == (512,)
    assert shape(net, "stem_pool") == (56, 56, 64)
    assert [shape(models.resnet18(), f"stage_{i}_block_2")[0] for i in range(1, 5)] == [
        24,
        12,
        6,
        3,
    ]
    kernels = [w.path for w in net.trainable_weights if w.path.endswith("/kernel")]
    assert len([path for path in kernels if "project" not in path]) == 18  # S1:2265
    deep = models.resnet18(depths=(3, 4, 6, 3), width=0.1)
    kernels = [w.path for w in deep.trainable_weights if w.path.endswith("/kernel")]
    assert len([path for path in kernels if "project" not in path]) == 34


def test_densenet_channels():
    net = models.densenet()
    found = [shape(net, "stem_pool")[-1]]
    for i in range(1, 4):
        found += [shape(net, f"stage_{i}_concat_4")[-1], shape(net, f"transition_{i}_pool")[-1]]
    found.append(shape(net, "stage_4_concat_4")[-1])
    assert found == [64, 192, 96, 224, 112, 240, 120, 248]


def test_regnet_shapes():
    net = models.regnet()
    assert shape(net, "stem_bn_relu") == (48, 48, 32)
    assert shape(net, "stage_1_block_4") == (24, 24, 32)
    assert shape(net, "stage_2_block_6") == (12, 12, 80)
    assert net.get_layer("stage_2_block_1_conv_2").groups == 5  # 80 channels in groups of 16


def test_lesson_shapes():
    cnn = models.mnist_cnn()
    names = ("conv_1", "relu_1", "conv_2", "relu_2", "flatten", "logits")
    assert [shape(cnn, name) for name in names] == [
        (24, 24, 10), (12, 12, 10), (8, 8, 20), (4, 4, 20), (320,), (10,),
    ]  # fmt: skip  # S4:135-140
    net = models.mnist_inception()
    assert shape(net, "inception_1") == (12, 12, 88)  # S4:146-161
    assert shape(net, "inception_2") == (4, 4, 88)
    assert [shape(net, f"inception_1_path_{i}")[-1] for i in (1, 2, 3, 4)] == [16, 24, 24, 24]
    assert shape(net, "flatten") == (1408,)
    net = models.mnist_resnet()
    names = ("conv_1", "relu_1", "residual_1", "conv_2", "pool_2", "residual_2", "flatten")
    assert [shape(net, name) for name in names] == [
        (24, 24, 16), (12, 12, 16), (12, 12, 16), (8, 8, 32), (4, 4, 32), (4, 4, 32), (512,),
    ]  # fmt: skip  # S4:162-169


def block(make, input_shape, *arguments, **options):
    """A model of one block; the classes are beside the point."""
    net = ImageNetwork(input_shape, 2, seed=0)
    return keras.Model(net.pixels, make(net, net.pixels, *arguments, name="block", **options))


@pytest.mark.parametrize(
    ("make", "input_shape", "arguments", "options", "expected"),
    [
        (models.residual_block, (6, 6, 3), (3,), {}, (6, 6, 3)),
        (models.residual_block, (6, 6, 3), (6,), {"project": True, "strides": 2}, (3, 3, 6)),
        (models.resnext_block, (96, 96, 32), (32,), {"group_width": 16}, (96, 96, 32)),
        (models.dense_block, (8, 8, 3), (2, 10), {}, (8, 8, 23)),
        (models.transition_block, (8, 8, 23), (10,), {}, (4, 4, 10)),
        (models.inception_block, (5, 7, 3), (1, (2, 3), (4, 5), 6), {}, (5, 7, 15)),
    ],
)
def test_blocks_of_the_book(make, input_shape, arguments, options, expected):
    model = block(make, input_shape, *arguments, **options)
    output = model(np.random.default_rng(0).random((4, *input_shape)))
    assert output.shape == (4, *expected)


def window(padded, i, j, size, strides):
    return padded[i * strides : i * strides + size, j * strides : j * strides + size]


def test_padding_at_stride_2_is_the_same_on_all_sides():
    x = np.arange(64.0).reshape(8, 8)
    net = ImageNetwork((8, 8, 1), 2, seed=0)
    model = keras.Model(net.pixels, net.conv(net.pixels, 1, 3, strides=2, padding=1, name="conv"))
    model.set_weights([np.ones((3, 3, 1, 1)), np.zeros(1)])
    found = np.asarray(model(x[None, ..., None]))[0, ..., 0]
    padded = np.pad(x, 1)
    expected = [[window(padded, i, j, 3, 2).sum() for j in range(4)] for i in range(4)]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[0], [18, 36, 48, 60])  # PyTorch's, inventory 0.1

    x = np.arange(16.0).reshape(4, 4)
    net = ImageNetwork((4, 4, 1), 2, seed=0)
    model = keras.Model(net.pixels, net.max_pool(net.pixels, padding=1, name="pool"))
    found = np.asarray(model(x[None, ..., None]))[0, ..., 0]
    np.testing.assert_array_equal(found, [[5, 7], [13, 15]])  # PyTorch's, inventory 0.1


def test_padding_counts_in_the_mean_of_the_lessons_inception():
    net = models.mnist_inception()
    pool = keras.Model(net.get_layer("relu_1").output, net.get_layer("inception_1_pool").output)
    found = np.asarray(pool(np.ones((1, 12, 12, 10))))[0, :, :, 0]
    assert found[0, 0] == pytest.approx(4 / 9) and found[5, 5] == pytest.approx(1)


SMALL = {
    "alexnet": {"input_shape": (65, 65, 1), "width": 0.05, "dense_units": (8, 8)},
    "vgg": {"input_shape": (32, 32, 1), "width": 0.05, "dense_units": (8,)},
    "nin": {"input_shape": (67, 67, 1), "width": 0.1},
    "googlenet": {"input_shape": (33, 32, 3), "width": 0.3},
    "batch_norm_lenet": {"input_shape": (28, 28, 3)},
    "resnet18": {"input_shape": (33, 32, 3), "width": 0.1, "depths": (1, 2)},
    "resnext": {"input_shape": (32, 32, 3), "width": 0.25, "depths": (1, 2), "bottleneck": 2.0},
    "densenet": {"input_shape": (29, 30, 3), "width": 0.1},
    "regnet": {"input_shape": (32, 32, 3), "width": 0.25, "depths": (1, 2)},
    "mnist_cnn": {},
    "mnist_inception": {},
    "mnist_resnet": {},
}
# What a normalisation behind a convolution takes away again: its bias.
BIAS_WITHOUT_GRADIENT = ("_conv_1/bias", "_conv_2/bias", "_conv_3/bias", "conv_4/bias",
                         "conv_1/bias", "conv_2/bias", "dense_1/bias", "dense_2/bias",
                         "_project/bias", "_conv/bias")  # fmt: skip
NORMALISED = ("batch_norm_lenet", "resnet18", "resnext", "densenet", "regnet")


@pytest.mark.parametrize("name", SMALL)
def test_models_train_reload_and_serve(name):
    arguments = SMALL[name]
    shape = arguments.get("input_shape", (28, 28, 1))
    pixels = np.random.default_rng(0).random((4, *shape), dtype=np.float32)
    output = testing.check_model(
        lambda: getattr(models, name)(**arguments, seed=1),
        pixels,
        no_gradient=BIAS_WITHOUT_GRADIENT if name in NORMALISED else (),
        fresh=name == "resnext",  # all are made of the same layers of Keras
    )
    assert output.shape == (4, 10) and keras.backend.standardize_dtype(output.dtype) == "float32"


@pytest.mark.parametrize("name", ["alexnet", "vgg", "nin", "googlenet", "resnet18", "densenet"])
def test_seeds(name):
    build = getattr(models, name)
    one, same, other = (build(**SMALL[name], seed=seed).get_weights() for seed in (3, 3, 4))
    kernels = [i for i, weight in enumerate(one) if weight.ndim > 1]
    assert all(np.array_equal(one[i], same[i]) for i in kernels)
    assert not any(np.array_equal(one[i], other[i]) for i in kernels)
    equal = [np.array_equal(one[i], one[j]) for i in kernels for j in kernels if i < j]
    assert not any(equal)


@pytest.mark.parametrize("name", ["resnet18", "resnext", "densenet", "regnet", "batch_norm_lenet"])
def test_normalisation_is_the_book_s(name):
    net = getattr(models, name)(**SMALL[name])
    found = [layer for layer in net.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert found and {(layer.momentum, layer.epsilon) for layer in found} == {(0.9, 1e-5)}


def test_weights_are_xavier_s():
    net = models.resnet18(seed=0)
    for name in ("stem_conv", "stage_1_block_1_conv_1", "stage_4_block_1_project", "logits"):
        kernel = keras.ops.convert_to_numpy(net.get_layer(name).kernel)
        field = math.prod(kernel.shape[:-2])
        bound = math.sqrt(6 / (field * (kernel.shape[-2] + kernel.shape[-1])))
        assert np.abs(kernel).max() <= bound
        assert kernel.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("vgg", {"input_shape": (16, 16, 1)}, r"`block_5_pool` needs 2 x 2 .* shrunk to 1 x 1"),
        ("vgg", {"conv_arch": ((1, 8),) * 8}, "`block_8_pool` needs 2 x 2 pixels"),
        ("vgg", {"conv_arch": ((0, 8),)}, "`conv_arch` must be pairs"),
        ("vgg", {"conv_arch": ()}, "`conv_arch` must be pairs"),
        ("vgg", {"width": 0}, "`width` must be positive"),
        ("vgg", {"dense_units": (8, 0)}, "`dense_units` must be positive"),
        ("alexnet", {"input_shape": (64, 64, 1)}, "`pool_3` needs 3 x 3 pixels"),
        ("nin", {"input_shape": (66, 66, 1)}, "`pool_3` needs 3 x 3 pixels"),
        ("densenet", {"input_shape": (28, 28, 1)}, "`transition_3_pool` needs 2 x 2 pixels"),
        ("batch_norm_lenet", {"input_shape": (15, 28, 1)}, "`pool_2` needs 2 x 2"),
        ("mnist_cnn", {"input_shape": (15, 15, 1)}, "`pool_2` needs 2 x 2"),
        ("googlenet", {"num_classes": 1}, "`num_classes` must be at least 2"),
        ("googlenet", {"input_shape": (96, 96)}, r"must be \(height, width, channels\)"),
        ("resnet18", {"depths": (2, 0)}, "`depths` must be blocks of one to 4 stages"),
        ("resnet18", {"depths": (1,) * 5}, "`depths` must be blocks of one to 4 stages"),
        ("resnext", {"group_width": 24}, r"`group_width` must divide .* = 64.*Try 8, 16, 32"),
        ("resnext", {"group_width": 0}, "`group_width` must divide"),
        ("resnext", {"bottleneck": float("nan")}, "`bottleneck` must be positive and finite"),
        ("resnet18", {"width": float("inf")}, "`width` must be positive and finite"),
        ("resnext", {"bottleneck": 0.1}, r"round\(filters \* bottleneck\) = 6"),
        ("anynet", {"filters": (32,)}, "`depths` and `filters` must be one number for each stage"),
        ("anynet", {"filters": (32, 72)}, "`group_width` must divide"),
        ("densenet", {"growth_rate": 0}, "`depths` and `growth_rate` must be at least 1"),
    ],
)
def test_bad_input(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(models, name)(**arguments)


@pytest.mark.parametrize("make", [models.residual_block, models.resnext_block])
def test_a_block_that_changes_the_shape_needs_a_projection(make):
    options = {"group_width": 1} if make is models.resnext_block else {}
    with pytest.raises(ValueError, match="`project` must be True"):
        block(make, (6, 6, 3), 6, **options)


@pytest.mark.parametrize("name", ["googlenet", "resnet18", "densenet", "regnet"])
def test_pictures_of_free_size(name):
    net = getattr(models, name)(**{**SMALL[name], "input_shape": (None, None, 1)})
    for side in (32, 47):
        assert net(np.zeros((1, side, side + 3, 1))).shape == (1, 10)
