import gzip
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kerasd2l.data import DataError, Source, resolve
from kerasd2l.data.sets import diabetes, names, shakespeare, translation


def test_defaults_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("KERASD2L_DATA", str(tmp_path))
    assert Source().data_dir == tmp_path
    assert Source(data_dir="/else").data_dir == Path("/else")
    assert Source().cache_dir == tmp_path / "cache" / "kerasd2l"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("KERASD2L_DATA")
    assert Source().data_dir is None
    assert Source().cache_dir == Path("/home/me/.cache/kerasd2l")


@pytest.mark.parametrize(
    "wrong", [{"kind": "file"}, {"seed": -1}, {"timeout": 0}, {"timeout": -1.0}, {"retries": -1}]
)
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
        Source(**wrong)


def test_of():
    assert Source.of("builtin").kind == "builtin"
    assert Source.of(None).kind == "auto"
    source = Source("files")
    assert Source.of(source) is source


def bring(content="x"):
    def fetch(folder):
        folder.mkdir(parents=True)
        (folder / "a").write_text(content)

    return fetch


def fail(folder):
    raise DataError("cannot download a (no network)")


def own_files(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a").write_text("own")
    return tmp_path


def test_builtin(tmp_path):
    assert resolve(Source("builtin", own_files(tmp_path)), "set", ("a",), fail) is None
    with pytest.raises(DataError, match=r"no built-in stand-in.*--data files.*--data download"):
        resolve(Source("builtin"), "set", ("a",), fail, builtin=False)


def test_files(tmp_path):
    source = Source("files", own_files(tmp_path))
    assert resolve(source, "set", ("a",), fail) == tmp_path / "set"
    with pytest.raises(DataError) as error:
        resolve(source, "set", ("a", "b", "c/d"), bring())
    for told in (f"{tmp_path / 'set'} lacks b, c/d", "--data builtin", "--data download"):
        assert told in str(error.value)


def test_files_without_a_folder():
    with pytest.raises(DataError, match=r"no data folder.*--data-dir DIR or KERASD2L_DATA"):
        resolve(Source("files"), "set", ("a",), bring())


def test_download(tmp_path):
    source = Source("download", own_files(tmp_path))
    folder = resolve(source, "set", ("a",), bring())
    assert folder == tmp_path / "cache" / "kerasd2l" / "set"
    assert (folder / "a").read_text() == "x"
    with pytest.raises(DataError, match="the download left no b"):
        resolve(Source("download"), "other", ("a", "b"), bring())
    with pytest.raises(DataError, match=r"no network.*--data builtin.*--data files"):
        resolve(source, "set", ("a",), fail)


def test_auto_takes_files_then_download_then_names_the_ways(tmp_path):
    assert resolve(Source(cache_dir=tmp_path / "c"), "set", ("a",), bring()) == tmp_path / "c/set"
    assert resolve(Source(data_dir=own_files(tmp_path)), "set", ("a",), fail) == tmp_path / "set"
    for fetch in (fail, None):
        with pytest.raises(DataError) as error:
            resolve(Source(data_dir=tmp_path), "set", ("a", "b"), fetch)
        ways = ["--data builtin", "--data files", "--data-dir DIR", "lacks b"]
        for told in ways + ["--data download", "no network"] * (fetch is fail):
            assert told in str(error.value)


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist"])
@pytest.mark.parametrize("kind", ["auto", "download"])
def test_without_network_the_answer_comes_soon(monkeypatch, name, kind):
    import kerasd2l.data

    module = getattr(kerasd2l.data, name)
    # .invalid never resolves (RFC 2606); without any resolver the error is the same
    monkeypatch.setattr(module, "MIRRORS", ("http://127.0.0.1:9/", "https://kerasd2l.invalid/"))
    began = time.monotonic()
    with pytest.raises(DataError, match=f"{name}: cannot download.*--data builtin.*--data files"):
        module.load(kind)
    assert time.monotonic() - began < 30


def test_importing_the_data_sets_loads_no_tensorflow():
    code = (
        "import sys; from kerasd2l.data import Source, fashion_mnist, mnist, digits, pipeline; "
        "from kerasd2l.data import source, unpack; assert callable(fashion_mnist.load); "
        "sys.exit('tensorflow' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


UNPACKED = {
    "multi30k": lambda source: translation.pairs(source),
    "names": lambda source: (names.load(source).size, diabetes.load(source).size),
    "shakespeare": lambda source: shakespeare.text(source),
}


@pytest.mark.parametrize("dataset", UNPACKED)
def test_what_lies_there_unpacked_is_the_same_data(tmp_path, dataset):
    rows = [[0.1 * i, 0, 0, 0, 0, 0, 0, 0, i % 2] for i in range(10)] * 2
    contents = {
        "multi30k": dict.fromkeys(
            [f"{n}.{s}.gz" for n in ("train", "val", "test_2016_flickr") for s in ("en", "fr")],
            "a .\nb .\n",
        ),
        "names": {
            "names_train.csv.gz": "Li,Chinese\nMo,Irish\n",
            "names_test.csv.gz": "Li,Chinese\n",
            "diabetes.csv.gz": "".join(",".join(map(str, row)) + "\n" for row in rows),
        },
        "shakespeare": {"shakespeare.txt.gz": "To be\n"},
    }[dataset]
    found = []
    for unpacked in (False, True):
        folder = tmp_path / str(unpacked) / dataset
        folder.mkdir(parents=True)
        for name, content in contents.items():
            if unpacked:
                (folder / name.removesuffix(".gz")).write_text(content)
            else:
                (folder / name).write_bytes(gzip.compress(content.encode()))
        found.append(UNPACKED[dataset](Source("files", folder.parent)))
    assert found[0] == found[1]
