import hashlib
import io
import tarfile

import numpy as np
import pytest
import python2_pickle
from PIL import Image

from kerasd2l.data import DataError, Source
from kerasd2l.data.sets import cifar10

COUNT = 20  # pictures in each of the six batches of the tests


def batches():
    """Batch name -> (x (20, 32, 32, 3) uint8, labels), as they should be read."""
    rng = np.random.default_rng(0)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    return {
        name: (
            rng.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8),
            rng.permutation(np.arange(COUNT) % 10),
        )
        for name in names
    }


def planes(x):
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def binary(x, y):
    return np.concatenate([y[:, None].astype(np.uint8), planes(x)], axis=1).tobytes()


def python(x, y):
    return python2_pickle.batch(python2_pickle.ubytes(planes(x)), y.tolist())


def tar(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def forms(found):
    bin_files = {f"cifar-10-batches-bin/{n}.bin": binary(*b) for n, b in found.items()}
    py_files = {f"cifar-10-batches-py/{n}": python(*b) for n, b in found.items()}
    extra = {"cifar-10-batches-bin/batches.meta.txt": b"airplane\n"}
    meta = {"cifar-10-batches-py/batches.meta": b"not read"}
    return {
        "binary archive": {"cifar-10-binary.tar.gz": tar(bin_files | extra)},
        "binary": bin_files,
        "python archive": {"cifar-10-python.tar.gz": tar(py_files | meta)},
        "python": py_files,
    }


def write(folder, files):
    for name, content in files.items():
        path = folder / "cifar10" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def collect(dataset):
    x, y = zip(*dataset, strict=True)
    return np.concatenate(x), np.concatenate(y)


def check(data):
    found = batches()
    assert data.size == {"train": 5 * COUNT, "test": COUNT}
    assert data.assets["class_names"][0] == "airplane"
    assert data.assets["class_names"][9] == "truck"
    x, y = collect(data.test)
    np.testing.assert_array_equal(y, found["test_batch"][1])
    np.testing.assert_allclose(x, found["test_batch"][0] / 255.0, atol=1e-6)
    x, y = collect(data.epoch(0))
    order = np.random.default_rng([0, 0]).permutation(5 * COUNT)
    train = [found[f"data_batch_{i}"] for i in range(1, 6)]
    np.testing.assert_array_equal(y, np.concatenate([b[1] for b in train])[order])
    expected = np.concatenate([b[0] for b in train])[order] / 255.0
    np.testing.assert_allclose(x, expected, atol=1e-6)


@pytest.mark.parametrize("form", ["binary archive", "binary", "python archive", "python"])
def test_every_form_gives_the_same(form, tmp_path):
    write(tmp_path, forms(batches())[form])
    check(cifar10.load(Source("files", tmp_path), batch_size=16))


def test_download(server, monkeypatch):
    name = cifar10.BINARY
    server.files = forms(batches())["binary archive"]
    digest = hashlib.md5(server.files[name]).hexdigest()
    monkeypatch.setattr(cifar10, "MIRRORS", (server.url,))
    with pytest.raises(DataError, match="wrong content: hash"):
        cifar10.load("download")
    monkeypatch.setattr(cifar10, "MD5", {name: digest})
    check(cifar10.load("download"))
    check(cifar10.load("auto"))


def test_the_published_hash():
    assert cifar10.MD5 == {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"}


def jpegs(split, per_class=2, classes=cifar10.CLASS_NAMES):
    """Names and bytes of pictures; picture i of class k is of level 20 k + i."""
    files = {}
    for k, name in enumerate(classes):
        for i in range(per_class):
            buffer = io.BytesIO()
            Image.new("RGB", (32, 32), (20 * k + i,) * 3).save(buffer, "JPEG", quality=100)
            files[f"{split}/{name}/{i:04}.jpg"] = buffer.getvalue()
    return dict(reversed(files.items()))  # the order of the archive does not matter


def test_pictures_in_archives(tmp_path):
    files = {"train.tar.gz": tar(jpegs("train")), "test.tar.gz": tar(jpegs("test", 1))}
    write(tmp_path, files)
    data = cifar10.load(Source("files", tmp_path), batch_size=4)
    assert data.size == {"train": 20, "test": 10}
    x, y = collect(data.test)
    assert y.tolist() == list(range(10))
    np.testing.assert_allclose(x.mean((1, 2, 3)) * 255, 20 * np.arange(10), atol=1)
    x, y = collect(data.train)
    np.testing.assert_array_equal(np.rint(x.mean((1, 2, 3)) * 255) // 20, y)


def picture(side):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"train/frog/0001.jpg": b"no picture"},
            r"train\.tar\.gz: train/frog/0001\.jpg is no whole",
        ),
        (
            {"train/frog/0001.jpg": picture(31)},
            r"0001\.jpg: expected 32 x 32 pixels, received \(31",
        ),
        ({"train/toad/0000.jpg": picture(32)}, "with the classes airplane, .* received train/toad"),
        ({"test/frog/0000.jpg": picture(32)}, "expected train/CLASS/PICTURE"),
        ({"train/../0.jpg": picture(32)}, "leaves the folder"),
    ],
)
def test_wrong_pictures(changed, message, tmp_path):
    train = {**jpegs("train"), **changed}
    write(tmp_path, {"train.tar.gz": tar(train), "test.tar.gz": tar(jpegs("test"))})
    with pytest.raises(DataError, match=message):
        cifar10.load(Source("files", tmp_path))


def test_a_class_without_pictures(tmp_path):
    train = jpegs("train", classes=cifar10.CLASS_NAMES[:-2])
    write(tmp_path, {"train.tar.gz": tar(train), "test.tar.gz": tar(jpegs("test"))})
    with pytest.raises(DataError, match="has no pictures of ship, truck"):
        cifar10.load(Source("files", tmp_path))


def test_a_cut_archive(tmp_path):
    files = {"train.tar.gz": tar(jpegs("train"))[:-200], "test.tar.gz": tar(jpegs("test"))}
    write(tmp_path, files)
    with pytest.raises(DataError, match=r"train\.tar\.gz is damaged"):
        cifar10.load(Source("files", tmp_path))


def test_wrong_batches(tmp_path):
    found = batches()
    files = forms(found)["binary"]
    files["cifar-10-batches-bin/data_batch_2.bin"] += b"\0"
    write(tmp_path, files)
    with pytest.raises(DataError, match=r"data_batch_2\.bin: expected records of 3073 bytes"):
        cifar10.load(Source("files", tmp_path))
    found["data_batch_3"][1][5] = 10
    write(tmp_path, forms(found)["binary"])
    with pytest.raises(
        DataError, match=r"batch_3\.bin: expected labels 0\.\.9, received 10 at posi"
    ):
        cifar10.load(Source("files", tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"cos\nsystem\n(S'true'\ntR.",
            r"test_batch: expected plain data, received the name os\.s",
        ),
        (b"].", "expected a dict, received list"),
        (python2_pickle.batch(b"]", [1]), r"expected `data` of shape \(n, 3072\)"),
        (
            python2_pickle.batch(python2_pickle.ubytes(np.zeros((2, 3072), np.uint8)), [1]),
            "expected `labels`, 2 whole numbers",
        ),
    ],
)
def test_wrong_pickles(content, message, tmp_path):
    files = forms(batches())["python"]
    files["cifar-10-batches-py/test_batch"] = content
    write(tmp_path, files)
    with pytest.raises(DataError, match=message):
        cifar10.load(Source("files", tmp_path))


def test_what_is_missing_is_what_is_missing_from_the_form_that_lies_there(tmp_path):
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, (x, y) in batches().items():
        if name != "data_batch_3":
            (folder / f"{name}.bin").write_bytes(binary(x, y))
    with pytest.raises(DataError, match=r"lacks cifar-10-batches-bin/data_batch_3\.bin\."):
        cifar10.load(Source("files", tmp_path))


def test_an_archive_that_lacks_a_batch(tmp_path):
    found = batches()
    del found["data_batch_4"]
    write(tmp_path, forms(found)["binary archive"])
    with pytest.raises(DataError, match="lacks data_batch_4"):
        cifar10.load(Source("files", tmp_path))


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match=r"lacks cifar-10-binary\.tar\.gz.*--data builtin"):
        cifar10.load(Source("files", tmp_path))


@pytest.mark.slow
def test_real_pictures(real_data):
    folder = real_data / "cifar10"
    if not (folder / "train.tar.gz").is_file():
        pytest.skip("no cifar10 there")
    (x, y), (_, y_test) = cifar10.read(folder, cifar10.PICTURES)
    assert np.bincount(y).tolist() == [5000] * 10
    assert np.bincount(y_test).tolist() == [1000] * 10
    # the usual channel means of CIFAR-10
    np.testing.assert_allclose((x / 255.0).mean((0, 1, 2)), [0.4914, 0.4822, 0.4465], atol=3e-4)
