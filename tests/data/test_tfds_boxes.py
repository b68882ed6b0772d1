"""Object detection sets of TensorFlow Datasets, by the same path as other pictures with boxes."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kerasd2l.data import BoxSet, DataError, Source, tfds_boxes
from kerasd2l.testing import check_data

NAMES = ("cup", "pen")


def examples(count):
    random = np.random.RandomState(count)
    for i in range(count):
        picture = random.randint(0, 256, (20 + i, 30, 3)).astype(np.uint8)
        objects = [
            {"bbox": tfds.features.BBox(0.1, 0.2, 0.5, 0.2 + 0.1 * j), "label": j % 2,
             "is_crowd": j == 3}
            for j in range(i % 5)
        ]  # fmt: skip
        yield i, {"image": picture, "objects": objects}


class Things(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = None

    def _info(self):
        objects = {
            "bbox": tfds.features.BBoxFeature(),
            "label": tfds.features.ClassLabel(names=NAMES),
            "is_crowd": np.bool_,
        }
        features = {"image": tfds.features.Image(), "objects": tfds.features.Sequence(objects)}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, manager):
        return {"train": self._generate_examples(11), "validation": self._generate_examples(6)}

    def _generate_examples(self, count):
        yield from examples(count)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    builder = Things(data_dir=tmp_path_factory.mktemp("tfds"))
    builder.download_and_prepare()
    return str(builder.data_dir)


def test_boxes_without_area_and_groups_are_left_out(prepared):
    chosen = BoxSet(f"tfds:{prepared}", resize=24)
    loaded = check_data(lambda: chosen.load(Source("tfds"), batch_size=4))
    assert loaded.size == {"train": 11, "test": 6} and loaded.assets["class_names"] == list(NAMES)
    y = np.concatenate([y for _, y in loaded.test])
    assert y.shape == (6, 2, 5), "of four boxes one has no area, one is a group"
    np.testing.assert_allclose(y[4, 0], [1, 0.2, 0.1, 0.3, 0.5], atol=1e-6)
    assert (y[0] == -1).all() and (y[5] == -1).all()


def test_a_set_without_boxes_is_refused():
    with tfds.testing.mock_data(num_examples=3):
        with pytest.raises(DataError, match="mnist is no set for object detection"):
            tfds_boxes.load("mnist", Source("tfds"))


def test_pascal_voc_s_features_are_those_of_a_set_with_boxes():
    assert tfds_boxes.keys(tfds.builder("voc/2007")) == ("image", "objects", "bbox", "label")
