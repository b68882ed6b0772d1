import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from idx_writer import idx_bytes

from kerasd2l.data import DataError, Source, idx
from kerasd2l.data.sets import digits, fashion_mnist, mnist

REAL = os.environ.get("KERASD2L_DATA")
FASHION = [
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle boot",
]  # fmt: skip
both = pytest.mark.parametrize("module", [mnist, fashion_mnist])


def name_of(module):
    return module.__name__.rpartition(".")[2]


def write(folder, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def collect(dataset):
    x, y = zip(*dataset, strict=True)
    return np.concatenate(x), np.concatenate(y)


def check(data, arrays, class_names):
    assert data.size == {split: len(y) for split, (_, y) in arrays.items()}
    assert data.features["pixels"].shape == (28, 28, 1)
    assert data.features["pixels"].dtype == "float32"
    assert data.assets == {"class_names": class_names}
    assert data.valid is None
    x, y = collect(data.test)
    assert (x.dtype, y.dtype, x.shape[1:]) == (np.float32, np.int32, (28, 28, 1))
    np.testing.assert_array_equal(y, arrays["test"][1])
    np.testing.assert_allclose(x[..., 0], arrays["test"][0] / 255.0, atol=1e-6)
    x, y = collect(data.epoch(0))
    order = np.random.default_rng([0, 0]).permutation(len(y))
    np.testing.assert_array_equal(y, arrays["train"][1][order])
    np.testing.assert_allclose(x[..., 0], arrays["train"][0][order] / 255.0, atol=1e-6)


@both
@pytest.mark.parametrize("kind", ["files", "auto"])
def test_files(module, kind, tmp_path, idx_files):
    files, arrays = idx_files
    write(tmp_path / name_of(module), files)
    data = module.load(Source(kind, tmp_path), batch_size=8)
    check(data, arrays, FASHION if module is fashion_mnist else list("0123456789"))
    assert [len(y) for _, y in data.train] == [8, 8, 8, 6]


@both
@pytest.mark.parametrize("kind", ["files", "auto"])
def test_unpacked_files(module, kind, tmp_path, idx_files):
    files, arrays = idx_files
    unpacked = {name.removesuffix(".gz"): gzip.decompress(files[name]) for name in files}
    packed = idx.LABELS["test"]  # some may still be packed
    unpacked[packed] = files[packed]
    del unpacked[packed.removesuffix(".gz")]
    write(tmp_path / name_of(module), unpacked)
    data = module.load(Source(kind, tmp_path), batch_size=8)
    check(data, arrays, FASHION if module is fashion_mnist else list("0123456789"))


@both
@pytest.mark.parametrize("kind", ["download", "auto"])
def test_download(module, kind, server, monkeypatch, tmp_path, idx_files):
    files, arrays = idx_files
    server.files = {"mirror/" + name: content for name, content in files.items()}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(module, "MIRRORS", (server.url + "gone/", server.url + "mirror/"))
    monkeypatch.setattr(module, "SHA256", digests)
    names = FASHION if module is fashion_mnist else list("0123456789")
    check(module.load(Source(kind), batch_size=8), arrays, names)
    asked = len(server.requests)
    check(module.load(Source(kind), batch_size=8), arrays, names)
    assert len(server.requests) == asked, "the second time comes from the cache"
    assert (tmp_path / "cache" / "kerasd2l" / name_of(module) / idx.FILES[0]).is_file()


@both
def test_download_of_other_bytes(module, server, monkeypatch, idx_files):
    server.files = idx_files[0]
    monkeypatch.setattr(module, "MIRRORS", (server.url,))
    with pytest.raises(DataError, match=r"wrong content.*--data builtin"):
        module.load("download")


@both
def test_builtin_is_the_digits_and_says_so(module):
    data = module.load("builtin", resize=(20, 24))
    assert data.size == {"train": 1437, "test": 360}
    assert data.assets["class_names"] == list("0123456789")
    assert data.features["pixels"].shape == (20, 24, 1)
    x, _ = next(iter(data.train))
    assert x.shape == (256, 20, 24, 1)


@both
def test_missing_files(module, tmp_path, idx_files):
    files, _ = idx_files
    del files[idx.LABELS["test"]]
    write(tmp_path / name_of(module), files)
    with pytest.raises(DataError, match=r"lacks t10k-labels-idx1-ubyte\.gz"):
        module.load(Source("files", tmp_path))


def test_swapped_files(tmp_path, idx_files):
    files, _ = idx_files
    files[idx.LABELS["train"]], files[idx.LABELS["test"]] = (
        files[idx.LABELS["test"]],
        files[idx.LABELS["train"]],
    )
    write(tmp_path / "mnist", files)
    with pytest.raises(DataError, match="expected 30 labels, one for each image"):
        mnist.load(Source("files", tmp_path))


def test_wrong_label(tmp_path, idx_files):
    files, arrays = idx_files
    y = arrays["test"][1].copy()
    y[3] = 10
    files[idx.LABELS["test"]] = gzip.compress(idx_bytes(y))
    write(tmp_path / "mnist", files)
    with pytest.raises(DataError, match="received 10 at position 3"):
        mnist.load(Source("files", tmp_path))


def test_published_hashes_are_sha256_of_the_four_files():
    for module in (mnist, fashion_mnist):
        assert tuple(module.SHA256) == idx.FILES
        assert {len(digest) for digest in module.SHA256.values()} == {64}


def test_seed_of_the_source_orders_the_training():
    one, same, other = [
        collect(digits.load(Source("builtin", seed=s)).epoch(0))[1].tolist() for s in (1, 1, 2)
    ]
    assert one == same != other


def test_digits_split_is_fixed_disjoint_and_stratified():
    from sklearn.datasets import load_digits

    (x, y), (x_test, y_test) = digits.arrays()
    (x_again, _), _ = digits.arrays()
    np.testing.assert_array_equal(x, x_again)
    total = np.bincount(load_digits().target)
    np.testing.assert_array_equal(np.bincount(y) + np.bincount(y_test), total)
    assert np.abs(np.bincount(y_test) - total / 5).max() <= 1
    assert (x.dtype, x.shape, y.dtype) == (np.uint8, (1437, 28, 28, 1), np.int32)
    assert x.min() == 0 and x.max() > 250
    # every original digit is there once: sums of pixels, compared at the coarse scale
    together = np.concatenate([x, x_test]).reshape(1797, -1).mean(1)
    before = load_digits().images.reshape(1797, -1).mean(1) * 255 / 16
    np.testing.assert_allclose(np.sort(together), np.sort(before), atol=8)
    assert y_test[:8].tolist() == digits.arrays()[1][1][:8].tolist()


@pytest.mark.parametrize("kind", ["files", "download"])
def test_digits_are_built_in(kind):
    with pytest.raises(DataError, match=f"--data {kind}. Use --data builtin"):
        digits.load(kind)


@pytest.mark.skipif(not REAL, reason="needs the real files under $KERASD2L_DATA")
@both
def test_real_files(module):
    name = name_of(module)
    folder = Path(REAL) / name
    if not (folder / idx.FILES[0]).is_file():
        pytest.skip(f"no {name} there")
    data = module.load(Source("files", REAL), batch_size=1000)
    assert data.size == {"train": 60000, "test": 10000}
    _, y = idx.read_pair(folder / idx.IMAGES["train"], folder / idx.LABELS["train"], count=60000)
    x_test, y_test = collect(data.test)
    assert x_test.min() == 0.0 and x_test.max() == 1.0
    if module is mnist:
        expected = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        assert np.bincount(y).tolist() == expected
        assert y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert y_test[:5].tolist() == [7, 2, 1, 0, 4]
    else:
        assert np.bincount(y).tolist() == [6000] * 10
        assert y[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
        assert y_test[:5].tolist() == [9, 2, 1, 1, 6]
        for file, digest in module.SHA256.items():
            assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
