"""A folder for each class, pictures of mixed sizes, kinds, colours: every image recipe takes it."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from kerasd2l import cli, export, finding
from kerasd2l.data import Source
from kerasd2l.data.sets import image_folder
from kerasd2l.run import Run
from kerasd2l.training.fit import fit

CLASSES = ["bright side", "dark", "été"]
SMALL = [
    ("softmax_regression", {"implementation": "scratch"}),
    ("lenet", {}),
    ("mnist_resnet", {}),
]
OTHERS = [  # whose networks are built and asked as those
    ("softmax_regression", {}),
    ("mlp", {}),
    ("mlp", {"implementation": "scratch"}),
    ("dropout_mlp", {"hidden_units": "8,8"}),
    ("dropout_mlp", {"hidden_units": "8,8", "implementation": "scratch"}),
    ("batch_norm_lenet_scratch", {}),
    ("mnist_mlp", {}),
    ("mnist_cnn", {}),
    ("mnist_inception", {}),
]


@pytest.fixture
def folder(tmp_path):
    """Three classes of five pictures; JPEG and PNG, grey and colour, high and wide."""
    root = tmp_path / "my pictures"
    random = np.random.default_rng(0)
    for name, level in zip(CLASSES, (230, 25, 130), strict=True):
        (root / name).mkdir(parents=True)
        for i in range(5):
            kind, mode = ("JPEG", "PNG")[i % 2], ("RGB", "L")[i // 2 % 2]
            noise = random.integers(level - 20, level + 20, (24 + 5 * i, 40 - 4 * i), np.uint8)
            Image.fromarray(noise).convert(mode).save(root / name / f"{i}.{kind.lower()}", kind)
    return root


def test_every_image_recipe_takes_them():
    """Also those that this file does not train."""
    loaded = [finding.load(e.name) for e in finding.entries() if e.kind == "recipe"]
    classifiers = [
        found.name
        for found in loaded
        if [list(endpoint.signature) for endpoint in found.endpoints]
        == [["image_bytes"], ["pixels"]]
        and {"dataset", "resize"} <= set(found.arguments)  # others have masks, or one data set
    ]
    assert len(classifiers) >= 18
    for name in classifiers:
        taken = finding.load(name, dataset="image_folder", resize=96)
        assert taken.dataset == "image_folder"
        assert taken.expected is None, "the figures are those of the published set"
        assert taken.endpoints[1].signature["pixels"].shape == (None, 96, 96, 3)


@pytest.mark.parametrize(
    ("name", "arguments"), [*SMALL, *(pytest.param(*o, marks=pytest.mark.slow) for o in OTHERS)]
)
def test_train_and_answer(name, arguments, folder, tmp_path):
    """The saved model, asked with the files of the test set, says what it says of the test data."""
    loaded = finding.load(
        name, dataset="image_folder", resize=20, batch_size=6, epochs=1, **arguments
    )
    run = Run(tmp_path / "run", loaded.name, loaded.arguments)
    data = loaded.data(Source("files", folder))
    summary = fit(
        dataclasses.replace(loaded, data=lambda source: data), run, None, run_eagerly=True
    )
    assert summary["examples"] == {"train": 12, "test": 3}
    model, assets = export.load_model(run.model), run.read("assets.json")
    assert assets["class_names"] == CLASSES
    trees, _ = image_folder.find(folder)
    files = np.array([file.read_bytes() for file in trees["test"].paths], object)
    answer = loaded.endpoints[0].build(model, assets)(image_bytes=files)
    logits = np.concatenate([model(x, training=False) for x, _ in data.test])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        answer["probabilities"], odds / odds.sum(axis=1, keepdims=True), atol=0.02
    )
    said = [text.decode("utf8") for text in answer["class_names"].numpy()]
    assert said == [CLASSES[i] for i in answer["class_ids"].numpy()]


@pytest.mark.slow
def test_train_export_and_predict_on_the_command_line(folder, tmp_path):
    """What is learned from one's own pictures is right, and is told in the folders' names."""
    words = ["train", "mnist_mlp", "--data", "files", "--data-dir", folder, "--batch-size", 3]
    for pair in ("dataset=image_folder", "resize=8", "learning_rate=0.05"):
        words += ["--set", pair]
    words += ["--epochs", 15, "--out", tmp_path / "run", "--json", "--strategy", "one"]
    words += ["--export", "--savedmodels", tmp_path / "served"]
    done = CliRunner().invoke(cli.main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["metrics"]["test_accuracy"] == 1
    asked = [str(folder / name / "1.png") for name in CLASSES]
    told = CliRunner().invoke(cli.main, ["predict", summary["savedmodel"], *asked, "--json"])
    assert json.loads(told.stdout)["outputs"]["class_names"] == CLASSES


@pytest.mark.parametrize(
    ("name", "resize", "least"), [("lenet", 11, 12), ("mnist_cnn", 15, 16), ("mlp", 0, 1)]
)
def test_pictures_that_are_too_small_for_the_network(name, resize, least):
    with pytest.raises(ValueError, match=f"`resize` must be at least {least}"):
        finding.load(name, dataset="image_folder", resize=resize)
    assert finding.load(name, dataset="image_folder", resize=least).endpoints
