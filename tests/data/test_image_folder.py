import io
import logging

import numpy as np
import pytest
from PIL import Image

from kerasd2l import testing
from kerasd2l.data import DataError, Source, pictures
from kerasd2l.data.sets import image_folder, shapes


def encoded(mode="RGB", size=(40, 30), kind="PNG", seed=0, **options):
    """Bytes of a picture of noise; `size` is (width, height) as Pillow has it."""
    channels = {"L": 1, "RGB": 3, "RGBA": 4, "LA": 2, "P": 3, "I;16": 1, "1": 1}[mode]
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    elif mode in ("P", "1"):
        image = Image.fromarray(noise.squeeze(-1) if channels == 1 else noise).convert(mode)
    else:
        image = Image.fromarray(noise.squeeze(-1) if channels == 1 else noise, mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def animals(count=6):
    """Cats and dogs of mixed sizes, kinds and colours."""
    files = {}
    for i in range(count):
        files[f"dog/{i}.jpg"] = encoded("RGB", (30 + i, 20), "JPEG", seed=i)
        files[f"cat/{i}.PNG"] = encoded("L", (17, 25 + i), "PNG", seed=100 + i)
    files["cat/deep/down.png"] = encoded("RGBA", seed=200)
    files["cat/.hidden.png"] = b"not read"
    files["dog/notes.txt"] = b"not a picture"
    files[".git/x.png"] = b"no class"
    return files


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"test/notes.txt": b""}, r"test has no folder of a class. Put CLASS/PICTURE there"),
        ({"test/dog/notes.txt": b""}, r"test.dog has no pictures \(1 other files\)"),
        ({"val/dog/a.png": b"", "valid/dog/a.png": b""}, r"has valid and val: which of them"),
    ],
)
def test_splits_that_hold_nothing_or_are_there_twice(tmp_path, more, message):
    write(tmp_path, {f"train/{name}": content for name, content in animals(2).items()} | more)
    with pytest.raises(DataError, match=message):
        image_folder.load(Source("files", tmp_path), resize=8)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is no whole picture: it is empty"), (b"rubbish", "Unknown image file format")],
)
def test_what_is_no_picture_is_said_in_words(tmp_path, content, message):
    write(tmp_path, animals(2) | {"dog/z.png": content, "__MACOSX/x.png": b"passed over"})
    with pytest.raises(DataError, match=rf"dog/z\.png .*{message}"):
        image_folder.load(Source("files", tmp_path), resize=8)


def collect(dataset):
    x, y = zip(*dataset, strict=True)
    return np.concatenate(x), np.concatenate(y)


def test_one_level_is_divided(tmp_path):
    write(tmp_path, animals())
    data = testing.check_data(
        lambda: image_folder.load(Source("files", tmp_path), batch_size=4, resize=(24, 16))
    )
    assert data.assets == {"class_names": ["cat", "dog"]}
    assert data.features["pixels"].shape == (24, 16, 3)
    assert data.size == {"train": 9, "test": 4}  # of 7 cats and 6 dogs every fifth, rounded up
    _, y = collect(data.test)
    assert np.bincount(y).tolist() == [2, 2]
    trees, _ = image_folder.find(tmp_path)
    together = sorted([*trees["train"].paths, *trees["test"].paths])
    assert len(set(together)) == 13
    again, _ = image_folder.find(tmp_path)
    assert again == trees


def test_two_levels_and_pixels(tmp_path):
    files = {f"train/{name}": content for name, content in animals(2).items()}
    files["valid/dog/v.png"] = encoded("RGB", (16, 16), seed=5)
    files["test/dog/t.png"] = encoded("RGB", (16, 16), seed=6)
    files["test/cat/t.png"] = encoded("L", (16, 16), seed=7)
    write(tmp_path / "image_folder", files)
    data = image_folder.load(Source("files", tmp_path), batch_size=4, resize=16)
    assert data.size == {"train": 5, "valid": 1, "test": 2}
    x, y = collect(data.test)
    assert y.tolist() == [0, 1]
    rng = np.random.default_rng(6).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_allclose(x[1], rng / 255.0, atol=1e-6)  # of the right size: exact
    grey = np.random.default_rng(7).integers(0, 256, (16, 16, 1), np.uint8)
    np.testing.assert_allclose(x[0], np.repeat(grey, 3, axis=-1) / 255.0, atol=1e-6)
    assert collect(data.valid)[1].tolist() == [1]


def test_a_class_may_be_absent_from_the_test(tmp_path):
    files = {f"train/{name}": content for name, content in animals(2).items()}
    files["test/dog/t.png"] = encoded()
    data = image_folder.load(Source("files", write(tmp_path, files)), resize=16)
    assert collect(data.test)[1].tolist() == [1]
    write(tmp_path, {"test/horse/t.png": encoded()})
    with pytest.raises(DataError, match=r"has the class 'horse', which .*train does not have"):
        image_folder.load(Source("files", tmp_path))


@pytest.mark.parametrize("channels", [1, 3])
def test_what_does_not_fit_in_memory_is_decoded_for_each_batch(channels, tmp_path):
    write(tmp_path, animals())
    options = {"batch_size": 4, "resize": 16, "channels": channels}
    kept = image_folder.load(Source("files", tmp_path), **options)
    anew = image_folder.load(Source("files", tmp_path), memory=100, **options)
    assert anew.size == kept.size
    for epoch in range(2):
        for (x, y), (x_again, y_again) in zip(kept.epoch(epoch), anew.epoch(epoch), strict=True):
            np.testing.assert_array_equal(y, y_again)
            np.testing.assert_array_equal(x, x_again)


def test_a_picture_that_breaks_while_training_is_named(tmp_path):
    write(tmp_path, animals())
    data = image_folder.load(Source("files", tmp_path), resize=16, memory=0)
    trees, _ = image_folder.find(tmp_path)
    path = trees["train"].paths[3]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(Exception, match=rf"{path.name} is no whole picture"):
        collect(data.epoch(0))


TRUNCATED = encoded("RGB", (64, 64), "JPEG")[:900]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TRUNCATED, r"dog/broken\.jpg is no whole picture: .*truncated"),
        (b"", r"dog/broken\.jpg is no whole picture: it is empty"),
        (b"GIF89a", r"dog/broken\.jpg is no whole picture"),
        (encoded("RGB", (1, 1)), r"broken\.jpg has 1 x 1 pixels; expected at least 2 x 2"),
        (encoded("RGB", (40, 1)), r"broken\.jpg has 1 x 40 pixels"),
        (encoded("RGB")[:-40], r"broken\.jpg is no whole picture"),
    ],
)
def test_broken_pictures_are_named_or_left_out_and_counted(content, message, tmp_path, caplog):
    root = write(tmp_path, {**animals(), "dog/broken.jpg": content})
    with pytest.raises(DataError, match=message + r".*--skip-broken"):
        image_folder.load(Source("files", root), resize=16)
    for memory in (0, 1 << 20):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            data = image_folder.load(
                Source("files", root, skip_broken=True), resize=16, memory=memory
            )
        assert data.assets["skipped_pictures"] == ["dog/broken.jpg"]
        assert sum(data.size.values()) == 13
        assert len(collect(data.train)[1]) == data.size["train"]
        assert "1 of 14 pictures" in caplog.text and "broken.jpg" in caplog.text


def test_a_class_of_broken_pictures_only(tmp_path):
    files = animals() | {"horse/1.png": b"", "horse/2.png": b""}
    root = write(tmp_path, files)
    with pytest.raises(DataError, match="no whole picture is left to train the class 'horse'"):
        image_folder.load(Source("files", root, skip_broken=True))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected a folder for each of at least two classes, received none"),
        ({"cat/1.png": encoded()}, "at least two classes, received cat"),
        ({"train/cat/1.png": encoded()}, "at least two classes, received cat"),
        ({"cat/1.png": encoded(), "dog/a.txt": b""}, r"dog has no pictures \(1 other files\)"),
        ({"cat/1.png": encoded(), "dog/1.png": encoded()}, "cat has a single picture"),
    ],
)
def test_wrong_folders(files, message, tmp_path):
    root = write(tmp_path / "pictures", files)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message):
        image_folder.load(Source("files", root))


def test_where_from(tmp_path):
    with pytest.raises(DataError, match="--data-dir DIR"):
        image_folder.load("auto")
    with pytest.raises(DataError, match="neither downloaded nor guessed"):
        image_folder.load(Source("download", tmp_path))
    with pytest.raises(DataError, match="nowhere is no folder"):
        image_folder.load(Source("files", tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="`resize` must be given"):
        image_folder.load("builtin", resize=None)
    with pytest.raises(ValueError, match="`channels` must be 1 or 3"):
        image_folder.load("builtin", channels=2)
    data = image_folder.load("builtin", resize=20, channels=1)
    assert data.features["pixels"].shape == (20, 20, 1)
    assert data.size == {"train": 1000, "test": 250}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "JPEG"),
        ("L", "JPEG"),
        ("RGB", "PNG"),
        ("L", "PNG"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("P", "PNG"),
        ("I;16", "PNG"),
        ("RGB", "BMP"),
        ("P", "GIF"),
    ],
)
def test_pixels_are_those_of_an_exported_model(mode, kind, channels):
    from kerasd2l.endpoints import decode_image

    content = encoded(mode, kind=kind)
    expected = decode_image(content, channels).numpy()
    found = pictures.decode(content, "x", channels)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_stretched_pixels_are_those_of_an_exported_model_to_a_level(channels):
    from kerasd2l.endpoints import resize_and_scale

    pixels = pictures.decode(encoded(size=(70, 30)), "x", channels)
    for size in ((16, 16), (96, 64)):
        expected = resize_and_scale(*size)(pixels).numpy()
        found = pictures.stretch(pixels, size)
        assert (found.shape, found.dtype) == ((*size, channels), np.uint8)
        np.testing.assert_allclose(found / 255.0, expected, atol=0.004)


def test_shapes_are_ten_balanced_classes_and_always_the_same():
    (x, y), (x_test, y_test) = shapes.arrays()
    assert (x.shape, x.dtype, x_test.shape) == ((1000, 32, 32, 3), np.uint8, (250, 32, 32, 3))
    assert np.bincount(y).tolist() == [100] * 10
    assert np.bincount(y_test).tolist() == [25] * 10
    random = np.random.RandomState(0)
    again = np.stack([shapes.draw(shapes.CLASS_NAMES[i], random) for i in range(10)])
    np.testing.assert_array_equal(again, x[:10])
    assert len(np.unique(np.concatenate([x, x_test]).reshape(1250, -1), axis=0)) == 1250
    with pytest.raises(DataError, match="Use --data builtin"):
        shapes.load("files")


def test_a_file_that_pillow_would_give_to_another_program_is_refused(tmp_path):
    """Pillow hands EPS to Ghostscript, whatever the file is called."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n%%EOF\n"
    with pytest.raises(pictures.BrokenPicture, match="Unknown image file format"):
        pictures.decode(eps, "9.png")


def test_what_is_logged_of_strange_names_any_log_can_take(tmp_path, caplog):
    write(tmp_path, {f"{name}/{i}.png": encoded() for name in "ab" for i in range(4)})
    (tmp_path / "a" / "caf\udce9.png").write_bytes(b"broken")
    (tmp_path / "a" / "x.\udce9").write_bytes(b"other")
    with caplog.at_level("INFO"):
        image_folder.load(Source("files", tmp_path, skip_broken=True), batch_size=2, resize=8)
    assert r"caf\udce9.png" in caplog.text
    caplog.text.encode("utf8")
