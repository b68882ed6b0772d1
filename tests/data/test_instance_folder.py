"""Masks of objects: polygons, runs and numbered pictures give the same ones, cut to their boxes."""

import json

import annotated
import numpy as np
import pytest
from PIL import Image

from kerasd2l.data import DataError, InstanceSet, Source, instance_masks
from kerasd2l.data.augmentation import Augmentation, RandomHorizontalFlip, RandomResizedCrop
from kerasd2l.data.augmentation import RandomVerticalFlip as VerticalFlip
from kerasd2l.data.sets import instance_folder, scene_instances, scenes
from kerasd2l.testing import check_data

WIDTH, HEIGHT = annotated.SIZE
PICTURES = 5
TRIANGLE = [4.0, 2.0, 24.0, 2.0, 4.0, 22.0]  # its box is (4, 2) to (24, 22)
SQUARE = [30.0, 10.0, 38.0, 10.0, 38.0, 18.0, 30.0, 18.0]


def below_the_diagonal(size):
    """The triangle within its box: the pixels whose middles it covers."""
    places = np.arange(size)
    return (places[:, None] + places + 1 <= size).astype(np.uint8)


def pixels(polygon):
    """Which pixels' middles a polygon of ours covers: (h, w) bool."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    if polygon is TRIANGLE:
        return (x >= 4) & (y >= 2) & (x + y <= 26)
    return (x >= 30) & (x <= 38) & (y >= 10) & (y <= 18)


def runs(mask):
    flat = np.concatenate([[0], mask.T.ravel().astype(int), [0]])
    places = np.flatnonzero(np.diff(flat))
    counts = np.diff([0, *places.tolist(), mask.size]).tolist()
    return {"size": list(mask.shape), "counts": counts}


def coco(root, segmentations, **changes):
    """Write pictures with the same two objects."""
    (root / "annotations").mkdir(parents=True)
    boxes = ([4, 2, 20, 20], [30, 10, 8, 8])
    tree = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT}
            for i in range(PICTURES)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 10 * i + j, "image_id": i, "category_id": j + 1, "bbox": boxes[j],
             "iscrowd": 0, "segmentation": segmentations[j]} | changes
            for i in range(PICTURES) for j in (0, 1)
        ],
    }  # fmt: skip
    (root / "annotations" / "instances_train.json").write_text(json.dumps(tree))
    for i in range(PICTURES):
        annotated.picture(root / "images" / f"{i}.png", i)
    return root


def voc(root):
    annotated.voc(root, [[("cat", 4, 2, 24, 22), ("dog", 30, 10, 38, 18)]] * (PICTURES + 1))
    numbers = np.where(pixels(TRIANGLE), 1, np.where(pixels(SQUARE), 2, 255)).astype(np.uint8)
    (root / "SegmentationObject").mkdir()
    for i in range(PICTURES):
        Image.fromarray(numbers).save(root / "SegmentationObject" / f"{i:03}.png")
    lists = root / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("".join(f"{i:03}\n" for i in range(PICTURES)))
    return root


def polygons(root):
    return coco(root, [[TRIANGLE], [[*SQUARE[:4], 34.0, 18.0, 30.0, 18.0], SQUARE]])


def counted(root):
    return coco(root, [runs(pixels(TRIANGLE)), runs(pixels(SQUARE))])


def compressed(root):
    pycocotools = pytest.importorskip("pycocotools.mask")
    found = [pycocotools.encode(np.asfortranarray(pixels(p), np.uint8)) for p in (TRIANGLE, SQUARE)]
    return coco(root, [one | {"counts": one["counts"].decode()} for one in found])


def load(root, **options):
    skip = options.pop("skip_broken", False)
    settings = {"batch_size": PICTURES, "resize": (15, 20), "mask_size": 20} | options
    return instance_folder.load(Source("files", data_dir=root, skip_broken=skip), **settings)


@pytest.mark.parametrize("write", [polygons, counted, compressed, voc])
def test_every_form_gives_the_same_masks(tmp_path, write):
    write(tmp_path)
    loaded = check_data(lambda: load(tmp_path))
    assert loaded.assets["class_names"] == ["cat", "dog"]
    (x, y), *more = loaded.train
    assert not more
    assert x.shape == (PICTURES, 15, 20, 3)
    sides = [WIDTH, HEIGHT] * 2
    expected = [[0, *np.divide([4, 2, 24, 22], sides)], [1, *np.divide([30, 10, 38, 18], sides)]]
    np.testing.assert_allclose(y["boxes"], [expected] * PICTURES, atol=1e-6)
    masks = y["masks"].numpy()
    assert masks.shape == (PICTURES, 2, 20, 20)
    # a pixel on the slanted side is half of the object: it may be counted or not
    slanted = np.abs(masks[:, 0] - below_the_diagonal(20)) * ~np.fliplr(np.eye(20, dtype=bool))
    assert slanted.max() == 0
    assert masks[:, 1].min() == 1


def test_polygons_are_those_of_pycocotools():
    pycocotools = pytest.importorskip("pycocotools.mask")
    random = np.random.RandomState(0)
    for _ in range(20):
        angles = np.sort(random.uniform(0, 2 * np.pi, 9))
        radii = random.uniform(20, 45, 9)
        points = 50 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        box = np.array([*points.min(0), *points.max(0)])
        runs = pycocotools.frPyObjects([points.ravel().tolist()], 100, 100)
        theirs = instance_masks.cut(pycocotools.decode(runs)[..., 0] > 0, box, 56)
        ours = instance_masks.of_coco([points.ravel().tolist()]).cut(box, 56)
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.95
        (run,) = runs
        mask = instance_masks.of_coco({"size": [100, 100], "counts": run["counts"].decode()})
        np.testing.assert_array_equal(mask.pixels(), pycocotools.decode(run) > 0)


def test_of_many_objects_the_largest_stay_with_their_masks(tmp_path):
    (_, y), *_ = load(polygons(tmp_path), max_objects=1).train
    assert y["boxes"].numpy()[:, 0, 0].tolist() == [0] * PICTURES
    np.testing.assert_allclose(y["masks"].numpy().mean((1, 2, 3)), 0.5, atol=0.03)


WRONG = {
    "has a polygon of 2 points": [[1.0, 2.0, 3.0, 4.0]],
    "has a polygon of 5 coordinates": [[1.0, 2.0, 3.0, 4.0, 5.0]],
    "outside the picture of 40 x 30": [[4.0, 2.0, 60.0, 2.0, 4.0, 22.0]],
    "has a polygon without area": [[4.0, 2.0, 24.0, 2.0, 14.0, 2.0]],
    "does not meet its box": [[30.0, 25.0, 36.0, 25.0, 36.0, 29.0]],
    "has no mask": [],
    "neither polygons nor runs": [["a", "b"]],
    "a mask of 20 x 10 pixels; its picture has 40 x 30": {"size": [10, 20], "counts": [200]},
    "whose runs are not 1200 pixels": {"size": [30, 40], "counts": [3, 1]},
    "no `size` and `counts`": {"size": [30, 40], "counts": "é"},
    "no pixel of its mask in its box": {"size": [30, 40], "counts": [1199, 1]},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_right_is_told_by_file_or_left_out(tmp_path, message):
    coco(tmp_path, [WRONG[message], [SQUARE]])
    with pytest.raises(DataError, match=r"5 annotations in 5 files.*object 1 \(cat\).*" + message):
        load(tmp_path)
    (_, y), *_ = load(tmp_path, skip_broken=True).train
    assert y["boxes"].numpy()[..., 0].tolist() == [[1]] * PICTURES
    assert y["masks"].numpy().min() == 1


def test_a_mask_of_another_size_or_without_the_object_in_voc(tmp_path):
    voc(tmp_path)
    place = tmp_path / "SegmentationObject"
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(place / "000.png")
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(place / "001.png")
    with pytest.raises(DataError, match=r"no pixel 1 of 000.png .*; .*4 x 3 pixels \(001.png\)"):
        load(tmp_path)


def test_formats_without_masks_are_refused(tmp_path):
    annotated.yolo(tmp_path, annotated.rows())
    with pytest.raises(DataError, match=r"no masks of objects \(yolo\). Masks are read from"):
        load(tmp_path)


def test_built_in_masks_are_those_that_were_drawn():
    loaded = InstanceSet(resize=32).load("builtin", batch_size=200)
    ((_, y),) = loaded.test
    drawn = scenes.scenes("test")
    for place in range(20):
        for k, (x1, y1, x2, y2) in enumerate((drawn.boxes[place] * 128).round().astype(int)):
            mask = drawn.objects[place, y1:y2, x1:x2] == k + 1
            assert abs(y["masks"][place, k].numpy().mean() - mask.mean()) < 0.05
    there = y["boxes"].numpy()[..., 0] >= 0
    np.testing.assert_array_equal(y["masks"].numpy().any((2, 3)), there)


def test_masks_are_flipped_and_cut_with_their_boxes():
    (x, y), *_ = scene_instances.load(batch_size=64, mask_size=32).test
    painted = paint(y)
    flip = [RandomHorizontalFlip(1.0), VerticalFlip(1.0)]
    _, flipped = Augmentation(flip, "cut_masks")(x, y, seed=(0, 0))
    np.testing.assert_array_equal(flipped["masks"], y["masks"].numpy()[..., ::-1, ::-1])
    assert np.mean(paint(flipped) == painted[:, ::-1, ::-1]) > 0.998
    crop = Augmentation([RandomResizedCrop(128, (0.3, 0.6))], "cut_masks", least_area=0.0)
    moved_x, moved = crop(painted[..., None].astype("float32"), y, seed=(1, 2))
    same = (moved_x[..., 0] > 0.5) == (paint(moved) > 0)
    assert np.mean(same) > 0.97
    gone = moved["boxes"].numpy()[..., 0] < 0
    assert gone[y["boxes"].numpy()[..., 0] >= 0].any()
    assert not moved["masks"].numpy()[gone].any()


def paint(y, size=128):
    """Paste the masks into pictures: (B, size, size) bool."""
    pages = np.zeros((len(y["boxes"]), size, size), bool)
    middles = (np.arange(size) + 0.5) / size
    for page, rows, masks in zip(pages, y["boxes"].numpy(), y["masks"].numpy(), strict=True):
        for (kind, x1, y1, x2, y2), mask in zip(rows, masks, strict=True):
            columns, lines = (middles - x1) / (x2 - x1 or 1), (middles - y1) / (y2 - y1 or 1)
            inside = ((lines >= 0) & (lines < 1))[:, None] & ((columns >= 0) & (columns < 1))
            at = [np.clip((part * len(mask)).astype(int), 0, len(mask) - 1)
                  for part in (lines, columns)]  # fmt: skip
            page |= inside & (mask[at[0]][:, at[1]] > 0) & (kind >= 0)
    return pages


@pytest.mark.parametrize(
    ("change", "message"),
    [({"dataset": "coco"}, "must be instance_folder"), ({"resize": 0}, "at least 1"),
     ({"max_objects": 0}, "max_objects=0"), ({"mask_size": 1}, "`mask_size` must be at least 2")],
)  # fmt: skip
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        InstanceSet(**change)
