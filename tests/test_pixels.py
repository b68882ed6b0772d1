"""Every kind of picture: the same pixels in training and in serving, or refused by both."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_models import encoded

from kerasd2l.data import pictures
from kerasd2l.pixels import MOST_PIXELS, decode_image

RANDOM = np.random.default_rng(0)
RGBA = Image.fromarray(RANDOM.integers(0, 256, (9, 7, 4), dtype=np.uint8))
RGB = RGBA.convert("RGB")
OTHER = RGB.transpose(Image.Transpose.ROTATE_180)
PALETTE = RGB.quantize(8)


def chunk(name, content):
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(width, height, depth, kind, rows, *more, idat=None):
    """A PNG of any bit depth; `rows` are bytes without filters."""
    header = struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows)) if idat is None else idat
    chunks = [(b"IHDR", header), *more, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks)


def deep(channels, kind):
    """A PNG of 16 bits a channel, and its pixels."""
    values = RANDOM.integers(0, 1 << 16, (9, 7, channels))
    return png(7, 9, 16, kind, [row.astype(">u2").tobytes() for row in values]), values >> 8


def bmp(bits, rows, *, packing=0, masks=b"", height=None, size=40):
    """A BMP with a header of `size` bytes; `rows` from the bottom to the top."""
    padded = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    width = len(rows[0]) * 8 // bits
    info = struct.pack("<IiiHHIIiiII", size, width, height or len(rows), 1, bits, packing, *[0] * 5)
    head = info + masks + b"\0" * (size - 40 - len(masks))
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + len(padded), 0, 0, start) + head + padded


PIXELS = np.asarray(RGBA)
BGRA = [row[:, [2, 1, 0, 3]].tobytes() for row in PIXELS[::-1]]
BGR = [row[:, [2, 1, 0]].tobytes() for row in PIXELS[::-1]]
ZERO = np.uint8([1, 1, 1, 0])
MASKS = struct.pack("<3I", 0xFF0000, 0xFF00, 0xFF)
ALPHA = MASKS + struct.pack("<I", 0xFF000000)


def over_black(pixels):
    colour, alpha = pixels[..., :3].astype(int), pixels[..., 3:].astype(int)
    return (colour * alpha + 127) // 255


def by_pillow(content):
    """Pixels as Pillow has them, transparent ones on black."""
    with Image.open(io.BytesIO(content)) as image:
        if image.mode in ("LA", "RGBA") or (image.mode == "P" and image.format == "PNG"):
            return over_black(np.asarray(image.convert("RGBA")))
        return np.asarray(image.convert("RGB"))


def frames(kind, **options):
    return encoded(RGB, kind, save_all=True, append_images=[OTHER], **options)


def small_frame():
    """A GIF whose first picture lies within its canvas."""
    content = bytearray(encoded(PALETTE, "GIF"))
    content[6:10] = struct.pack("<2H", 11, 12)
    return bytes(content)


DEEP_GREY, GREY_VALUES = deep(1, 0)
DEEP_RGB, RGB_VALUES = deep(3, 2)
DEEP_RGBA, RGBA_VALUES = deep(4, 6)
FOUR_BITS = RANDOM.integers(0, 256, (9, 4), dtype=np.uint8)
NIBBLES = np.stack([FOUR_BITS >> 4, FOUR_BITS & 15], axis=-1).reshape(9, 8)

TAKEN = {
    **{f"PNG {mode}": encoded(RGBA.convert(mode)) for mode in ("1", "L", "LA", "RGB", "RGBA")},
    "PNG P": encoded(PALETTE),
    "PNG P, one transparent": encoded(PALETTE, transparency=2),
    "PNG P, half transparent": encoded(PALETTE, transparency=bytes(range(0, 256, 32))),
    "PNG RGB, a transparent colour": encoded(RGB, transparency=(1, 2, 3)),
    "JPEG L": encoded(RGB.convert("L"), "JPEG"),
    "JPEG RGB": encoded(RGB, "JPEG", quality=95),
    "JPEG RGB, halved colours": encoded(RGB.resize((64, 48)), "JPEG", subsampling=2),
    "JPEG CMYK": encoded(RGB.convert("CMYK"), "JPEG"),
    "JPEG progressive": encoded(RGB, "JPEG", progressive=True),
    "JPEG with EXIF": encoded(RGB, "JPEG", exif=b"Exif\0\0" + b"\xff\xd9\xff\xda" * 9),
    "GIF": encoded(PALETTE, "GIF"),
    "GIF L, interlaced": encoded(RGB.convert("L"), "GIF", interlace=1),
    "GIF with a comment": encoded(PALETTE, "GIF", comment=b"c" * 300),
    "GIF animated": frames("GIF"),
    "WebP lossy": encoded(RGB, "WEBP", quality=80),
    "WebP lossless": encoded(RGB, "WEBP", lossless=True),
    "WebP lossy, alpha": encoded(RGBA, "WEBP", quality=80),
    "WebP lossless, alpha": encoded(RGBA, "WEBP", lossless=True),
    "WebP with EXIF": encoded(RGB, "WEBP", exif=b"Exif\0\0abc"),
    "BMP 24": encoded(RGB, "BMP"),
    "BMP 32": encoded(RGBA, "BMP"),
}
WRITTEN_OUT = {
    "PNG 4 bits": (
        png(7, 9, 4, 0, [row.tobytes() for row in FOUR_BITS]),
        NIBBLES[:, :7, None] * 17,
    ),
    "PNG 16 bits": (DEEP_GREY, GREY_VALUES),
    "PNG 16 bits RGB": (DEEP_RGB, RGB_VALUES),
    "PNG 16 bits RGBA": (DEEP_RGBA, over_black(RGBA_VALUES)),
    "BMP 32, fourth byte 0": (
        bmp(32, [row[:, [2, 1, 0, 3]].tobytes() for row in (PIXELS * ZERO)[::-1]]),
        PIXELS[..., :3],
    ),
    "BMP 32, fourth byte": (bmp(32, BGRA), PIXELS[..., :3]),
    "BMP 32, masks": (bmp(32, BGRA, packing=3, masks=MASKS, size=52), PIXELS[..., :3]),
    "BMP 32, alpha": (bmp(32, BGRA, packing=3, masks=ALPHA, size=108), over_black(PIXELS)),
    "BMP from the top": (bmp(24, BGR[::-1], height=-9), PIXELS[..., :3]),
}
REFUSED = {
    "BMP 1": (encoded(RGB.convert("1"), "BMP"), "24 or 32 bits"),
    "BMP 4": (bmp(4, [bytes(4)] * 9), "24 or 32 bits"),
    "BMP 8": (encoded(PALETTE, "BMP"), "24 or 32 bits"),
    "BMP 16": (bmp(16, [bytes(14)] * 9), "24 or 32 bits"),
    "BMP 8, packed": (bmp(8, [bytes(8)] * 9, packing=1), "24 or 32 bits"),
    "BMP 32, reordered": (
        bmp(32, BGRA, packing=3, masks=struct.pack("<3I", 0xFF, 0xFF00, 0xFF0000), size=52),
        "24 or 32 bits",
    ),
    "BMP of OS/2": (bmp(24, BGR)[:14] + struct.pack("<I4H", 12, 7, 9, 1, 24) + bytes(300), "24 or"),
    "WebP animated": (frames("WEBP"), "animated WebP"),
    "WebP animated, alpha": (
        encoded(RGBA, "WEBP", save_all=True, append_images=[RGBA.rotate(90)], lossless=True),
        "animated WebP",
    ),
    "GIF within its canvas": (small_frame(), "does not fill its canvas"),
    "TIFF": (encoded(RGB, "TIFF"), "Unknown image file format"),
    "EPS": (encoded(RGB, "EPS"), "Unknown image file format"),
    "ICO": (encoded(RGB, "ICO"), "Unknown image file format"),
    "a GIF without pictures": (encoded(PALETTE, "GIF")[:-100][:790] + b";", "Invalid GIF"),
}


@pytest.fixture(scope="module")
def serve():
    """The decoder as an exported model has it: (encoded, channels) -> pixels."""

    def decoder(channels):
        def one(content):
            return tf.io.serialize_tensor(decode_image(content, channels))

        return tf.function(
            lambda some: tf.map_fn(one, some, fn_output_signature=tf.string),
            input_signature=[tf.TensorSpec((None,), tf.string)],
        )

    graphs = {channels: decoder(channels) for channels in (1, 3)}

    def serve(content, channels):
        return tf.io.parse_tensor(graphs[channels](tf.constant([content]))[0], tf.uint8).numpy()

    return serve


def expected(pixels, channels):
    pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None] if channels == 1 else pixels


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [*TAKEN, *WRITTEN_OUT])
def test_training_and_serving_see_the_pixels_that_are_in_the_file(kind, channels, serve):
    content = TAKEN.get(kind)
    content, pixels = (content, by_pillow(content)) if content else WRITTEN_OUT[kind]
    wanted = expected(pixels, channels)
    np.testing.assert_array_equal(pictures.decode(content, "x", channels), wanted)
    np.testing.assert_array_equal(serve(content, channels), wanted)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_serving_refuses_training_refuses_too(kind, serve):
    content, message = REFUSED[kind]
    with pytest.raises(pictures.BrokenPicture, match=rf"9\.png is no whole picture: .*{message}"):
        pictures.decode(content, "9.png")
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        serve(content, 3)


def patched(content, place, number):
    return content[:place] + number + content[place + len(number) :]


def huge(kind, width, height):
    """A small picture that says that it is a large one."""
    le, be = struct.pack("<2H", width, height), struct.pack(">2H", height, width)
    if kind == "PNG":
        return png(width, height, 8, 2, [], idat=zlib.compress(bytes(1000)))
    if kind.startswith("JPEG"):
        content = encoded(RGB, "JPEG", progressive="progressive" in kind)
        marker = b"\xff\xc2" if "progressive" in kind else b"\xff\xc0"
        return patched(content, content.index(marker) + 5, be)
    if kind == "GIF":
        return patched(encoded(PALETTE, "GIF"), 6, le)
    if kind == "GIF, the picture in it":
        content = encoded(PALETTE, "GIF")
        return patched(content, content.index(b"\x2c\0\0\0\0\x07\0\x09\0") + 5, le)
    if kind == "BMP":
        return patched(encoded(RGB, "BMP"), 18, struct.pack("<2i", width, -height))
    if kind == "WebP lossy":
        return patched(encoded(RGB, "WEBP"), 26, le)
    if kind == "WebP lossless":
        bits = (width - 1) | (height - 1) << 14
        return patched(encoded(RGB, "WEBP", lossless=True), 21, struct.pack("<I", bits))
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return patched(encoded(RGB, "WEBP", exif=b"Exif\0\0a"), 24, sides)


KINDS = ["PNG", "JPEG", "JPEG progressive", "GIF", "BMP", "WebP lossy", "WebP lossless", "WebP X"]


@pytest.mark.parametrize("kind", [*KINDS, "GIF, the picture in it"])
def test_a_picture_that_says_it_is_huge_costs_nothing(kind, serve):
    assert 4097 * 4096 > MOST_PIXELS
    for width, height in ((4097, 4096), (16383, 16383)):
        content = huge(kind, width, height)
        message = "does not fill its canvas" if "in it" in kind else r"more than 16 megapixels"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            serve(content, 3)
        with pytest.raises(pictures.BrokenPicture, match=message):
            pictures.decode(content, "x")


def test_a_picture_at_the_limit_is_taken():
    content = png(4096, 4096, 1, 0, [bytes(512)] * 4096)
    assert pictures.decode(content, "x", 1).shape == (4096, 4096, 1)


def test_a_jpeg_of_very_many_scans_is_refused():
    content = encoded(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
    *parts, last = content[:-2].split(b"\xff\xda")
    many = b"\xff\xda".join(parts + [last] * 400) + b"\xff\xd9"
    with pytest.raises(pictures.BrokenPicture, match="too many scans"):
        pictures.decode(many, "x")


def test_the_frames_behind_the_first_are_not_unpacked():
    """TensorFlow unpacks all of them: 20 frames, one of them far larger than the canvas."""
    one, large = encoded(PALETTE, "GIF"), encoded(Image.new("L", (4096, 4000)), "GIF")
    start = large.index(b"\x2c\0\0\0\0")
    content = one[:-1] + large[start:-1] * 300 + b";"
    np.testing.assert_array_equal(pictures.decode(content, "x"), by_pillow(one))


@pytest.mark.parametrize("kind", TAKEN)
def test_a_picture_that_is_cut_or_changed_is_read_or_refused_by_both(kind, serve):
    """Whatever the bytes: pixels or an error, the same ones, and the process lives."""
    random = np.random.default_rng(len(kind))
    content = TAKEN[kind]
    for _ in range(6):
        changed = bytearray(content[: random.integers(1, len(content) + 1)])
        for place in random.integers(0, len(changed), 3):
            changed[place] = random.integers(256)
        try:
            pixels = serve(bytes(changed), 3)
        except tf.errors.InvalidArgumentError:
            with pytest.raises(pictures.BrokenPicture):
                pictures.decode(bytes(changed), "x")
        else:
            if min(pixels.shape[:2]) >= pictures.LEAST:
                np.testing.assert_array_equal(pictures.decode(bytes(changed), "x"), pixels)


def written(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_every_grey_is_pillows():
    step = np.arange(0, 256, 3, dtype=np.uint8)
    colours = np.stack(np.meshgrid(step, step, step, indexing="ij"), -1).reshape(-1, 86, 3)
    expected = np.asarray(Image.fromarray(colours).convert("L"))
    np.testing.assert_array_equal(decode_image(written(colours), 1)[..., 0], expected)


@pytest.mark.parametrize("background", [0, 77, 255])
def test_every_blend_is_rounded_once(background):
    grey, alpha = np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2, indexing="ij")
    found = decode_image(written(np.stack([grey] * 3 + [alpha], -1)), 3, background=background)
    opaque = alpha.astype(np.int64)
    expected = (grey * opaque + background * (255 - opaque) + 127) // 255
    np.testing.assert_array_equal(found[..., 0], expected)
