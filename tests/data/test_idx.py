import gzip
import re
import struct
import tracemalloc

import numpy as np
import pytest
from idx_writer import idx_bytes

from kerasd2l.data import DataError, idx

IMAGES = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
LABELS = np.array([0, 9, 4], np.uint8)


def written(tmp_path, content, name="file"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def header(*sizes, code=0x08):
    return bytes((0, 0, code, len(sizes))) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_plain_and_gzip(tmp_path, pack):
    np.testing.assert_array_equal(idx.read(written(tmp_path, pack(idx_bytes(IMAGES))), 3), IMAGES)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "magic number 00000803, received nothing"),
        (b"\x89PNG" + bytes(100), "magic number 00000803, received 89504e47"),
        (b"\0\0\x08", "magic number 00000803, received 000008"),
        (idx_bytes(LABELS), re.escape("magic number 00000803 (3 axes), received 00000801")),
        (header(1, 28, 28, code=0x0D) + bytes(4 * 784), r"dtype code 0x08 .*0x0d \(float32\)"),
        (header(1, 28, 28, code=0x77) + bytes(784), r"0x77 \(unknown\)"),
        (header(1, 28, 28)[:-1], "a truncated header"),
        (idx_bytes(IMAGES)[:-1], "expected 2352 bytes of content .* received only 2351"),
        (idx_bytes(IMAGES) + b"\0", "expected 2352 bytes of content .* received more"),
        (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "at most 268435456 bytes of content"),
    ],
)
def test_damaged(tmp_path, pack, content, match):
    path = written(tmp_path, pack(content))
    with pytest.raises(DataError, match=match) as error:
        idx.read(path, 3)
    assert str(path) in str(error.value)


def test_absurd_size_takes_no_memory(tmp_path):
    path = written(tmp_path, header(300_000, 28, 28) + bytes(100))
    tracemalloc.start()
    with pytest.raises(DataError, match="received only 100"):
        idx.read(path, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize("cut", [1, 8, 30, 200])
def test_truncated_gzip(tmp_path, cut):
    path = written(tmp_path, gzip.compress(idx_bytes(IMAGES))[:-cut])
    with pytest.raises(DataError, match="whole gzip data: truncated or damaged"):
        idx.read(path, 3)


def test_gzip_with_a_wrong_checksum(tmp_path):
    content = bytearray(gzip.compress(idx_bytes(IMAGES)))
    content[-6] ^= 1
    with pytest.raises(DataError, match="damaged"):
        idx.read(written(tmp_path, content), 3)


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        idx.read(tmp_path / "none", 3)


def pair(tmp_path, images=IMAGES, labels=LABELS, **options):
    x = written(tmp_path, idx_bytes(images), "x")
    return idx.read_pair(x, written(tmp_path, idx_bytes(labels), "y"), **options)


def test_pair(tmp_path):
    x, y = pair(tmp_path, count=3)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((3, 28, 28, 1), np.uint8, (3,), np.int32)
    np.testing.assert_array_equal(x[..., 0], IMAGES)
    np.testing.assert_array_equal(y, [0, 9, 4])


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"labels": LABELS[:2]}, "y: expected 3 labels, one for each image .* received 2"),
        ({"labels": np.array([0, 10, 255], np.uint8)}, r"labels 0\.\.9, received 10 at position 1"),
        ({"images": IMAGES[:, :27]}, r"x: expected images of \(28, 28\), received \(27, 28\)"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "expected some images, received 0"),
        ({"count": 60000}, "expected 60000 images, received 3"),
    ],
)
def test_pair_that_does_not_fit(tmp_path, wrong, match):
    with pytest.raises(DataError, match=match):
        pair(tmp_path, **wrong)
