"""Encoded pictures to pixels, inside a graph: the one decoder of training and of serving.

What a file says of itself is read before TensorFlow's decoders see it: these believe any size and,
of some files (an animated WebP, a palette BMP), more than they should.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from kerasd2l._lazy import lazy

if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = lazy("tensorflow")

MOST_PIXELS = 1 << 24  # 16 megapixels, 4096 x 4096
MOST_SCANS = 300  # of a JPEG of that size, each a walk over all pixels; usual ones have 1 to 12
MOST_PIECES = 20_000  # of a GIF up to the end of its first picture; a full piece has 255 bytes
_HEAD = 70  # bytes in which all but JPEG and GIF say what they are
_FORMATS = "PNG, JPEG, GIF, WebP and BMP"


def decode_image(encoded: tf.Tensor, channels: int, *, background: int = 0) -> tf.Tensor:
    """Decode one PNG, JPEG, GIF (first frame), WebP (still) or BMP (24 or 32 bits) inside a graph.

    Colour becomes grey by Pillow's "L": 0.299 R + 0.587 G + 0.114 B, rounded. 16-bit PNGs keep
    their high byte. Transparent pixels are blended with the background; a single colour declared
    transparent (in a GIF, or tRNS without palette), the fourth byte of a BMP that does not declare
    it as alpha, and the EXIF orientation are ignored.

    Args:
        encoded: scalar string, the bytes of the file.
        channels: 1 or 3.
        background: int 0-255, grey level behind transparent pixels. Default: 0.

    Returns:
        (h, w, channels) uint8.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no such image, or it has more than 16
            megapixels (16,777,216 pixels).
    """
    return _decoder(channels, background)(encoded)


@functools.cache
def _decoder(channels: int, background: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the decoder as a function of TensorFlow: its six formats are traced once a process."""

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        with tf.device("CPU:0"):  # no way to a GPU and back for each of these small numbers
            image = _decode(encoded)
            shown = _without_alpha(image, background)
            is_grey = tf.equal(tf.shape(shown)[-1], 1)
            if channels == 1:
                shown = tf.cond(is_grey, lambda: shown, lambda: _grey(shown))
            else:
                shown = tf.cond(is_grey, lambda: tf.tile(shown, [1, 1, 3]), lambda: shown)
            return tf.ensure_shape(shown, (None, None, channels))

    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(decode, input_signature=signature, autograph=False)


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    """Return (h, w, 1 to 4) uint8 of a picture whose header was read before."""
    head = tf.cast(tf.io.decode_raw(encoded, tf.uint8, fixed_length=_HEAD), tf.int64)
    begins = [
        _is(head, 0, b"\x89PNG\r\n\x1a\n"),
        _is(head, 0, b"\xff\xd8\xff"),
        _is(head, 0, b"GIF8"),
        _is(head, 0, b"RIFF") & _is(head, 8, b"WEBP"),
        _is(head, 0, b"BM"),
    ]
    readers = (_png, _jpeg, _gif, _webp, _bmp, _unknown)
    kind = tf.argmax(tf.stack([*begins, True]), output_type=tf.int32)  # the first that is true
    image = tf.switch_case(kind, [lambda read=read: read(encoded, head) for read in readers])
    image.set_shape((None, None, None))
    return image


def _without_alpha(image: tf.Tensor, background: int) -> tf.Tensor:
    """Blend pixels of 2 or 4 channels, the last of which is alpha: 1 or 3 are left."""
    return tf.switch_case(
        tf.shape(image)[-1] - 1,
        [
            lambda: image,
            lambda: _blend(image[..., :1], image[..., 1:], background),
            lambda: image,
            lambda: _blend(image[..., :3], image[..., 3:], background),
        ],
    )


def _blend(colour: tf.Tensor, alpha: tf.Tensor, background: int) -> tf.Tensor:
    """Lay pixels over a grey level; 255 * 255 + 127 fits in 16 bits."""
    colour, alpha = tf.cast(colour, tf.uint16), tf.cast(alpha, tf.uint16)
    behind = tf.constant(background, tf.uint16) * (tf.constant(255, tf.uint16) - alpha)
    return tf.cast((colour * alpha + behind + 127) // 255, tf.uint8)


def _grey(colour: tf.Tensor) -> tf.Tensor:
    """Mix three channels with Pillow's weights, over 65536: float32 holds these sums exactly."""
    red, green, blue = (tf.cast(part, tf.float32) for part in tf.unstack(colour, num=3, axis=-1))
    total = red * (19595 / 65536) + green * (38470 / 65536) + blue * (7471 / 65536)
    return tf.cast(total + 0.5, tf.uint8)[..., None]


def _png(encoded: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    whole = _require(_is(head, 12, b"IHDR"), "Invalid PNG: it does not begin with its header")
    size = _check_size("PNG", _number(head, 20, 4, big=True), _number(head, 16, 4, big=True))
    with tf.control_dependencies([*whole, *size]):
        # channels=4 would be simpler, but fills the alpha of palette PNGs wrongly (TF 2.21)
        return tf.io.decode_png(encoded, channels=0)


def _jpeg(encoded: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(encoded, output_type=tf.int32))
    # counts more where a film is appended, which may hold these bytes by chance
    scans = tf.size(tf.strings.split(encoded, b"\xff\xda")) - 1
    work = tf.reduce_prod(tf.cast(tf.stack([height, width, scans]), tf.float64))
    few = _require(work <= MOST_SCANS * MOST_PIXELS, "a JPEG with too many scans is not taken")
    with tf.control_dependencies([*few, *_check_size("JPEG", height, width)]):
        return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")


def _gif(encoded: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    """Decode the first picture; the others are cut off, since TensorFlow would unpack them all."""
    width, height = _number(head, 6, 2), _number(head, 8, 2)
    with tf.control_dependencies(_check_size("GIF", height, width)):
        first = tf.strings.substr(encoded, 0, _end_of_first_frame(encoded, head, height, width))
    return tf.io.decode_image(first + b"\x3b", channels=0, expand_animations=False)


def _end_of_first_frame(
    encoded: tf.Tensor, head: tf.Tensor, height: tf.Tensor, width: tf.Tensor
) -> tf.Tensor:
    """Walk over a GIF's blocks to the end of its first picture, which must fill its canvas."""
    length = tf.strings.length(encoded)
    block, extension, frame, done = range(4)  # what is expected next

    def at(place: tf.Tensor, count: int) -> tf.Tensor:
        some = tf.strings.substr(encoded, tf.minimum(place, length), count)
        return tf.cast(tf.io.decode_raw(some, tf.uint8, fixed_length=count), tf.int64)

    def begin(place: tf.Tensor) -> tuple[tf.Tensor, ...]:
        opening = at(place, 10)
        is_frame = tf.equal(opening[0], 0x2C)
        known = is_frame | tf.equal(opening[0], 0x21)
        place_and_size = [_number(opening, i, 2) for i in (1, 3, 5, 7)]
        fills = tf.reduce_all(tf.equal(tf.stack(place_and_size), tf.stack([0, 0, width, height])))
        checks = _require(known, "Invalid GIF: no picture in it") + _require(
            fills | ~is_frame, "a GIF whose first picture does not fill its canvas is not taken"
        )
        with tf.control_dependencies(checks):
            frame_start = place + 11 + _color_bytes(opening[9])
            return tf.where(is_frame, frame_start, place + 2), tf.where(is_frame, frame, extension)

    def piece(place: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        size = tf.cast(at(place, 1)[0], tf.int32)
        after = tf.where(tf.equal(state, frame), done, block)
        return place + size + 1, tf.where(tf.equal(size, 0), after, state)

    def step(place: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tf.cond(tf.equal(state, block), lambda: begin(place), lambda: piece(place, state))

    place, state = tf.while_loop(
        lambda place, state: tf.not_equal(state, done) & (place < length),
        step,
        (13 + _color_bytes(head[10]), tf.constant(block)),
        maximum_iterations=MOST_PIECES,
        parallel_iterations=1,
    )
    whole = _require(
        tf.equal(state, done) & (place <= length),
        "Invalid GIF: its first picture is cut off, or in too many pieces",
    )
    with tf.control_dependencies(whole):
        return tf.identity(place)


def _color_bytes(flags: tf.Tensor) -> tf.Tensor:
    """Return how many bytes a GIF's table of colours takes, by the flags before it."""
    size = tf.bitwise.left_shift(tf.constant(6, tf.int64), flags & 7)
    return tf.cast(tf.where(flags >= 128, size, 0), tf.int32)


def _webp(encoded: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    plain, lossless, extended = (
        _is(head, 12, b"VP8 ") & _is(head, 23, b"\x9d\x01\x2a"),
        _is(head, 12, b"VP8L") & _is(head, 20, b"\x2f"),
        _is(head, 12, b"VP8X"),
    )
    known = _require(plain | lossless | extended, "Invalid WebP: no picture in it")
    animated = extended & tf.not_equal(head[20] & 2, 0)
    # TensorFlow writes its frames behind the end of its memory
    still = _require(~animated, "an animated WebP is not taken; save one of its frames")
    bits = _number(head, 21, 4)  # 14 bits of the width, 14 of the height
    width = tf.where(plain, _number(head, 26, 2) & 0x3FFF, (bits & 0x3FFF) + 1)
    height = tf.where(plain, _number(head, 28, 2) & 0x3FFF, (bits // 0x4000 & 0x3FFF) + 1)
    width = tf.where(extended, _number(head, 24, 3) + 1, width)
    height = tf.where(extended, _number(head, 27, 3) + 1, height)
    with tf.control_dependencies([*known, *still, *_check_size("WebP", height, width)]):
        return tf.io.decode_image(encoded, channels=0, expand_animations=False)


def _bmp(encoded: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    """Decode a BMP; TensorFlow reads palettes, packed and reordered pixels as if they were not."""
    bits, packing = _number(head, 28, 2), _number(head, 30, 4)
    kind = (_number(head, 14, 4) >= 40) & (tf.equal(bits, 24) | tf.equal(bits, 32))
    masked = tf.equal(packing, 3)  # it says where red, green and blue are
    usual = _is(head, 54, b"\0\0\xff\0" + b"\0\xff\0\0" + b"\xff\0\0\0")
    unpacked = tf.equal(packing, 0) | (masked & usual & tf.equal(bits, 32))
    taken = _require(
        kind & unpacked, "BMP images need 24 or 32 bits per pixel, unpacked. Save this one as PNG"
    )
    width, height = _number(head, 18, 4), _number(head, 22, 4)
    height = tf.where(height >= 1 << 31, (1 << 32) - height, height)  # negative: from the top
    with tf.control_dependencies([*taken, *_check_size("BMP", height, width)]):
        image = tf.io.decode_image(encoded, channels=0, expand_animations=False)
    alpha = masked & (_number(head, 14, 4) >= 56) & _is(head, 66, b"\0\0\0\xff")
    return tf.cond(alpha, lambda: image, lambda: image[..., :3])


def _unknown(encoded: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    empty = _require(tf.strings.length(encoded) > 0, "it is empty: no bytes of a picture")
    with tf.control_dependencies(empty):
        wrong = _require(False, f"Unknown image file format. {_FORMATS} are read")
    with tf.control_dependencies(wrong):
        return tf.zeros((1, 1, 1), tf.uint8)


def _is(head: tf.Tensor, place: int, content: bytes) -> tf.Tensor:
    return tf.reduce_all(tf.equal(head[place : place + len(content)], list(content)))


def _number(head: tf.Tensor, place: int, size: int, *, big: bool = False) -> tf.Tensor:
    """Return a whole number of some bytes, the lowest first or (big) last."""
    powers = [256**i for i in range(size)]
    weights = tf.constant(powers[::-1] if big else powers, tf.int64)
    return tf.reduce_sum(head[place : place + size] * weights)


def _check_size(kind: str, height: tf.Tensor, width: tf.Tensor) -> list[tf.Operation]:
    message = f"this {kind} has no pixels or more than 16 megapixels ({MOST_PIXELS})"
    # sides below 2^32: their product may exceed 64 bits
    sides = tf.cast(tf.stack([height, width]), tf.float64)
    pixels = tf.reduce_prod(sides)
    return _require((pixels >= 1) & (pixels <= MOST_PIXELS), message)


def _require(condition: tf.Tensor, message: str) -> list[tf.Operation]:
    """Return what to wait for; eager code has raised by then, and waits for nothing."""
    check = tf.debugging.Assert(condition, [message])
    return [] if check is None else [check]
