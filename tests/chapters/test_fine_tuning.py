"""Fine-tuning and Kaggle's dogs: archives, weights of a run, what is written."""

import csv
import io
import json
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from kerasd2l import data, finding, models
from kerasd2l.chapters.computer_vision.kaggle_dog import write_submission
from kerasd2l.data import DataError, Source
from kerasd2l.data.sets import dogs
from kerasd2l.run import Run
from kerasd2l.training.fit import fit

SMALL = {"resize": 32, "width": 0.125, "depths": "1,1", "small_stem": "true", "batch_size": 8}


def picture(seed):
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def train(name, folder, source="builtin", **arguments):
    recipe = finding.load(name, **{**SMALL, **arguments})
    run = Run(path=folder, recipe=recipe.name, arguments=recipe.arguments, seed=1)
    source = Source(source) if isinstance(source, str) else source
    return fit(recipe, run, source, limit_steps=2, run_eagerly=True), run


@pytest.fixture
def hotdogs(tmp_path):
    """A folder with hotdog.zip as the book's: hotdog/SPLIT/CLASS/PICTURE."""
    (tmp_path / "data" / "hotdog").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "data" / "hotdog" / "hotdog.zip", "w") as archive:
        for split, count in (("train", 4), ("test", 2)):
            for name in ("hotdog", "not-hotdog"):
                for i in range(count):
                    archive.writestr(f"hotdog/{split}/{name}/{i}.png", picture(i))
    return Source("files", data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


def test_hot_dogs_are_read_from_their_archive_and_from_its_folder(hotdogs, tmp_path):
    loaded = data.load_pictures("hotdog", hotdogs, batch_size=3, resize=16)
    assert loaded.size == {"train": 8, "test": 4}
    assert loaded.assets["class_names"] == ["hotdog", "not-hotdog"]
    with zipfile.ZipFile(tmp_path / "data" / "hotdog" / "hotdog.zip") as archive:
        archive.extractall(tmp_path / "data")
    again = data.load_pictures("hotdog", hotdogs, batch_size=3, resize=16)
    for before, after in zip(loaded.test, again.test, strict=True):
        np.testing.assert_array_equal(before[0], after[0])


@pytest.mark.slow
def test_fine_tuning_begins_from_a_run_and_from_a_converted_file(tmp_path, hotdogs):
    _, before = train("fine_tuning", tmp_path / "before")  # ten shapes
    _, after = train(
        "fine_tuning",
        tmp_path / "after",
        hotdogs,
        weights=str(tmp_path / "before"),
        frozen="body",
    )
    old, new = (keras.saving.load_model(run.model, compile=False) for run in (before, after))
    assert new.output_shape == (None, 2)
    for weight in old.get_layer("stage_2_block_1_bn_2").weights:  # moving statistics as well
        ours = new.get_layer("stage_2_block_1_bn_2")
        match = next(w for w in ours.weights if w.name == weight.name)
        np.testing.assert_array_equal(match, weight)
    alone = tmp_path / "network.keras"
    models.imagenet_resnet((None, None, 3), 5, depths=(1,), width=0.1).save(alone)
    summary, _ = train("fine_tuning", tmp_path / "other", hotdogs, weights=str(alone))
    assert summary["metrics"]["test_loss"] > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "does not exist"), ("resnet18.safetensors", "kerasd2l convert FILE")],
)
def test_weights_that_are_none_are_refused_with_what_to_do(name, message, tmp_path):
    if name != "missing":
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=message):
        train("fine_tuning", tmp_path / "run", weights=str(tmp_path / name))
    assert not (tmp_path / "run" / "config.json").exists()


# Dogs


@pytest.fixture
def kennel(tmp_path):
    folder = tmp_path / "data" / "dog_tiny"
    rows = [(f"{i:02d}", ("pug", "boxer", "beagle")[i % 3]) for i in range(30)]
    for split, names in (("train", [name for name, _ in rows]), ("test", ["b", "a"])):
        (folder / split).mkdir(parents=True)
        for i, name in enumerate(names):
            (folder / split / f"{name}.jpg").write_bytes(picture(i))
    table = "".join(f"{name},{breed}\n" for name, breed in rows)
    (folder / "labels.csv").write_text(f"id,breed\n{table}")
    return folder


def test_dogs_are_held_out_breed_by_breed(kennel):
    loaded = data.dogs.load(Source("files", data_dir=kennel.parent), resize=16, valid_ratio=0.5)
    assert loaded.assets["class_names"] == ["beagle", "boxer", "pug"]
    assert loaded.size == {"train": 15, "valid": 15}
    (batch,) = loaded.valid
    assert sorted(batch[1].numpy().tolist()) == [0] * 5 + [1] * 5 + [2] * 5
    assert loaded.ids == ["a", "b"]
    whole = data.dogs.load(Source("files", data_dir=kennel.parent), resize=16, valid_ratio=0)
    assert whole.size == {"train": 30}


def test_hold_out_is_the_books():
    """n_valid = max(1, floor(count of the rarest class * ratio)) of each class."""
    labels = np.array([0] * 30 + [1] * 25 + [2] * 40)
    assert dogs.hold_out(labels, 0.1).sum() == 3 * 2
    assert dogs.hold_out(np.array([0, 1, 1]), 0.1).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "train" / "03.jpg").unlink(), "the folder train lacks 03"),
        (lambda f: (f / "train" / "99.jpg").write_bytes(b""), "the table lacks 99"),
        (lambda f: (f / "labels.csv").write_text("id,label\na,b\n"), "expected the header"),
        (lambda f: (f / "labels.csv").write_text("id,breed\na,b\na,c\n"), "line 3"),
        (lambda f: (f / "train" / "05.jpg").write_bytes(b"none"), "05.jpg is no whole picture"),
    ],
)
def test_dogs_that_do_not_belong_together_are_named(kennel, change, message):
    change(kennel)
    with pytest.raises(DataError, match=message):
        data.dogs.load(Source("files", data_dir=kennel.parent), resize=16)


@pytest.mark.slow  # kaggle_cifar10 shows by default that submissions are written
def test_a_submission_has_a_probability_for_each_breed(kennel, tmp_path):
    source = Source("files", data_dir=kennel.parent)
    # 24 pictures to train on: TensorFlow's oneDNN crashes on a batch of 1 and so few channels
    small = {"hidden_units": "4", "valid_ratio": 0.2, "epochs": 1}
    _, run = train("kaggle_dog", tmp_path / "run", source, **small)
    header, *rows = csv.reader((run.path / "submission.csv").read_text().splitlines())
    assert header == ["id", "beagle", "boxer", "pug"]
    assert [row[0] for row in rows] == ["a", "b"]
    for row in rows:
        assert sum(map(float, row[1:])) == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match=r"finite probabilities of shape \(1, 2\)"):
        write_submission(tmp_path / "s.csv", ["a"], ["x", "y"], np.full((1, 2), np.nan))


@pytest.mark.slow
def test_the_rate_of_dogs_falls_every_two_epochs(tmp_path):
    recipe = finding.load("kaggle_dog", **SMALL, hidden_units="4", epochs=5, learning_rate=0.001)
    run = Run(path=tmp_path / "run", recipe=recipe.name, arguments=recipe.arguments, seed=1)
    fit(recipe, run, Source("builtin"), limit_steps=1, run_eagerly=True)
    rates = [json.loads(line)["learning_rate"] for line in run.metrics.read_text().splitlines()]
    np.testing.assert_allclose(rates, [0.001, 0.001, 0.0009, 0.0009, 0.00081], rtol=1e-5)
