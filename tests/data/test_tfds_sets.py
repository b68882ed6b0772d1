"""TensorFlow Datasets: prepared folders are read as they are, in the order of their ids."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from click.testing import CliRunner
from idx_writer import idx_bytes
from PIL import Image

from kerasd2l import cli, data, finding
from kerasd2l.data import DataError, Source, records, tfds_sets
from kerasd2l.data.sets import mnist, shakespeare
from kerasd2l.data.source import from_tfds

CLASSES = ("no", "yes", "maybe")


def pixels(count, shape=(28, 28, 1), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def builder_class(name, shape, *, splits=("train", "test"), names=CLASSES, keep_order=True):
    """Return a builder of our own: 23 training and 11 test pictures."""

    def info(self):
        features = {"image": tfds.features.Image(shape=shape)}
        features |= {"label": tfds.features.ClassLabel(names=names)}
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=keep_order,
        )

    def generate(self, count, seed):
        sides = [side or 20 + seed for side in shape[:2]]
        for i, picture in enumerate(pixels(count, (*sides, shape[2]), seed)):
            yield i, {"image": picture, "label": i % len(names)}

    def split_generators(self, manager):
        counts = {"train": (23, 0), "test": (11, 1), "validation": (11, 2)}
        return {split: self._generate_examples(*counts[split]) for split in splits}

    return type(
        name,
        (tfds.core.GeneratorBasedBuilder,),
        {
            "VERSION": tfds.core.Version("1.0.0"),
            "__module__": __name__,
            "pkg_dir_path": None,
            "_info": info,
            "_split_generators": split_generators,
            "_generate_examples": generate,
        },
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with three prepared sets."""
    folder = tmp_path_factory.mktemp("tfds")
    kinds = [
        builder_class("OwnColours", (24, 20, 3)),
        builder_class("OwnSizes", (None, None, 3)),
        builder_class("OnlyTrain", (28, 28, 1), splits=("train",)),
    ]
    for kind in kinds:
        kind(data_dir=folder).download_and_prepare()
    return folder


def arrays(dataset):
    batches = list(dataset.as_numpy_iterator())
    return tuple(np.concatenate(part) for part in zip(*batches, strict=True))


def folder_of(prepared, name):
    return f"{prepared / name / '1.0.0'}"


def test_a_prepared_set_is_read_in_the_order_of_its_ids(prepared):
    loaded = tfds_sets.load(folder_of(prepared, "own_colours"), batch_size=4)
    x, y = arrays(loaded.test)
    np.testing.assert_allclose(x, pixels(11, (24, 20, 3), 1) / 255, atol=1e-6)
    np.testing.assert_array_equal(y, np.arange(11) % 3)
    assert loaded.assets["class_names"] == list(CLASSES)
    assert loaded.size == {"train": 23, "test": 11}
    again = tfds_sets.load(folder_of(prepared, "own_colours"), batch_size=4)
    for one, two in zip(loaded.epoch(2), again.epoch(2), strict=True):
        np.testing.assert_array_equal(one[0], two[0])


def test_mnist_of_tfds_has_the_pictures_of_our_own_reader(tmp_path):
    """With the order kept at writing, which TFDS' own builder does not."""
    folder = tmp_path / "files" / "mnist"
    folder.mkdir(parents=True)
    digits = tuple("0123456789")
    for split, count, seed in (("train", 23, 0), ("t10k", 11, 1)):
        x = pixels(count, (28, 28), seed)
        (folder / f"{split}-images-idx3-ubyte.gz").write_bytes(_gzip(idx_bytes(x)))
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{split}-labels-idx1-ubyte.gz").write_bytes(_gzip(idx_bytes(labels)))
    builder_class("OwnDigits", (28, 28, 1), names=digits)(
        data_dir=tmp_path / "tfds"
    ).download_and_prepare()
    ours = mnist.load(Source("files", tmp_path / "files"), batch_size=5)
    theirs = tfds_sets.load(f"{tmp_path / 'tfds' / 'own_digits' / '1.0.0'}", batch_size=5)
    assert ours.assets == theirs.assets and ours.size == theirs.size
    for split in ("train", "test"):
        for one, two in zip(
            arrays(getattr(ours, split)), arrays(getattr(theirs, split)), strict=True
        ):
            np.testing.assert_array_equal(one, two)


def _gzip(content):
    import gzip

    return gzip.compress(content)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_the_sets_of_the_book_come_from_tfds_when_asked(name):
    with tfds.testing.mock_data(num_examples=6):
        loaded = data.load_pictures(name, Source("tfds"), batch_size=4)
        x, y = arrays(loaded.test)
    assert x.shape == (6, *data.picture_shape(name)) and len(y) == 6
    assert len(loaded.assets["class_names"]) == 10


def test_any_set_for_picture_classification_trains_a_recipe(prepared, tmp_path):
    name = f"tfds:{folder_of(prepared, 'own_colours')}"
    loaded = finding.load("lenet", dataset=name, resize=28)
    assert loaded.endpoints[1].signature["pixels"].shape == (None, 28, 28, 3)
    assert loaded.expected is None
    words = ["train", "mlp", "--set", f"dataset={name}", "--epochs", "1", "--json"]
    done = CliRunner().invoke(
        cli.main, [*words, "--data", "tfds", "--out", str(tmp_path / "run"), "--strategy", "one"]
    )
    assert done.exit_code == 0, done.output
    assert '"train": 23, "test": 11' in done.stdout


def test_pictures_of_different_sizes_want_a_size(prepared):
    name = folder_of(prepared, "own_sizes")
    with pytest.raises(ValueError, match="`resize` must be given"):
        data.picture_shape(f"tfds:{name}")
    x, _ = arrays(tfds_sets.load(name, batch_size=4, resize=16).train)
    assert x.shape == (23, 16, 16, 3)


def test_a_set_without_a_test_keeps_every_fifth_picture(prepared):
    loaded = tfds_sets.load(folder_of(prepared, "only_train"), batch_size=4)
    assert loaded.size == {"train": 18, "test": 5}
    x, _ = arrays(loaded.test)
    np.testing.assert_allclose(x, pixels(23)[::5] / 255, atol=1e-6)


def test_a_folder_of_pictures_is_an_image_folder_of_tfds(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(count):
                picture = Image.new("RGB", (10 + i, 12), (200 * (label == "cat"), 0, 0))
                picture.save(tmp_path / split / label / f"{i}.png")
    loaded = tfds_sets.load(str(tmp_path), batch_size=4, resize=8)
    assert loaded.size == {"train": 8, "test": 4}
    assert loaded.assets["class_names"] == ["cat", "dog"]
    x, y = arrays(loaded.test)
    np.testing.assert_array_equal(y, (x[:, 0, 0, 0] < 0.5).astype(int))


def test_auto_takes_a_prepared_folder_before_a_download(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("KERASD2L_DATA", raising=False)
    (tmp_path / "mnist" / "3.0.1").mkdir(parents=True)
    assert not from_tfds(Source("auto"), "mnist", ("x",)), "not finished"
    (tmp_path / "mnist" / "3.0.1" / "dataset_info.json").write_text("{}")
    with tfds.testing.mock_data(num_examples=5):
        assert mnist.load("auto").size == {"train": 5, "test": 5}


def test_shakespeare_of_tfds_is_one_text(monkeypatch):
    class Builder:
        def __init__(self):
            self.info = type("Info", (), {"features": {"text": None}, "splits": ["test", "train"]})

        def is_prepared(self):
            return True

        def as_dataset(self, split):
            return [{"text": {"train": b"First ", "test": b"Citizen"}[split]}]

    monkeypatch.setattr(tfds_sets, "builder", lambda name, data_dir: Builder())
    monkeypatch.setattr(tfds_sets.tfds, "as_numpy", lambda dataset: dataset, raising=False)
    monkeypatch.setattr(tfds, "as_numpy", lambda dataset: dataset)
    assert shakespeare.text(Source("tfds")) == "First Citizen"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_set_at_all", "TFDS has no data set 'no_such_set_at_all'"),
        ("nowhere/at/all", "TFDS has no data set"),
    ],
)
def test_unknown_sets(name, message):
    with pytest.raises(DataError, match=message):
        tfds_sets.load(name)
    with pytest.raises(ValueError, match="`dataset`: TFDS has no data set"):
        finding.load("lenet", dataset=f"tfds:{name}")


def test_a_set_that_is_not_prepared_says_what_to_do(tmp_path):
    kind = builder_class("Unprepared", (8, 8, 3))

    def fail(self, manager):
        raise OSError("no network here")

    kind._split_generators = fail
    with pytest.raises(DataError, match=r"not prepared .* no network here .*`tfds build"):
        tfds_sets.prepare(kind(data_dir=tmp_path), "unprepared")


def test_a_set_of_something_else_is_refused():
    with tfds.testing.mock_data(num_examples=3):
        with pytest.raises(DataError, match="is no set for picture classification"):
            tfds_sets.load("titanic", Source("tfds"))


@pytest.mark.parametrize("recipe", ["diabetes", "seq2seq_gru"])
def test_other_sets_are_not_read_from_tfds(recipe):
    with pytest.raises(DataError, match="not among the sets that are read from TFDS"):
        finding.load(recipe).data(Source("tfds"))


# Sets that are larger than memory


def numbers(dataset):
    return [tuple(map(np.asarray, batch)) for batch in dataset]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("own_colours", {}),
        ("own_colours", {"resize": (12, 10)}),
        ("own_sizes", {"resize": 16}),
        ("only_train", {}),
    ],
)
def test_a_set_that_does_not_fit_is_read_batch_by_batch_with_the_same_batches(
    prepared, name, options
):
    folder = folder_of(prepared, name)
    kept = tfds_sets.load(folder, Source(seed=4), batch_size=4, **options)
    anew = tfds_sets.load(folder, Source(seed=4), batch_size=4, memory=0, **options)
    assert anew.assets == kept.assets and anew.size == kept.size and anew.features == kept.features
    assert anew.rows_of("train") and anew.rows_of("test") and not kept.rows_of("train")
    for one, two in ((kept.epoch(1), anew.epoch(1)), (kept.test, anew.test)):
        for (x, y), (x_anew, y_anew) in zip(numbers(one), numbers(two), strict=True):
            np.testing.assert_array_equal(y, y_anew)
            np.testing.assert_allclose(x, x_anew, atol=1e-6)


def test_array_records_are_read_by_their_places(tmp_path):
    pytest.importorskip("array_record", reason="ArrayRecord is not installed")
    kind = builder_class("OwnArrays", (24, 20, 3))
    kind(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    loaded = tfds_sets.load(folder_of(tmp_path, "own_arrays"), batch_size=4, memory=0)
    assert loaded.rows_of("train")
    x, y = arrays(loaded.test)
    np.testing.assert_allclose(x, pixels(11, (24, 20, 3), 1) / 255, atol=1e-6)
    np.testing.assert_array_equal(y, np.arange(11) % 3)


def test_records_are_found_by_their_headers_and_read_alone(tmp_path):
    import tensorflow as tf

    paths, expected = [], []
    for number in range(3):
        paths.append(tmp_path / f"{number}.tfrecord")
        with tf.io.TFRecordWriter(str(paths[-1])) as writer:
            for place in range(number * 2):  # the first file is empty
                expected.append(bytes([number, place]) * (1 + 100 * place))
                writer.write(expected[-1])
    found = records.Records(paths)
    assert [found[i] for i in range(len(found))] == expected
    for place in (-1, len(expected)):
        with pytest.raises(IndexError, match="there are 6 records"):
            found[place]
    whole = paths[2].read_bytes()
    for damaged in (whole[:-1], whole[:20], b"\xff" * 40, whole + b"x"):
        paths[2].write_bytes(damaged)
        with pytest.raises(DataError, match=r"2.tfrecord is no whole TFRecord file"):
            records.Records(paths)
