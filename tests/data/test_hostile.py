"""Files that were made to do harm: each reader says what is wrong, soon, and in little memory."""

import gzip
import io
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile

import numpy as np
import pytest
from idx_writer import idx_bytes

from kerasd2l.data import (
    DataError,
    Source,
    Vocab,
    download,
    pickled,
    read_members,
    tables,
    text,
    unpack,
)
from kerasd2l.data.sets import cifar10, diabetes, kaggle_house, names, time_machine, translation

# Pipes: whoever opens one for reading waits for a writer.


def pipe(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


@pytest.fixture
def soon():
    """Fail, instead of waiting for ever, where something waits for a pipe."""

    def ring(*_):
        raise AssertionError("it waits for a pipe")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "read",
    [
        text.read_lines,
        tables.read,
        names.read,
        diabetes.read,
        Vocab.load,
        translation.read_tabbed,
        lambda path: kaggle_house.read(path, labelled=True),
        lambda path: list(read_members(path)),
        lambda path: unpack(path, path.with_name("out")),
        lambda path: cifar10.read(path.parent, (path.name,) * 2),
    ],
)
@pytest.mark.parametrize("make", [pipe, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_not_waited_for(tmp_path, soon, read, make):
    make(tmp_path / "a")
    with pytest.raises(DataError, match="a folder, a pipe or a device and no file"):
        read(tmp_path / "a")


def test_a_pipe_in_the_place_of_a_file_is_a_missing_file(tmp_path, soon):
    pipe(tmp_path / "time_machine" / "timemachine.txt")
    with pytest.raises(DataError, match=r"lacks timemachine\.txt"):
        time_machine.lines(Source("files", tmp_path))


@pytest.mark.parametrize("name", ["file", ".file.lock"])
def test_a_download_does_not_wait_for_a_pipe(tmp_path, soon, server, name):
    server.files["file"] = b"1"
    pipe(tmp_path / name)
    digest = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    with pytest.raises(DataError, match="a folder, a pipe or a device and no file"):
        download(server.url + "file", tmp_path / "file", digest)


def test_an_unpacking_does_not_wait_for_a_pipe(tmp_path, soon):
    with tarfile.open(tmp_path / "a.tar", "w"):
        pass
    pipe(tmp_path / ".out.lock")
    with pytest.raises(DataError, match="cannot write"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    (tmp_path / ".out.lock").unlink()
    pipe(tmp_path / "out" / ".kerasd2l-unpacked")
    with pytest.raises(DataError, match="is in the way"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


# Archives.


def tar(files, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


MEMBERS = {f"d/{i}.txt": bytes([65 + i]) * (i * 700) for i in range(5)}


def heads(content):
    with tarfile.open(fileobj=io.BytesIO(content)) as file:
        return [info.offset for info in file]


def test_a_flipped_bit_in_any_header_of_a_tar_loses_no_file(tmp_path):
    content = tar(MEMBERS)
    rng = np.random.default_rng(0)
    for start in heads(content):
        for place in rng.integers(0, 512, 100):
            broken = bytearray(content)
            broken[start + place] ^= 1 << rng.integers(8)
            (tmp_path / "a").write_bytes(broken)
            try:
                found = dict(read_members(tmp_path / "a"))
            except DataError:
                continue
            assert found == MEMBERS  # such as a bit of the owner's name that both sums leave out


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_tar_cut_anywhere_before_its_end_marker_loses_no_file(tmp_path, pack):
    content = tar(MEMBERS)
    end = heads(content)[-1] + 512 + 512 * -(-len(MEMBERS["d/4.txt"]) // 512)
    for cut in [*heads(content)[1:], end]:
        (tmp_path / "a").write_bytes(pack(content[:cut]))
        with pytest.raises(DataError, match="it has no end marker"):
            dict(read_members(tmp_path / "a"))
    (tmp_path / "a").write_bytes(pack(content[: end + 1024]))
    assert dict(read_members(tmp_path / "a")) == MEMBERS


def test_a_header_overwritten_with_zeros_loses_no_file(tmp_path):
    content = tar(MEMBERS)
    for start in heads(content):
        broken = content[:start] + bytes(512) + content[start + 512 :]
        (tmp_path / "a").write_bytes(broken)
        with pytest.raises(DataError, match="something follows its end"):
            dict(read_members(tmp_path / "a"))
    (tmp_path / "a").write_bytes(content + content)  # two tars, one behind the other
    with pytest.raises(DataError, match="something follows its end"):
        dict(read_members(tmp_path / "a"))


def zip_with(name, method=zipfile.ZIP_DEFLATED, content=b"x"):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(zipfile.ZipInfo(name.replace("\0", "\x01")), content, method)
    return out.getvalue().replace(b"\x01", b"\0") if "\0" in name else out.getvalue()


@pytest.mark.parametrize("name", ["\0", "a\0b", "\0/a", "a/\0"])
def test_a_nul_in_the_name_of_a_zips_member(tmp_path, name):
    (tmp_path / "a").write_bytes(zip_with(name))
    with pytest.raises(DataError, match=r"unsafe name|damaged"):
        unpack(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("name", ["d/" * 600 + "x", "d/" * 100 + "x", "n" * 2000])
def test_names_that_are_too_deep_or_too_long(tmp_path, name):
    for content in (zip_with(name), tar({name: b"x"})):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DataError, match="too long or too deep"):
            unpack(tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_is_stored_or_deflated(tmp_path, method):
    (tmp_path / "a").write_bytes(zip_with("a", method))
    with pytest.raises(DataError, match="is packed by method"):
        dict(read_members(tmp_path / "a"))


def test_a_chain_of_headers_is_no_endless_recursion(tmp_path):
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "0"}
    header = info.tobuf(tarfile.PAX_FORMAT)[:1024]
    (tmp_path / "a").write_bytes(header * 900 + tar({"x": b"1"}))
    with pytest.raises(DataError, match="damaged"):
        dict(read_members(tmp_path / "a"))


def test_a_member_that_is_read_without_unpacking_is_no_larger_than_it_may_be(tmp_path):
    for content in (zip_with("a", content=bytes(3000)), tar({"a": bytes(3000)})):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DataError, match="larger than 2000 bytes"):
            dict(read_members(tmp_path / "a", max_member=2000))


# Pickles.


def test_a_key_of_a_pickle_that_is_no_text(tmp_path):
    batch = {b"\xff\xfe": 1, b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1]}
    for i in range(1, 6):
        (tmp_path / f"data_batch_{i}").write_bytes(pickle.dumps(batch, 4))
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"\xff": 1}, 4))
    with pytest.raises(DataError, match=r"test_batch: expected `data`"):
        cifar10.read(tmp_path, (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"))


@pytest.mark.parametrize(
    "content",
    [
        b"(" * 100_000 + b".",
        b"]" * 100_000 + b"a" * 99_999 + b".",  # lists in lists
        b"I1\nr\xff\xff\xff\x7f.",  # a place in a memory of 2**31 places
        b"\x8e" + struct.pack("<Q", 1 << 60) + b".",
        b"I" + b"9" * 5000 + b"\n.",
        b"N0" * 600_000 + b"N.",
    ],
    ids=["marks", "deep", "memory", "long bytes", "long number", "steps"],
)
def test_a_pickle_that_asks_for_too_much(content):
    with pytest.raises(DataError, match="damaged pickle"):
        pickled.read(content, "a")


# Tables.


def house_text(**cells):
    known, _ = kaggle_house.generate(5, 1)
    return known.astype(object).assign(**cells).to_csv(index=False, na_rep="NA")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"LotArea": "1e300"}, "line 2: LotArea must be a number, or NA. Received: '1e300'"),
        ({"LotArea": "1e39"}, "LotArea must be a number"),
        ({"LotArea": "9" * 400}, "LotArea must be a number"),
        ({"LotArea": "-inf"}, "LotArea must be a number"),
        ({"LotArea": "1_000"}, "LotArea must be a number"),
        ({"SalePrice": "1e300"}, "SalePrice must be a positive number"),
        ({"SalePrice": "1e-300"}, "SalePrice must be a positive number"),
        ({"SalePrice": "nan"}, "SalePrice must be a positive number"),
        ({"Alley": "x" * 200_000}, "line 2: field larger than field limit"),
        ({"Alley": "x" * 20_000}, "line 2: a cell of 20000 characters"),
        ({"Alley": "x\0"}, "line 2: a NUL character"),
    ],
)
def test_a_table_has_finite_numbers_and_short_cells(tmp_path, cells, message):
    (tmp_path / "t.csv").write_text(house_text(**cells))
    with pytest.raises(DataError, match=message):
        kaggle_house.read(tmp_path / "t.csv", labelled=True)


def test_a_price_that_was_cut_in_its_digits_is_no_price(tmp_path):
    whole = house_text()
    for cut in range(1, 200):
        (tmp_path / "t.csv").write_text(whole[:-cut])
        with pytest.raises(DataError, match=r"line 6: (the last line has no end|expected)"):
            kaggle_house.read(tmp_path / "t.csv", labelled=True)


def test_numbers_that_become_infinite_beside_those_of_the_training(tmp_path):
    known, _ = kaggle_house.generate(5, 1)
    encoding = kaggle_house.Encoding.of(known.assign(PoolArea=[0.0, 1e-3, 0, 0, 0]))
    with pytest.raises(DataError, match="PoolArea has a number that is too large"):
        encoding(known.assign(PoolArea=3e38))


def test_codes_of_which_each_house_has_its_own_take_no_memory():
    known, _ = kaggle_house.generate(3000, 1)
    own = {column: [f"{column}{i}" for i in range(3000)] for column in kaggle_house.CATEGORICAL}
    table = known.assign(**own)
    with pytest.raises(DataError, match="so many codes"):
        kaggle_house.Encoding.of(table)(table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n" * 3, None),
        ("a" * 300 + ",b\n", "at most 200 characters"),
        (",".join("ab" * 600) + "\n", "1200 cells|1199 cells|at most 1000"),
        ("a,b\nc,d", "line 2: the last line has no end"),
        ('a,b\n"c,d\n', "line 2"),
    ],
)
def test_tables_of_names_have_limits(tmp_path, content, message):
    (tmp_path / "n.csv").write_text(content)
    if message is None:
        assert names.read(tmp_path / "n.csv") == [("a", "b")] * 3
    else:
        with pytest.raises(DataError, match=message):
            names.read(tmp_path / "n.csv")


# Answers of servers.


@pytest.mark.parametrize("length", ["9" * 5000, "abc", "-1", "1,2"])
def test_an_answer_whose_length_is_no_number(tmp_path, length):
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n1".encode())

    threading.Thread(target=answer, daemon=True).start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/a"
    with pytest.raises(DataError, match="cannot download a"):
        download(url, tmp_path / "a", "0" * 64, retries=0, timeout=2)
    listener.close()


# Memory.

SMALL = """
import gzip, re, sys
from kerasd2l.data import DataError
{setup}
try:
    {read}
    print("read")
except DataError as error:
    print(str(error)[-100:])
# not ru_maxrss: that begins with the size of the process which started this one
status = open("/proc/self/status").read()
print(int(re.search("VmHWM:\\s+(\\d+)", status)[1]) >> 10, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b"a\n", "text.read_lines('a')"),
        (b"a" * 1000 + b"\n", "text.read_lines('a')"),
        ("\U0001f600".encode() * 100 + b"\n", "text.read_lines('a')"),
        (b"a,b\n", "names.read('a')"),
        (b"a\tb\n", "translation.read_tabbed('a')"),
        (b"0,0,0,0,0,0,0,0,1\n", "diabetes.read('a')"),
        (b"\0", "idx.read('a', 3)"),
    ],
    ids=["short lines", "lines", "wide", "names", "pairs", "numbers", "zeros"],
)
def test_a_gz_of_any_length_takes_little_memory(tmp_path, line, read):
    with gzip.open(tmp_path / "a", "wb", 1) as file:
        if read.startswith("idx"):
            header = idx_bytes(np.zeros((1, 28, 28), np.uint8))[:4]
            file.write(header + b"\0\4\0\0" + b"\0\0\0\x1c" * 2)
        part = line * (1_000_000 // len(line))
        for _ in range(40 if len(line) < 9 else 100):
            file.write(part)
    setup = (
        "from kerasd2l.data import text, idx\n"
        "from kerasd2l.data.sets import names, diabetes, translation"
    )
    script = SMALL.format(setup=setup, read=read)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != "read"
    assert int(done.stderr.split()[-1]) < 900, "MiB"


@pytest.mark.parametrize("read", [text.read_lines, lambda path: dict(read_members(path))])
def test_a_gz_of_a_million_empty_parts_is_soon_refused(tmp_path, read, soon):
    content = b"a\n" if read is text.read_lines else tar({"a": b"1"})
    with open(tmp_path / "a", "wb") as file:
        file.write(gzip.compress(content))
        file.write(gzip.compress(b"") * 1_000_000)
    with pytest.raises(DataError, match="nothing is in 1048576 bytes of it"):
        read(tmp_path / "a")
    several = gzip.compress(content[:1]) + gzip.compress(content[1:])
    (tmp_path / "a").write_bytes(several)
    assert read(tmp_path / "a") in (["a"], {"a": b"1"})
