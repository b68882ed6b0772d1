"""Pictures with masks: layouts, palettes and colours, crops in step; errors that name the file."""

import re

import numpy as np
import pytest
from PIL import Image

from kerasd2l import data
from kerasd2l.data import DataError, MaskSet, Source, data_error_in, masks
from kerasd2l.data.sets import camvid, mask_folder, voc2012
from kerasd2l.testing import check_data

SIZE = (30, 40)  # height, width
PALETTE = [int(level) for colour in masks.VOC_COLORMAP for level in colour]


def example(seed):
    """A picture whose red level is ten times the class of the pixel; class 255 is 250."""
    classes = np.random.RandomState(seed).randint(0, 4, SIZE).astype(np.uint8)
    classes[0, 0] = 255
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[..., 0] = np.where(classes == 255, 250, classes * 10)
    return pixels, classes


def save(root, images, labels, name, seed, kind="palette"):
    pixels, classes = example(seed)
    for folder in (images, labels):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(root / images / f"{name}.png")
    mask = Image.fromarray(classes)
    if kind == "palette":
        mask.putpalette(PALETTE + [0] * (765 - len(PALETTE)) + list(masks.VOC_BORDER))
    if kind == "colours":
        mask = Image.fromarray(data.label2image(classes, masks.VOC_COLORMAP))
    mask.save(root / labels / f"{name}.png")


def voc(root, kind="palette", train=8, test=3):
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for i in range(train + test):
        save(root, "JPEGImages", "SegmentationClass", f"{i:03}", i, kind)
    for split, places in (("train", range(train)), ("val", range(train, train + test))):
        (lists / f"{split}.txt").write_text("".join(f"{i:03}\n" for i in places))
    return root


def load(root, **options):
    skip = options.pop("skip_broken", False)
    settings = {"batch_size": 4, "crop": (20, 24)} | options
    return mask_folder.load(Source("files", data_dir=root, skip_broken=skip), **settings)


def in_step(x, y):
    red = np.rint(np.asarray(x)[..., 0] * 255).astype(int)
    return np.array_equal(np.where(np.asarray(y) == 255, 250, np.asarray(y) * 10), red)


def test_the_colours_of_pascal_voc_are_those_of_its_formula():
    for i, colour in enumerate(masks.VOC_COLORMAP):  # the bits of i, dealt to red, green and blue
        bits = [[i >> (3 * j + c) & 1 for j in range(8)] for c in range(3)]
        assert colour == tuple(sum(bit << 7 - j for j, bit in enumerate(row)) for row in bits)
    assert len(masks.VOC_CLASSES) == 21 and masks.VOC_CLASSES[15] == "person"
    label = data.voc_colormap2label()
    pixels = np.array([[[128, 0, 0], [0, 0, 0]], [[224, 224, 192], [0, 64, 128]]], np.uint8)
    assert data.voc_label_indices(pixels, label).tolist() == [[1, 0], [255, 20]]
    classes = np.arange(21).reshape(3, 7)
    back = data.voc_label_indices(data.label2image(classes, masks.VOC_COLORMAP), label)
    np.testing.assert_array_equal(back, classes)


@pytest.mark.parametrize("kind", ["palette", "grey", "colours"])
def test_pascal_voc_s_folders_are_read_and_cropped_in_step(tmp_path, kind):
    voc(tmp_path, kind)
    loaded = check_data(lambda: load(tmp_path), augmented=True)
    assert loaded.size == {"train": 8, "test": 3}
    assert loaded.assets["class_names"] == list(masks.VOC_CLASSES)
    for batches in (loaded.epoch(0), loaded.epoch(1), loaded.test):
        assert all(in_step(x, y) for x, y in batches)
    (_, y), *_ = loaded.test
    np.testing.assert_array_equal(y[0], example(8)[1][5:25, 8:32])  # the middle


def test_crops_lie_everywhere_and_repeat_themselves_by_epoch(tmp_path):
    voc(tmp_path, train=40, test=1)
    loaded = load(tmp_path, batch_size=40, crop=(28, 36))
    corners = set()
    for epoch in range(4):
        (x, y), *_ = loaded.epoch(epoch)
        (again, _), *_ = loaded.epoch(epoch)
        np.testing.assert_array_equal(x, again)
        for crop in y.numpy():
            for seed in range(40):
                classes = example(seed)[1]
                corners |= {
                    (i, j)
                    for i in range(3)
                    for j in range(5)
                    if np.array_equal(classes[i : i + 28, j : j + 36], crop)
                }
    assert corners == {(i, j) for i in range(3) for j in range(5)}


def test_the_same_part_is_cut_out_of_picture_and_mask():
    pixels, classes = example(0)
    for at, (top, left) in (((0, 0), (0, 0)), ((0.999, 0.999), (10, 16)), ((0.5, 0.5), (5, 8))):
        x, y = data.voc_rand_crop(pixels, classes, 20, 24, at)
        np.testing.assert_array_equal(x, pixels[top : top + 20, left : left + 24])
        np.testing.assert_array_equal(y, classes[top : top + 20, left : left + 24])
    with pytest.raises(ValueError, match="`height` and `width` must be at most"):
        data.voc_rand_crop(pixels, classes, 31, 4, (0, 0))


def test_other_layouts(tmp_path):
    names = "sky\nroad and path\ncar\ntree\n"
    for i in range(6):
        save(tmp_path / "a", "images", "masks", str(i), i, "grey")
        split = "train" if i < 4 else "val"
        save(tmp_path / "b", split, f"{split}annot", str(i), i, "grey")
        save(tmp_path / "c", f"{split}/images", f"{split}/masks", str(i), i, "grey")
        save(tmp_path / "d", f"images/{split}", f"labels/{split}", str(i), i, "grey")
    for name in "abcd":
        (tmp_path / name / "classes.txt").write_text(names)
    for name, size in (("a", {"train": 4, "test": 2}), ("b", {"train": 4, "valid": 2})):
        assert load(tmp_path / name).size == size
    assert load(tmp_path / "c").size == load(tmp_path / "d").size == {"train": 4, "valid": 2}
    assert load(tmp_path / "d").assets["class_names"][1] == "road and path"
    (tmp_path / "a" / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"has no classes.txt"):
        load(tmp_path / "a")


def test_colours_of_one_s_own_classes(tmp_path):
    for i in range(5):
        save(tmp_path, "images", "masks", str(i), i, "colours")
    colours = masks.VOC_COLORMAP
    (tmp_path / "classes.txt").write_text(
        "".join(f"class {i} {' '.join(map(str, colours[i]))}\n" for i in range(4))
    )
    loaded = load(tmp_path)
    assert loaded.assets["class_names"] == [f"class {i}" for i in range(4)]
    assert loaded.assets["colours"] == [list(colour) for colour in colours[:4]]
    assert all(in_step(x, y) for x, y in loaded.train)


def test_smaller_pictures_are_left_out_and_too_large_crops_refused(tmp_path, caplog):
    voc(tmp_path)
    path = tmp_path / "JPEGImages" / "001.png"
    for place in (path, tmp_path / "SegmentationClass" / "001.png"):
        Image.open(place).resize((10, 10), Image.Resampling.NEAREST).save(place)
    assert load(tmp_path).size == {"train": 7, "test": 3}
    assert "1 pictures smaller than 20 x 24 pixels are left out" in caplog.text
    with pytest.raises(DataError, match="Take a smaller crop"):
        load(tmp_path, crop=(31, 40))
    with pytest.raises(ValueError, match="`crop` must be"):
        load(tmp_path, crop=(0, 4))


def _break(root, what):
    mask = root / "SegmentationClass" / "001.png"
    if what == "another size":
        Image.open(mask).resize((20, 30)).save(mask)
    elif what == "no mask":
        mask.unlink()
    elif what == "no picture":
        (root / "JPEGImages" / "001.png").unlink()
    elif what == "no PNG":
        mask.write_bytes(b"x" * 50)
    elif what == "unknown colour":
        pixels = np.asarray(Image.open(mask).convert("RGB")).copy()
        pixels[3, 4] = (1, 2, 3)
        Image.fromarray(pixels).save(mask)
    elif what == "unknown class":
        classes = np.array(Image.open(mask))
        classes[3, 4] = 21
        Image.fromarray(classes).save(mask)
    elif what == "cut off":
        mask.write_bytes(mask.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("another size", "001.png: it has 20 x 30 pixels; its picture 001.png has 40 x 30"),
        ("no mask", "001: its mask in SegmentationClass is not there"),
        ("no picture", "001: its picture is not there"),
        ("no PNG", "001.png is no picture that can be read"),
    ],
)
def test_what_the_headers_tell_is_told_before_training(tmp_path, what, message):
    voc(tmp_path)
    _break(tmp_path, what)
    with pytest.raises(DataError, match=re.escape(message)):
        load(tmp_path)
    lenient = load(tmp_path, skip_broken=True)
    assert lenient.size["train"] == 7 and len(lenient.assets["skipped_pictures"]) == 1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("unknown colour", "001.png has the colour (1, 2, 3), which is of no class"),
        ("unknown class", "001.png has the class 21; there are 0 to 20"),
        ("cut off", "001.png is no mask that can be read"),
    ],
)
def test_what_the_pixels_tell_is_told_by_name(tmp_path, what, message):
    voc(tmp_path)
    _break(tmp_path, what)
    with pytest.raises(Exception) as caught:
        list(load(tmp_path).epoch(0))
    assert message in str(data_error_in(caught.value))
    lenient = load(tmp_path, skip_broken=True)
    assert sum(len(x) for x, _ in lenient.epoch(0)) == 7
    assert [str(name)[-7:] for name in lenient.assets["skipped_pictures"]] == ["001.png"]


def test_sets_by_name(tmp_path):
    voc(tmp_path / "VOCdevkit" / "VOC2012")
    source = Source("files", data_dir=tmp_path)
    assert voc2012.load(source, crop=(20, 24)).size == {"train": 8, "test": 3}
    assert MaskSet("mask_folder", crop=(20, 24)).load(source, batch_size=4).size["train"] == 8
    with pytest.raises(
        ValueError, match="`dataset` must be one of voc2012, camvid, or mask_folder"
    ):
        MaskSet("bananas")
    with pytest.raises(ValueError, match="`skip_broken` is for pictures of one's own"):
        MaskSet().load(Source(skip_broken=True), batch_size=4)
    with pytest.raises(DataError, match="neither downloaded nor guessed"):
        mask_folder.load(Source("download"))


@pytest.mark.parametrize("dataset", ["voc2012", "camvid", "mask_folder"])
def test_the_builtin_masks_are_those_of_drawn_shapes(dataset):
    chosen = MaskSet(dataset, crop=(64, 96))
    loaded = chosen.load("builtin", batch_size=50)
    x, y = next(iter(loaded.test))
    assert x.shape == (50, 64, 96, 3) and y.shape == (50, 64, 96)
    assert set(np.unique(y)) == {0, 1, 2, 3}
    assert loaded.assets["class_names"] == ["background", "circle", "square", "triangle"]


@pytest.mark.slow
def test_roads_seen_from_a_car(real_data):
    loaded = camvid.load(Source("files", data_dir=real_data), batch_size=16)
    assert loaded.size == {"train": 367, "valid": 101}
    assert len(loaded.assets["class_names"]) == 11
    x, y = next(iter(loaded.valid))
    assert x.shape == (16, 320, 480, 3) and set(np.unique(y)) <= {*range(11), 255}
    assert 255 in np.unique(y)
