import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kerasd2l import cli, finding
from kerasd2l.data import Source
from kerasd2l.run import Run
from kerasd2l.training.fit import fit

# Where each network shrinks a smaller picture to nothing.
LEAST = {"alexnet": 65, "vgg": 32, "nin": 67, "densenet": 29, "batch_norm_lenet": 16}
TINY = {
    "alexnet": {"width": 0.02, "dense_units": (4,)},
    "vgg": {"width": 0.02, "dense_units": (4,)},
    "nin": {"width": 0.02},
    "densenet": {"width": 0.1},
    "batch_norm_lenet": {},
}
RECIPES = [
    "alexnet", "vgg", "nin", "googlenet", "batch_norm_lenet", "batch_norm_lenet_scratch",
    "resnet18", "resnext", "densenet", "regnet",
]  # fmt: skip


@pytest.mark.parametrize("name", LEAST)
def test_the_smallest_picture(name):
    least = LEAST[name]
    loaded = finding.load(name, resize=least, **TINY[name])
    data = loaded.data(Source("builtin"))
    assert loaded.model(data).input_shape == (None, least, least, 1)
    with pytest.raises(ValueError, match=f"`resize` must be at least {least}"):
        finding.load(name, resize=least - 1, **TINY[name])


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("dataset", ["mnist", "cifar10", "image_folder"])
def test_every_recipe_takes_every_picture_set(name, dataset):
    loaded = finding.load(name, dataset=dataset, resize=68)
    channels = 1 if dataset == "mnist" else 3
    assert loaded.endpoints[1].signature["pixels"].shape == (None, 68, 68, channels)
    assert loaded.expected is None, "the figures are of Fashion-MNIST"
    data = loaded.data(Source("builtin"))
    assert data.features["pixels"].shape == (68, 68, channels)


# Inventory 7.1-7.9: what the book trains with.
@pytest.mark.parametrize(
    ("name", "learning_rate", "batch_size", "side"),
    [
        ("alexnet", 0.01, 128, 224),
        ("vgg", 0.05, 128, 224),
        ("nin", 0.1, 128, 224),
        ("googlenet", 0.1, 128, 96),
        ("batch_norm_lenet", 1.0, 256, 28),
        ("batch_norm_lenet_scratch", 1.0, 256, 28),
        ("resnet18", 0.05, 256, 96),
        ("densenet", 0.1, 256, 96),
        ("regnet", 0.05, 128, 96),
    ],
)
def test_hyper_parameters_are_the_book_s(name, learning_rate, batch_size, side):
    loaded = finding.load(name)
    assert (loaded.batch_size, loaded.epochs) == (batch_size, 10)
    optimizer = loaded.optimizer()
    assert type(optimizer).__name__ == "SGD" and optimizer.momentum == 0
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(learning_rate)
    assert loaded.endpoints[1].signature["pixels"].shape == (None, side, side, 1)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("vgg", {"convs": "1,1,1"}, "`convs` and `filters` must have one number for each block"),
        ("vgg", {"convs": "1,1,1,1,1,1", "filters": "1,1,1,1,1,1", "resize": 48}, "at least 64"),
        ("resnet18", {"dataset": "imagenet"}, "`dataset` must be one of"),
        ("resnet18", {"resize": 0}, "`resize` must be at least 1"),
        ("alexnet", {"first_padding": -1}, "`first_padding` must not be negative"),
    ],
)
def test_bad_arguments_stop_at_the_door(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        finding.load(name, **arguments)
    pairs = [word for key, value in arguments.items() for word in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(cli.main, ["train", name, "--data", "builtin", *pairs])
    assert result.exit_code == 2


def test_layer_shapes_of_nin():
    result = finding.load("layer_shapes").run()
    shapes = result.values["shapes (height, width, channels)"]
    names = ["block_1_conv_3", "pool_1", "block_2_conv_3", "pool_2", "block_3_conv_3", "pool_3"]
    assert [shapes[name][0] for name in names] == [54, 26, 26, 12, 12, 5]  # S1:2007-2016
    assert result.values["trainable parameters"] == 1_992_166
    assert sum(result.values["parameters of each layer"].values()) == 1_992_166


@pytest.fixture
def own_pictures(tmp_path):
    """Bright and dark pictures of mixed sizes, grey and colour, JPEG and PNG; one is broken."""
    root = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for name, middle in (("bright side", 230), ("dark", 25)):
        (root / name).mkdir(parents=True)
        for i in range(20):
            kind, mode = ("JPEG", "PNG")[i % 2], ("RGB", "L")[i // 2 % 2]
            size = tuple(int(side) for side in rng.integers(20, 60, 2))
            level = middle + int(rng.integers(-20, 20))
            image = Image.new("L", size, level).convert(mode)
            image.save(root / name / f"{i:02}.{kind.lower()}", kind)
    return root


@pytest.mark.slow
def test_own_pictures_train_export_and_predict(own_pictures, tmp_path):
    (own_pictures / "dark" / "99.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")

    def train(*more):
        words = ["train", "batch_norm_lenet", "--data", "files", "--data-dir", str(own_pictures)]
        words += ["--set", "dataset=image_folder", "--set", "resize=20", "--batch-size", "8"]
        words += ["--set", "learning_rate=0.5", "--epochs", "6", "--strategy", "one", "--json"]
        return CliRunner().invoke(cli.main, [*words, *more])

    refused = train("--out", str(tmp_path / "refused"))
    assert refused.exit_code == 1
    assert "99.jpg is no whole picture" in refused.output
    out = ["--out", str(tmp_path / "run"), "--export", "--savedmodels", str(tmp_path / "served")]
    done = train("--set", "skip_broken=true", *out)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("1 of 41 pictures") == 1
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["examples"] == {"train": 31, "test": 9}
    assert summary["metrics"]["test_accuracy"] >= 0.9
    asked = [str(own_pictures / name / "00.jpeg") for name in ("bright side", "dark")]
    told = CliRunner().invoke(cli.main, ["predict", summary["savedmodel"], *asked, "--json"])
    answer = json.loads(told.stdout.splitlines()[-1])
    assert answer["outputs"]["class_names"] == ["bright side", "dark"]


@pytest.mark.slow
def test_shapes_can_be_learned(tmp_path):
    """The built-in colour pictures are a task: a small ResNet does better than guessing."""
    loaded = finding.load(
        "resnet18",
        dataset="cifar10",
        resize=32,
        width=0.125,
        depths="1,1,1",
        batch_size=25,
        learning_rate=0.1,
        epochs=5,
    )
    run = Run(tmp_path / "run", loaded.name, loaded.arguments, seed=1)
    summary = fit(loaded, run, Source("builtin", seed=1))
    assert summary["metrics"]["train_accuracy"] > 0.3  # guessing: 0.1
