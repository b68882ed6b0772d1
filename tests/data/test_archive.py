import gzip
import io
import tarfile
import zipfile

import pytest

from kerasd2l.data import DataError, read_members, unpack

FILES = {"set/a.txt": b"alpha" * 100, "set/deep/b.txt": b"beta", "c.bin": b""}


def make_zip(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path, files, mode="w:gz", format=tarfile.PAX_FORMAT):
    with tarfile.open(path, mode, format=format) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(path, name, kind, linkname=""):
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, linkname
        archive.addfile(info)
    return path


def found(folder):
    names = (p for p in folder.rglob("*") if p.is_file() and p.name != ".kerasd2l-unpacked")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in names}


def refused(archive, tmp_path, match, **limits):
    with pytest.raises(DataError, match=match):
        unpack(archive, tmp_path / "out", **limits)
    left = [p.name for p in tmp_path.iterdir() if p not in (archive, tmp_path / ".out.lock")]
    assert left == [], "something was left behind"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(tmp_path, mode):
    archive = make_tar(tmp_path / "a", FILES | {"long/" + "n" * 150: b"pax"}, mode)
    assert found(unpack(archive, tmp_path / "out")) == FILES | {"long/" + "n" * 150: b"pax"}


def test_zip_with_folders(tmp_path):
    archive = make_zip(tmp_path / "a.zip", {"set/": b"", **FILES})
    assert found(unpack(archive, tmp_path / "out")) == FILES


def test_plain_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", {"x": b"x"}).read_bytes()
    archive = make_tar(tmp_path / "a.tar", {"inner.zip": inner}, "w")
    assert found(unpack(archive, tmp_path / "out")) == {"inner.zip": inner}


def test_complete_folder_is_reused_and_a_new_archive_replaces_it(tmp_path):
    folder = unpack(make_zip(tmp_path / "a.zip", FILES), tmp_path / "out")
    before = (folder / "c.bin").stat().st_ino
    assert (unpack(tmp_path / "a.zip", folder) / "c.bin").stat().st_ino == before
    assert found(unpack(make_zip(tmp_path / "b.zip", {"new": b"1"}), folder)) == {"new": b"1"}


def test_foreign_folder_is_not_touched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(DataError, match="is in the way"):
        unpack(make_zip(tmp_path / "a.zip", FILES), tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "mine"


def test_rest_of_a_killed_unpack_is_cleared(tmp_path):
    (tmp_path / ".out.unpacking").mkdir()
    (tmp_path / ".out.unpacking" / "c.bin").write_text("half")
    assert found(unpack(make_zip(tmp_path / "a.zip", FILES), tmp_path / "out")) == FILES


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("/etc/evil", "absolute path"),
        ("C:/evil", "absolute path"),
        ("../evil", "leaves the folder"),
        ("a/../../evil", "leaves the folder"),
        ("a\\..\\evil", "unsafe name"),
        ("a\nb", "unsafe name"),
        (".", "unsafe name"),
        (".kerasd2l-unpacked", "twice"),
    ],
)
def test_bad_names(tmp_path, make, name, match):
    refused(make(tmp_path / "a", {"good": b"1", name: b"2"}), tmp_path, match)
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_same_name_twice(tmp_path, make):
    refused(make(tmp_path / "a", {"x/A": b"1", "x/./a": b"2"}), tmp_path, "twice")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_file_where_a_folder_must_be(tmp_path, make):
    refused(make(tmp_path / "a", {"x": b"1", "x/y": b"2"}), tmp_path, "cannot unpack")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(tmp_path, kind):
    refused(special(tmp_path / "a", "x", kind, "/etc/passwd"), tmp_path, "link, device")


def test_link_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    refused(tmp_path / "a", tmp_path, "is a link or device")


def test_encrypted_zip(tmp_path):
    content = bytearray(make_zip(tmp_path / "a", {"x": b"1"}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", tmp_path, "encrypted")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_too_many_members(tmp_path, make):
    archive = make(tmp_path / "a", {str(i): b"" for i in range(20)})
    refused(archive, tmp_path, "more than 10 members", max_files=10)


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_declared_too_large(tmp_path, make):
    files = {"a": bytes(60_000), "b": bytes(60_000)}
    refused(make(tmp_path / "a", files), tmp_path, "declared larger than 100000", max_bytes=100_000)


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_bomb_by_ratio(tmp_path, make):
    archive = make(tmp_path / "a", {"zeros": bytes(30 << 20)})
    assert archive.stat().st_size < 50_000
    refused(archive, tmp_path, "declared larger")


def test_zip_that_lies_about_its_size(tmp_path):
    content = bytearray(make_zip(tmp_path / "a", {"x": bytes(50_000)}).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(mark) + offset
        content[start : start + 4] = (100).to_bytes(4, "little")
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", tmp_path, "damaged")


def test_tar_bomb_in_a_header(tmp_path):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("x")
        info.pax_headers = {"comment": "0" * (20 << 20)}
        archive.addfile(info)
    (tmp_path / "a").write_bytes(gzip.compress(raw.getvalue(), 6))
    refused(tmp_path / "a", tmp_path, "a header has more than")


def test_endless_zeros_behind_the_end(tmp_path):
    raw = io.BytesIO()
    make = tarfile.open(fileobj=raw, mode="w")
    make.close()
    (tmp_path / "a").write_bytes(gzip.compress(raw.getvalue() + bytes(40 << 20), 6))
    refused(tmp_path / "a", tmp_path, "unpacks to more than")


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path, make, part):
    rng_bytes = bytes((i * i * 7919 >> 5) & 255 for i in range(50_000))
    archive = make(tmp_path / "a", {"a": rng_bytes, "b": b"end"})
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * part)])
    refused(archive, tmp_path, "damaged|refused")


def test_truncated_plain_tar(tmp_path):
    archive = make_tar(tmp_path / "a", {"a": bytes(5000)}, "w")
    archive.write_bytes(archive.read_bytes()[:3000])
    refused(archive, tmp_path, "damaged")


@pytest.mark.parametrize("content", [b"", b"<html>not an archive</html>" * 50, b"PK\x03\x04junk"])
def test_not_an_archive(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    refused(tmp_path / "a", tmp_path, "damaged")


def test_corrupt_content(tmp_path):
    archive = make_zip(tmp_path / "a", {"a": b"content" * 9}, zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"content", b"CONTENT", 1))
    refused(archive, tmp_path, "damaged")


def test_no_archive(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        unpack(tmp_path / "none", tmp_path / "out")


def test_read_members_has_the_guard_of_unpack(tmp_path):
    good = {"a/b.txt": b"one", "c.txt": b"two" * 100_000}
    for write, name in ((make_zip, "x.zip"), (make_tar, "x.tar.gz")):
        path = write(tmp_path / name, good)
        assert dict(read_members(path)) == good
        with pytest.raises(DataError, match="more than 1 members"):
            dict(read_members(path, max_files=1))
        with pytest.raises(DataError, match="larger than 1000 bytes"):
            dict(read_members(path, max_bytes=1000))
        path = write(tmp_path / ("bad" + name), {"../x": b"one"})
        with pytest.raises(DataError, match="leaves the folder"):
            dict(read_members(path))
    with pytest.raises(DataError, match="cannot read"):
        dict(read_members(tmp_path / "nothing.tar"))


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_only_what_is_wanted_is_taken_and_checked(tmp_path, make):
    files = {"a/x.txt": b"x", "a/Icon\r": b"", "b/../evil": b"e", "a/y.txt": b"y" * (2 << 20)}
    packed = make(tmp_path / "packed", files)
    with pytest.raises(DataError, match="is refused"):
        unpack(packed, tmp_path / "all")
    folder = unpack(packed, tmp_path / "some", only=["a/x.txt"])
    assert [path.name for path in folder.rglob("*.txt")] == ["x.txt"]
    more = unpack(packed, tmp_path / "some", only=["a/x.txt", "a/y.txt"])
    assert (more / "a" / "y.txt").stat().st_size == 2 << 20
