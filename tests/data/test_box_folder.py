"""Pictures with boxes: four formats give the same objects; what cannot be right is told by file."""

import json
import logging
import os
import subprocess
import sys

import annotated
import numpy as np
import pytest
from PIL import Image

from kerasd2l import data
from kerasd2l.data import BoxSet, DataError, Source, annotations, data_error_in
from kerasd2l.data.sets import bananas, box_folder, scenes
from kerasd2l.testing import check_data

OBJECTS = annotated.rows()


def load(root, **options):
    skip = options.pop("skip_broken", False)
    settings = {"batch_size": 4, "resize": (24, 32)} | options
    return box_folder.load(Source("files", data_dir=root, skip_broken=skip), **settings)


def labels(loaded, split="train"):
    dataset = loaded.epoch(0) if split == "train" else getattr(loaded, split)
    return np.concatenate([y for _, y in dataset])


@pytest.mark.parametrize("write", [annotated.voc, annotated.coco, annotated.yolo])
def test_every_format_gives_the_same_pictures_and_boxes(tmp_path, write):
    write(tmp_path, OBJECTS)
    loaded = check_data(lambda: load(tmp_path))
    assert loaded.size == {"train": 8, "test": 2}
    assert loaded.assets["class_names"] == list(annotated.NAMES)
    held = np.random.RandomState(0).permutation(10)[::5]
    for y, place in zip(labels(loaded, "test"), sorted(held), strict=True):
        expected = np.full((2, 5), -1.0)
        for row, (name, *box) in zip(expected, OBJECTS[place], strict=False):
            row[:] = [annotated.NAMES.index(name), *(np.array(box) / (40, 30, 40, 30))]
        np.testing.assert_allclose(y, expected, atol=1e-6)


def test_a_table_has_the_pictures_that_it_names(tmp_path):
    loaded = load(annotated.table(tmp_path, OBJECTS))
    assert sum(loaded.size.values()) == sum(bool(row) for row in OBJECTS)
    of_voc = load(annotated.voc(tmp_path / "voc", [row for row in OBJECTS if row]))
    np.testing.assert_array_equal(labels(loaded), labels(of_voc))


def test_lists_of_splits_and_folders_of_splits(tmp_path):
    lists = [("train", range(6)), ("val", [6, 7]), ("test", [8, 9])]
    by_list = load(annotated.voc(tmp_path / "VOCdevkit" / "VOC2007", OBJECTS, lists))
    assert by_list.size == {"train": 6, "valid": 2, "test": 2}
    assert load(tmp_path / "VOCdevkit").size == by_list.size, "the folder above it"
    for split, places in lists:
        annotated.yolo(tmp_path / "y" / split, [OBJECTS[i] for i in places])
        annotated.table(tmp_path / "c" / f"things_{split}", [OBJECTS[i] for i in places])
    assert load(tmp_path / "y").size == by_list.size
    np.testing.assert_array_equal(labels(load(tmp_path / "y"), "valid"), labels(by_list, "valid"))
    assert set(load(tmp_path / "c").size) == {"train", "valid", "test"}
    root = tmp_path / "coco"
    for split, places in (("train2017", range(8)), ("val2017", (8, 9))):
        for i in places:
            annotated.picture(root / split / f"{i - places[0]:03}.png", i)
        (root / "annotations").mkdir(exist_ok=True)
        tree = annotated.coco_tree([OBJECTS[i] for i in places])
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(tree))
    assert load(root).size == {"train": 8, "valid": 2}


def test_pixels_are_those_of_the_file_and_boxes_stay_at_their_place(tmp_path):
    annotated.voc(tmp_path, [[("cat", 10, 15, 20, 30)]] * 5)
    for path in (tmp_path / "JPEGImages").iterdir():
        pixels = np.zeros((30, 40, 3), np.uint8)
        pixels[15:30, 10:20] = 255
        Image.fromarray(pixels).save(path)
    (x, y), *_ = load(tmp_path, resize=(60, 80)).test
    assert y[0, 0].numpy().tolist() == [0, 0.25, 0.5, 0.5, 1.0]
    assert x[0, 31:, 21:39].numpy().min() == 1.0 and x[0, :29].numpy().max() == 0.0


def break_voc(root, what):
    """Break picture or annotation 1 of a folder of Pascal VOC."""
    note, image = root / "Annotations" / "001.xml", root / "JPEGImages" / "001.png"
    right = note.read_text()
    if what == "zero area":
        note.write_text(annotated.xml("001.png", [("cat", 5, 5, 5, 9)]))
    elif what == "sides swapped":
        note.write_text(annotated.xml("001.png", [("cat", 9, 5, 5, 9)]))
    elif what == "outside":
        note.write_text(annotated.xml("001.png", [("cat", 5, 5, 45, 9)]))
    elif what == "NaN":
        note.write_text(annotated.xml("001.png", [("cat", "nan", 5, 9, 9)]))
    elif what == "no number":
        note.write_text(annotated.xml("001.png", [("cat", "x", 5, 9, 9)]))
    elif what == "no box":
        note.write_text("<annotation><object><name>cat</name></object></annotation>")
    elif what == "no picture":
        image.unlink()
    elif what == "empty picture":
        image.write_bytes(b"")
    elif what == "another size":
        note.write_text(annotated.xml("001.png", [], size=(400, 300)))
    elif what == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        image.unlink()
        annotated.picture(image.with_suffix(".jpg"), exif=exif)
        note.write_text(annotated.xml("001.jpg", [], size=(30, 40)))
    elif what == "cut off":
        note.write_text(right[:-20])
    elif what == "entities":
        note.write_text('<!DOCTYPE a [<!ENTITY b "cccc">]>' + right)
    elif what == "UTF-16 entities":
        note.write_bytes(('<!DOCTYPE a [<!ENTITY b "c">]>' + right).encode("utf-16"))


BROKEN = {
    "zero area": "object 1 .cat. has no area",
    "sides swapped": "object 1 .cat. has no area",
    "outside": "object 1 .cat. lies outside the picture of 40 x 30 pixels",
    "NaN": "object 1 .cat. has coordinates that are no numbers",
    "no number": "object 1 .cat. has coordinates that are no numbers",
    "no box": "object 1 .cat. has coordinates that are no numbers",
    "no picture": "its picture '001.png' is not there",
    "empty picture": "001.png is no picture that can be read",
    "another size": "it says 400 x 300 pixels; 001.png has 40 x 30",
    "turned": "001.jpg is shown turned .EXIF orientation 6.",
    "cut off": "is no XML",
    "entities": "declares a document type or entities",
    "UTF-16 entities": "declares a document type or entities",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_told_by_file_and_left_out_if_wished(tmp_path, what, caplog):
    annotated.voc(tmp_path, OBJECTS)
    break_voc(tmp_path, what)
    with pytest.raises(DataError, match=rf"an annotation cannot be right: .*001.*{BROKEN[what]}"):
        load(tmp_path)
    with caplog.at_level(logging.WARNING):
        loaded = load(tmp_path, skip_broken=True)
    assert "001" in caplog.text
    of_picture = what not in list(BROKEN)[:6]
    assert sum(loaded.size.values()) == (9 if of_picture else 10)
    assert len(loaded.assets["skipped_pictures"]) == of_picture


def test_many_problems_are_counted(tmp_path):
    annotated.voc(tmp_path, [[("cat", 5, 5, 5, 9), ("cat", 6, 6, 5, 9)]] * 10)
    with pytest.raises(DataError, match=r"20 annotations in 10 files cannot be right: .*; \.\.\. "):
        load(tmp_path)


def test_a_box_a_pixel_over_the_edge_is_cut(tmp_path):
    annotated.voc(tmp_path, [[("cat", -1, 0, 41, 31)]] * 5)
    assert labels(load(tmp_path))[0, 0].tolist() == [0, 0, 0, 1, 1]


def test_pictures_are_found_under_another_spelling(tmp_path):
    annotated.voc(tmp_path, OBJECTS)
    for i in (2, 4, 5):
        path = tmp_path / "JPEGImages" / f"{i:03}.png"
        path.rename(path.with_name(f"{i:03}.PNG" if i < 5 else "005.jpeg"))
    assert sum(load(tmp_path).size.values()) == 10


def test_a_turned_picture_whose_boxes_are_of_its_stored_pixels_is_taken(tmp_path):
    annotated.voc(tmp_path, OBJECTS)
    exif = Image.Exif()
    exif[0x0112] = 6
    annotated.picture(tmp_path / "JPEGImages" / "001.jpg", exif=exif)
    (tmp_path / "Annotations" / "001.xml").write_text(annotated.xml("001.jpg", OBJECTS[1]))
    assert sum(load(tmp_path).size.values()) == 10


def test_names_lead_nowhere_outside_the_folder(tmp_path):
    annotated.picture(tmp_path / "secret.png")
    annotated.voc(tmp_path / "a", OBJECTS)
    note = tmp_path / "a" / "Annotations" / "001.xml"
    note.with_name("x.xml").write_text(annotated.xml("../../secret.png", []))
    with pytest.raises(DataError, match=r"its picture '../../secret.png' is not there"):
        load(tmp_path / "a")


def test_classes_keep_the_numbers_of_an_earlier_run(tmp_path):
    annotated.voc(tmp_path, OBJECTS)
    known = {"class_names": ["bird", "dog", "cat"]}
    source = Source("files", data_dir=tmp_path, assets=known)
    loaded = box_folder.load(source, batch_size=4, resize=16)
    assert loaded.assets["class_names"] == known["class_names"]
    ids = labels(loaded)[..., 0]
    assert set(np.unique(ids)) <= {-1, 1, 2}
    source = Source("files", data_dir=tmp_path, assets={"class_names": ["cat"]})
    with pytest.raises(DataError, match="class 'dog', which the model was not trained on"):
        box_folder.load(source, resize=16)


def coco_with(change):
    tree = annotated.coco_tree(OBJECTS)
    change(tree)
    return tree


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("images"), "'images' should be a list of objects. Received: nothing"),
        (lambda t: t.update(images={}), "'images' should be a list of objects. Received: dict"),
        (lambda t: t["annotations"].append(3), "'annotations' should be a list of objects"),
        (lambda t: t["annotations"][0].update(image_id="1"), "'image_id' .* should be int"),
        (lambda t: t["annotations"][0].update(image_id=99), "picture 99, which is not there"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2]), "coordinates that are no numbers"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, None, 3]), "that are no numbers"),
        (lambda t: t["annotations"][0].update(bbox=[1, 2, float("nan"), 3]), "no numbers"),
        (lambda t: t["annotations"][0].update(category_id=8), "unknown class 'category 8'"),
        (lambda t: t["categories"][1].update(id=3), "two of 'categories' have the same id"),
        (lambda t: t["images"][0].update(file_name=None), "'file_name' .* should be str"),
    ],
)
def test_wrong_kinds_in_json(tmp_path, change, message):
    root = annotated.coco(tmp_path, OBJECTS)
    path = root / "annotations" / "instances.json"
    path.write_text(json.dumps(coco_with(change)))
    with pytest.raises(DataError, match=message):
        load(root)


def test_groups_of_objects_are_passed_over(tmp_path):
    root = annotated.coco(tmp_path, OBJECTS)
    tree = coco_with(lambda t: t["annotations"][0].update(iscrowd=1))
    (root / "annotations" / "instances.json").write_text(json.dumps(tree))
    assert sum(load(root).size.values()) == 10


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1", "line 1: expected a class and four numbers"),
        ("-1 0.5 0.5 0.1 0.1", "line 1: expected a class and four numbers"),
        ("0 0.5 0.5 nan 0.1", "coordinates that are no numbers"),
        ("9 0.5 0.5 0.1 0.1", "unknown class 'class 9'"),
        ("0 0.5 0.5 1.5 0.1", "lies outside"),
    ],
)
def test_wrong_lines_of_yolo(tmp_path, line, message):
    root = annotated.yolo(tmp_path, OBJECTS)
    (root / "labels" / "001.txt").write_text(line)
    with pytest.raises(DataError, match=message):
        load(root)


@pytest.mark.parametrize(
    "names", ["names: ['cat', 'dog']", "names:\n  0: cat\n  1: dog\n", "names:\n- cat\n- 'dog'\n"]
)
def test_the_ways_to_name_the_classes_of_yolo(tmp_path, names):
    root = annotated.yolo(tmp_path, OBJECTS)
    (root / "data.yaml").write_text(f"train: images\n{names}")
    assert load(root).assets["class_names"] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("img_name,label,xmin,ymin,xmax\n", "lacks a column for ymax"),
        ("img_name,label,xmin,ymin,xmax,ymax\n000.png,0,1,2,3\n", "line 2: 5 cells"),
        ("img_name,label,xmin,ymin,xmax,ymax\n000.png,0,1,,3,4\n", "no numbers"),
    ],
)
def test_wrong_tables(tmp_path, content, message):
    annotated.table(tmp_path, OBJECTS)
    (tmp_path / "label.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_folders_that_hold_nothing_of_the_kind(tmp_path):
    with pytest.raises(DataError, match="has no annotations of pictures"):
        load(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        load(tmp_path / "x")
    with pytest.raises(DataError, match="neither downloaded nor guessed"):
        box_folder.load(Source("download"))
    annotated.voc(tmp_path, [[]] * 5)
    with pytest.raises(DataError, match="no object has a class"):
        load(tmp_path)


def test_what_is_no_picture_is_told_of_without_the_readers_own_words(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"x.jpg is no picture that can be read: [\w ]+$"):
        annotations.header(path)


def test_a_picture_that_breaks_while_training(tmp_path):
    annotated.voc(tmp_path, OBJECTS)
    path = tmp_path / "JPEGImages" / "001.png"
    path.write_bytes(path.read_bytes()[:-200])  # its header is whole
    strict, lenient = load(tmp_path), load(tmp_path, skip_broken=True)
    with pytest.raises(Exception) as caught:
        [labels(strict, split) for split in strict.size]
    assert "001.png is no whole picture" in str(data_error_in(caught.value))
    assert sum(len(labels(lenient, split)) for split in lenient.size) == 9
    assert lenient.assets["skipped_pictures"] == [str(path)]


def test_at_most_so_many_objects_the_largest_ones(tmp_path):
    annotated.voc(tmp_path, [[("cat", 0, 0, 4, 4), ("dog", 0, 0, 20, 20)]] * 5)
    y = labels(load(tmp_path, max_objects=1))
    assert y.shape[1:] == (1, 5) and (y[:, 0, 0] == 1).all()
    assert labels(load(tmp_path, max_objects=3)).shape[1:] == (3, 5)


_EPOCHS = """
import re, sys
from kerasd2l.data import Source
from kerasd2l.data.sets import box_folder

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

loaded = box_folder.load(Source("files", data_dir=sys.argv[1]), batch_size=4, resize=512,
                         memory=10 << 20)
next(iter(loaded.epoch(0)))
before = peak()
for epoch in range(2):
    for x, y in loaded.epoch(epoch):
        pass
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads Linux' peaks")
def test_memory_stays_flat_over_epochs_of_a_set_that_is_larger_than_it(tmp_path):
    root = annotated.voc(tmp_path, [[("cat", 1, 1, 9, 9)]] * 400)  # 320 for training: 252 MB
    done = subprocess.run(
        [sys.executable, "-c", _EPOCHS, root], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 160, "MB more than after the first batch"


def test_drawn_scenes_are_exact(tmp_path):
    drawn = scenes.make(50, seed=5)
    again = scenes.make(50, seed=5)
    np.testing.assert_array_equal(drawn.x, again.x)
    assert (scenes.make(2, seed=6).x != drawn.x[:2]).any()
    for place in range(50):
        ids, boxes, objects = drawn.class_ids[place], drawn.boxes[place], drawn.objects[place]
        assert len(ids) == len(boxes) == objects.max() >= 1
        for k, (class_id, box) in enumerate(zip(ids, boxes, strict=True), start=1):
            rows, columns = np.nonzero(objects == k)
            edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            np.testing.assert_array_equal(box, np.array(edges, np.float32) / scenes.SIZE)
            assert (drawn.classes[place][objects == k] == class_id + 1).all()
            inside = drawn.x[place][objects == k].astype(int)
            assert np.ptp(inside, axis=0).max() <= 12, "an object has one colour"


def test_the_book_s_bananas_are_read_from_their_folder(tmp_path):
    for split, count in (("train", 6), ("val", 3)):
        rows = [[(0, 10 * i, 20, 10 * i + 64, 148)] for i in range(count)]
        root = tmp_path / "banana-detection" / f"bananas_{split}"
        annotated.table(root, rows)
        for path in (root / "images").iterdir():
            annotated.picture(path, size=(256, 256))
    loaded = bananas.load(Source("files", data_dir=tmp_path), batch_size=32)
    x, y = next(iter(loaded.test))
    assert x.shape == (3, 256, 256, 3) and y.shape == (3, 1, 5)
    np.testing.assert_allclose(y[1, 0], np.array([0, 10, 20, 74, 148]) / 256)
    assert loaded.assets["class_names"] == ["banana"]
    with pytest.raises(DataError, match=r"bananas: .*lacks banana-detection/bananas_train"):
        bananas.load(Source("files", data_dir=tmp_path / "none"))


def test_sets_by_name():
    assert BoxSet("bananas", resize=64).load("builtin", batch_size=8).size["train"] == 800
    with pytest.raises(ValueError, match="`dataset` must be one of bananas, box_folder, or tfds"):
        BoxSet("mnist")
    with pytest.raises(ValueError, match="`resize` must be at least 1"):
        BoxSet(resize=0)
    with pytest.raises(ValueError, match="`skip_broken` is for pictures of one's own"):
        BoxSet().load(Source(skip_broken=True), batch_size=8)


@pytest.mark.slow
def test_blood_cells(real_data):
    root = real_data / "detection" / "BCCD"
    with pytest.raises(DataError, match=r"2 annotations in 2 files cannot be right: .*has no area"):
        load(root)
    loaded = load(root, skip_broken=True, batch_size=64)
    assert loaded.size == {"train": 205, "valid": 87, "test": 72}
    names = loaded.assets["class_names"]
    assert names == ["Platelets", "RBC", "WBC"]
    every = np.concatenate([labels(loaded, split) for split in loaded.size])
    counts = [int((every[..., 0] == k).sum()) for k in range(3)]
    assert counts == [361, 4155 - 2, 372]


def test_data_package_names():
    assert data.BoxSet is BoxSet
