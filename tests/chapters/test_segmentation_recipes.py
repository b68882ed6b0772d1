"""The recipes of section 13.11: the book's numbers, `evaluate` and `predict` of a trained one."""

import contextlib
import json

import numpy as np
import pytest
from PIL import Image

from kerasd2l import cli, finding
from kerasd2l.data import Source
from kerasd2l.data.sets import scenes
from kerasd2l.export import export_run
from kerasd2l.run import Run
from kerasd2l.training.fit import fit

SMALL = {"crop": "32,64", "width": 0.125, "depths": "1,1,1,1"}


def test_fcn_has_the_numbers_of_the_book():
    recipe = finding.load("fcn")
    names = ("crop", "learning_rate", "weight_decay", "momentum", "batch_size", "epochs")
    assert [recipe.arguments[name] for name in names] == [(320, 480), 0.001, 0.001, 0.0, 32, 5]
    optimizer = recipe.optimizer()
    # the loss is the mean over 32 pictures; the book steps by their sum
    assert float(optimizer.learning_rate) == pytest.approx(0.032)
    assert optimizer.l2_decay == pytest.approx(0.001 / 32)
    assert (recipe.expected.low, recipe.expected.high) == (0.848, 0.852)
    assert finding.load("fcn", dataset="camvid").expected is None


@pytest.mark.parametrize(("name", "multiple"), [("fcn", 32), ("fcn8s", 32), ("unet", 16)])
def test_a_crop_that_the_network_cannot_take_is_refused_at_the_door(name, multiple):
    with pytest.raises(ValueError, match=rf"`crop` must be multiples of {multiple}.*Try \d+,\d+"):
        finding.load(name, crop="320,470")


def test_bilinear_upsampling_gives_the_sizes_of_the_book():
    values = finding.load("bilinear_upsampling").run().values
    assert values["shape of the larger one"] == [854, 1280, 3]
    np.testing.assert_allclose(values["kernel, its first row"], [0.0625, 0.1875, 0.1875, 0.0625])
    before, after = values["mean before and after"]
    assert after == pytest.approx(before, abs=2e-3)  # the outermost pixels get darker
    with pytest.raises(ValueError, match="`factor` must be even"):
        finding.load("bilinear_upsampling", factor=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small FCN on drawn shapes, trained for a step and exported."""
    folder = tmp_path_factory.mktemp("fcn")
    recipe = finding.load("fcn", **SMALL, epochs=1, batch_size=8)
    run = Run(folder / "run", recipe.name, recipe.arguments, options={"data": "builtin"})
    fit(recipe, run, Source("builtin"), limit_steps=1, run_eagerly=True)
    export_run(run.path, folder / "saved", check=False)
    return folder


def call(*words):
    from click.testing import CliRunner

    result = CliRunner().invoke(cli.main, list(map(str, words)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
def test_evaluate_tells_the_iou_of_each_class(trained):
    words = ("evaluate", trained / "run", "--limit-steps=2", "--json")
    metrics = json.loads(call(*words))["metrics"]
    ious = [v for key, v in metrics.items() if key.startswith("test_iou_")]
    assert 1 <= len(ious) <= 4
    assert "test_iou_background" in metrics
    assert metrics["test_mean_iou"] == pytest.approx(np.mean(ious), rel=1e-4)
    assert 0 <= metrics["test_accuracy"] <= 1


def test_predict_says_and_draws_masks_of_pictures_of_any_size(trained, tmp_path):
    pictures = []
    for i, size in enumerate([(128, 128), (70, 200)]):
        path = tmp_path / f"{i}.png"
        Image.fromarray(scenes.make(1, seed=i).x[0]).resize(size).save(path)
        pictures.append(path)
    out = tmp_path / "masks.png"
    lines = call("predict", trained / "saved" / "fcn", *pictures, "--out", out).splitlines()
    assert [line.partition(":")[0] for line in lines] == [str(path) for path in pictures]
    with Image.open(out) as image:
        assert image.format == "PNG" and min(image.size) > 300
    reply = json.loads(call("predict", trained / "saved" / "fcn", *pictures, "--json"))
    assert reply["outputs"]["sizes"] == [[128, 128], [200, 70]]


def test_replicas_and_one_device_agree_where_pixels_do_not_count(tmp_path):
    """Each picture has another number of pixels that count: the shares of replicas differ."""
    import keras

    from kerasd2l import data, losses, training

    x = np.random.default_rng(0).random((6, 8, 8, 3), "float32")
    y = np.random.default_rng(1).integers(0, 3, (6, 8, 8)).astype("int32")
    for i in range(6):
        y[i, : i + 1] = 255
    ends = []
    for strategy in (None, training.make_strategy("mirrored", replicas=2)):
        batches = data.pipeline.from_arrays((x, y), batch_size=3, seed=0)  # pieces of 1 and 2
        arrays = data.pipeline.make_data(batches, features={}, assets={})
        with strategy.scope() if strategy else contextlib.nullcontext():
            head = keras.layers.Conv2D(3, 3, padding="same", kernel_initializer="ones")
            model = keras.Sequential([keras.Input((8, 8, 3)), head])
            model.compile(keras.optimizers.SGD(0.5), losses.PixelCrossEntropy())
        training.train(model, arrays, epochs=1, strategy=strategy)
        ends.append([np.asarray(w) for w in model.get_weights()])
    for one, shared in zip(*ends, strict=True):
        np.testing.assert_allclose(one, shared, atol=1e-5)
