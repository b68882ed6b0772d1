"""The checks themselves: each passes what is sound, and finds the one fault that is planted."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.data import pipeline
from kerasd2l.recipe import Data, Endpoint, Recipe, TensorSpec
from kerasd2l.testing import (
    check_data,
    check_endpoint,
    check_layer,
    check_model,
    check_recipe,
    recipes,
)
from kerasd2l.testing.elsewhere import Elsewhere, decode, encode, without_this_library

X = np.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")

# ---- Layers


class Sound(keras.layers.Layer):
    """A Dense layer with dropout that promises everything and keeps it."""

    def __init__(self, units, scale=1.0, rate=0.0, seed=None, **options):
        super().__init__(**options)
        self.units, self.scale, self.rate, self.seed = units, scale, rate, seed
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape):
        self.kernel = self.add_weight((input_shape[-1], self.units), name="kernel")

    def call(self, inputs, training=False):
        x = keras.ops.matmul(inputs, self.kernel) * self.scale
        return keras.random.dropout(x, self.rate, seed=self.generator) if training else x

    def get_config(self):
        own = {name: getattr(self, name) for name in ("units", "scale", "rate", "seed")}
        return {**super().get_config(), **own}


ARGUMENTS = {"units": 6, "scale": 0.5, "rate": 0.25, "seed": 3}


def test_a_sound_layer_passes_and_gives_its_output():
    output = check_layer(Sound, ARGUMENTS, X, mask="passes", free_axes=(0, 1))
    assert output.shape == (3, 5, 6)


def test_layers_of_keras_pass():
    check_layer(lambda units: keras.layers.Dense(units), {"units": 3}, X, mask="passes")
    check_layer(lambda axis: keras.layers.Softmax(axis), {"axis": 1}, X, free_axes=(0, 1))
    lstm = check_layer(lambda units: keras.layers.LSTM(units), {"units": 3}, X, mask="stops")
    assert lstm.shape == (3, 3)


@pytest.mark.parametrize("kind", ["list", "dict", "tuple", "by name"])
def test_several_inputs_with_axes_of_their_own(kind):
    class Join(keras.layers.Layer):
        def call(self, inputs, keys=None):
            if keys is None:
                inputs, keys = inputs.values() if isinstance(inputs, dict) else inputs
            return keras.ops.matmul(inputs, keras.ops.transpose(keys, (0, 2, 1)))

    keys = X[:, :2]
    inputs = {"list": [X, keys], "dict": {"a": X, "b": keys}, "tuple": (X, keys), "by name": X}
    output = check_layer(
        Join,
        {},
        inputs[kind],
        call_arguments={"keys": keys} if kind == "by name" else None,
        free_axes={0: (0, 1), "a": (0, 1)},
    )
    np.testing.assert_allclose(output, X @ keys.transpose(0, 2, 1), atol=1e-5)


def test_a_part_that_does_not_follow_the_dtype_of_its_layer_is_found():
    class Careless(Sound):
        def __init__(self, **options):
            super().__init__(**options)
            self.dropout = keras.layers.Dropout(0.5)  # of the process's dtype, whatever the layer's

        def call(self, inputs, training=False):
            return self.dropout(super().call(inputs, training), training=training)

    with pytest.raises(AssertionError, match=r"is float32\. Expected: bfloat16"):
        check_layer(lambda units, **o: Careless(units=units, **o), {"units": 6}, X)


class Forgetful(Sound):
    def get_config(self):
        config = super().get_config()
        del config["scale"]
        return config


class Lying(Sound):
    def get_config(self):
        return {**super().get_config(), "scale": 1.0}


class Changing(Sound):
    def __init__(self, units, scale=1.0, **options):
        super().__init__(units, scale * 2, **options)
        self.rate, self.seed = options.get("rate", 0.0), options.get("seed")


class Disconnected(Sound):
    def call(self, inputs, training=False):
        return super().call(keras.ops.stop_gradient(inputs), training) * 0 + inputs[..., :1]


class Stopped(Sound):
    def call(self, inputs, training=False):
        return inputs @ keras.ops.stop_gradient(self.kernel)


class Exploding(Sound):
    def call(self, inputs, training=False):
        return keras.ops.sqrt(keras.ops.relu(super().call(inputs, training) * 0))


class Infinite(Sound):
    def call(self, inputs, training=False):
        return super().call(inputs, training) / 0.0


class FrozenLength(Sound):
    def call(self, inputs, training=False):
        return keras.ops.zeros((3, inputs.shape[1], 1)) + super().call(inputs, training)


class WrongShape(Sound):
    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units + 1)

    def compute_output_spec(self, inputs, training=False):
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype)


class NoMask(Sound):
    def __init__(self, *values, **options):
        super().__init__(*values, **options)
        self.supports_masking = False


class Unseeded(Sound):
    def __init__(self, units, scale=1.0, rate=0.0, seed=None, **options):
        super().__init__(units, scale, rate, seed, **options)
        self.generator = keras.random.SeedGenerator()


class Wide(Sound):
    def call(self, inputs, training=False):
        return keras.ops.cast(super().call(inputs, training), "float32")


class Pinned(Sound):
    def __init__(self, units, scale=1.0, rate=0.0, seed=None, **options):
        super().__init__(units, scale, rate, seed, **{**options, "dtype": "float32"})


@keras.saving.register_keras_serializable(package="kerasd2l")
class Usurper(Sound):
    pass


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Forgetful, "get_config of Forgetful lacks scale"),
        (Lying, r"get_config\(\)\['scale'\] of Lying is 1.0 whether scale=0.5 or scale=1.0"),
        (Changing, "the configuration changes when rebuilt from itself"),
        (Disconnected, "the gradient of .*kernel is zero everywhere"),
        (Stopped, "no gradient reaches .*kernel"),
        (Exploding, "the gradient of .*kernel is not finite"),
        (Infinite, "output .*is not finite everywhere"),
        (FrozenLength, None),
        (WrongShape, r"symbolic shape \(3, 5, 7\), eager shape \(3, 5, 6\)"),
        (NoMask, "the mask of the input is lost"),
        (Unseeded, "training output of a layer with the same seed: .*largest difference"),
        (Wide, "under mixed_bfloat16 output .*is float32. Expected: bfloat16"),
        (Pinned, "under mixed_bfloat16 the layer computes in float32"),
        (Usurper, "registered as 'kerasd2l>Usurper'. Expected: under a package of its own"),
    ],
)
def test_a_fault_of_a_layer_is_found(layer, message):
    arguments = {"units": 6, "scale": 0.5} if layer is Changing else ARGUMENTS
    if layer is NoMask:
        layer = type("NoMask", (NoMask,), {"__init__": _like_sound(NoMask)})
    kinds = (AssertionError, ValueError, TypeError) if layer is FrozenLength else AssertionError
    with pytest.raises(kinds, match=message):
        check_layer(layer, arguments, X, mask="passes", free_axes=(0, 1))


def _like_sound(base):
    def __init__(self, units, scale=1.0, rate=0.0, seed=None, **options):
        base.__init__(self, units, scale, rate, seed, **options)

    return __init__


def test_a_mask_that_should_stop_is_found():
    with pytest.raises(AssertionError, match="the mask of the input is on the output"):
        check_layer(Sound, ARGUMENTS, X, mask="stops")


def test_no_gradient_excuses_a_weight_by_its_name():
    check_layer(Disconnected, ARGUMENTS, X, no_gradient=("kernel",))


def test_float32_on_purpose_can_be_said():
    check_layer(Wide, ARGUMENTS, X, mixed_precision="float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({**ARGUMENTS, "scale": 1.0}, "Received: scale=1.0, which is the default"),
        ({"units": 6, "scale": 0.5, "rate": 0.5}, "must give every argument. 'seed' is missing"),
    ],
)
def test_a_check_that_proves_nothing_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_layer(Sound, arguments, X)


# ---- Models


def small_model(last="float32", units=2):
    inputs = keras.Input((4,))
    x = keras.layers.Dense(3, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(units, dtype=last)(x))


@keras.saving.register_keras_serializable(package="tests_testing")
class Scaled(keras.Model):
    """Forgets its scale in the configuration unless it is honest."""

    def __init__(self, scale=1.0, honest=False, **options):
        super().__init__(**options)
        self.scale, self.honest = scale, honest
        self.dense = keras.layers.Dense(2, dtype="float32")
        self.hidden = keras.layers.Dense(3)

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.dense.build((None, 3))

    def call(self, inputs, training=False):
        return self.dense(self.hidden(inputs)) * self.scale

    def get_config(self):
        own = {"scale": self.scale, "honest": True} if self.honest else {"honest": False}
        return {**super().get_config(), **own}


class AcrossBatch(keras.layers.Layer):
    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)


def test_a_sound_model_passes():
    assert check_model(small_model, X[0], parameters=15 + 8).shape == (5, 2)
    check_model(lambda: Scaled(5.0, honest=True), X[0], modules=[__name__])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: small_model(last=None), "under mixed_bfloat16 output .*is bfloat16"),
        (lambda: Scaled(5.0), "get_config of Scaled lacks scale"),
        (lambda: keras.Sequential([keras.layers.Dense(2), AcrossBatch()]), "one example alone"),
        (lambda: small_model(units=3), "27 parameters. Expected: 23"),
    ],
)
def test_a_fault_of_a_model_is_found(build, message):
    with pytest.raises(AssertionError, match=message):
        check_model(build, X[0], parameters=23 if "23" in message else None, fresh=False)


def test_a_model_whose_classes_the_fresh_process_does_not_know_is_found():
    with pytest.raises(AssertionError, match="cannot be loaded in a fresh process"):
        check_model(lambda: Scaled(5.0, honest=True), X[0], modules=[])


def test_one_example_proves_no_free_batch():
    with pytest.raises(ValueError, match="at least two examples"):
        check_model(small_model, X[0][:1])


# ---- Fresh processes


def test_a_fresh_process_has_tensorflow_and_neither_keras_nor_this_library(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nprint('read', sys.stdin.read())\n"
        "for name in ('keras', 'kerasd2l'):\n"
        "    try: __import__(name)\n    except ImportError: print('no', name)\n"
        "import tensorflow as tf\nprint(float(tf.reduce_sum([1.0, 2.0])))\nsys.exit(4)\n"
    )
    for _ in range(2):
        code, log = without_this_library()(str(script), "this")
        assert code == 4
        assert "read this\nno keras\nno kerasd2l\n" in log and "3.0" in log


def test_a_script_that_dies_is_told_from_a_process_that_dies(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert without_this_library()(str(script), "")[0] == -9
    broken = Elsewhere(without=("tensorflow",))
    with pytest.raises(RuntimeError, match="the fresh process died"):
        broken(str(script), "")


@pytest.mark.slow
def test_the_fresh_process_ends_with_the_one_that_started_it(tmp_path):
    code = (
        "from kerasd2l.testing.elsewhere import Elsewhere\n"
        "there = Elsewhere(); there._start(); print(there._process.pid)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not _alive(int(done.stdout))


def _alive(pid):
    import time

    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf8") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return False
        except FileNotFoundError:
            return False
        time.sleep(0.1)
    return True


def test_nests_of_arrays_travel():
    tree = {"a": [np.arange(3, dtype="int32"), None], "b": (np.array([b"x\0", "ü"], object),)}
    back = decode(encode(tree))
    assert back["a"][1] is None and isinstance(back["b"], tuple)
    np.testing.assert_array_equal(back["a"][0], tree["a"][0])
    assert back["b"][0].tolist() == [b"x\0", "ü".encode()]


# ---- Data

ROWS = np.arange(20, dtype="float32").reshape(10, 2)


def make_data(seed=0, **changes):
    train = pipeline.from_arrays((ROWS, np.arange(10)), batch_size=4, seed=seed)
    test = pipeline.from_arrays((ROWS[:3], np.arange(3)), batch_size=2)
    values = {
        "train": train.dataset,
        "valid": None,
        "test": test.dataset,
        "features": {"x": TensorSpec((2,))},
        "assets": {"names": ["a"]},
        "size": {"train": 10, "test": 3},
        "order": train.order,
    }
    return Data(**values | changes)


def batches(x, size=4, **options):
    dataset = tf.data.Dataset.from_tensor_slices((x, np.arange(len(x))))
    return dataset.batch(size, **options)


def test_sound_data_pass():
    assert check_data(make_data).size["train"] == 10
    one_order = batches(ROWS)
    check_data(lambda: make_data(train=one_order, order=None))
    named = tf.data.Dataset.from_tensor_slices(({"x": ROWS, "y": ROWS[:, 0]},)).batch(4)
    both = {"x": TensorSpec((2,)), "y": TensorSpec(())}
    check_data(lambda: make_data(train=named, test=named, features=both, order=None,
                                 size={"train": 10, "test": 10}))  # fmt: skip


def shuffled_test():
    return make_data(test=batches(ROWS, 1).shuffle(10), size={"train": 10, "test": 10})


def other_each_time():
    return make_data(seed=int(np.random.default_rng().integers(1 << 30)))


def unstable():
    rows = tf.data.Dataset.from_tensor_slices((ROWS, np.arange(len(ROWS))))
    return make_data(order=lambda n: rows.shuffle(10).batch(4))


def doubled():
    def order(number):
        rows = np.roll(ROWS, 2 * number, 0)
        return batches(np.where(rows == 18, rows[0], rows) if number else rows)

    return make_data(order=order)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (shuffled_test, "test: another order when iterated twice again"),
        (other_each_time, r"epoch\(0\) is another one when loaded again"),
        (unstable, r"epoch\(0\) is another one when iterated again"),
        (lambda: make_data(order=lambda n: batches(ROWS)), r"epoch\(1\) has the order of epoch"),
        (doubled, r"epoch\(1\) does not hold the examples of epoch\(0\)"),
        (lambda: make_data(size={"train": 11, "test": 3}), "10 examples. `size` says 11"),
        (lambda: make_data(size={"train": 10}), "`size` is of .'train'.. Expected: the splits"),
        (lambda: make_data(features={"x": TensorSpec((3,))}), r"shape \(2,\) of an example"),
        (
            lambda: make_data(features={"x": TensorSpec((2,), "int32")}),
            "dtype float32 of|float32. E",
        ),
        (lambda: make_data(features={}), r"inputs \[\]. Expected|Expected, by `features`"),
        (
            lambda: make_data(train=batches(ROWS, 5, drop_remainder=True), order=None),
            "Expected: an unknown batch axis first",
        ),
        (
            lambda: make_data(train=batches(ROWS * np.float32([[np.nan, 1]])), order=None),
            "train batch 0 .* is not finite",
        ),
        (
            lambda: make_data(
                train=batches(ROWS).apply(tf.data.experimental.assert_cardinality(4)), order=None
            ),
            None,
        ),
        (lambda: make_data(train=batches(ROWS).filter(lambda x, y: True), order=None), "says -2"),
    ],
)
def test_a_fault_of_data_is_found(load, message):
    kinds = AssertionError if message else (AssertionError, tf.errors.FailedPreconditionError)
    with pytest.raises(kinds, match=message):
        check_data(load)


def test_assets_must_be_plain_data():
    with pytest.raises(TypeError):
        check_data(lambda: make_data(assets={"function": print}))


# ---- Endpoints


def endpoint(build, **signature):
    return Endpoint(
        "serving_default",
        signature or {"x": TensorSpec((None, 4))},
        build,
        lambda: {"x": X[0][:2]},
    )


def softmax(model, assets):
    names = assets["names"]

    def serve(x):
        probabilities = tf.nn.softmax(model(x, training=False))
        return {
            "probabilities": probabilities,
            "names": tf.gather(tf.constant(names), tf.argmax(probabilities, -1)),
        }

    return serve


NAMES = {"names": ["a", "b"]}


@pytest.mark.parametrize("name", ["serving_default", "predict"])
def test_a_sound_endpoint_passes(tmp_path, name):
    model = small_model()
    sound = dataclasses.replace(endpoint(softmax), name=name)
    answer = check_endpoint(sound, model, NAMES, tmp_path)
    logits = np.asarray(model(X[0][:2]))
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)
    assert set(answer) == {"probabilities", "names"}


def random_answer(model, assets):
    return lambda x: {"y": tf.random.uniform((tf.shape(x)[0],))}


def no_batch(model, assets):
    return lambda x: {"y": tf.reduce_sum(model(x))}


def across(model, assets):
    return lambda x: {"y": model(x) * tf.cast(tf.shape(x)[0], "float32")}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (random_answer, "largest difference"),
        (no_batch, "Expected: the batch axis first"),
        (across, "alone or among others"),
    ],
)
def test_a_fault_of_an_endpoint_is_found(tmp_path, build, message):
    with pytest.raises(AssertionError, match=message):
        check_endpoint(endpoint(build), small_model(), NAMES, tmp_path)


# ---- Recipes


def never_empty(model, assets):
    def serve(x):
        some = tf.concat([x, tf.zeros((tf.maximum(1 - tf.shape(x)[0], 0), 4))], axis=0)
        return {"y": model(some)}

    return serve


def silent(model, assets):
    return lambda text: {"y": model(tf.zeros((tf.shape(text)[0], 4)))}


READS_TEXT = Endpoint(
    "serving_default",
    {"text": TensorSpec((None,), "string")},
    silent,
    lambda: {"text": np.array([b"a", b""], object)},
)


def make_recipe(model=small_model, data=None, **changes):
    inputs = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    labels = (inputs[:, 0] > 0).astype("int32")

    def load(source):
        train = pipeline.from_arrays((inputs[:22], labels[:22]), batch_size=8, seed=1)
        test = pipeline.from_arrays((inputs[22:], labels[22:]), batch_size=8)
        return Data(
            train=train.dataset,
            valid=None,
            test=test.dataset,
            features={"x": TensorSpec((4,))},
            assets=NAMES,
            size={"train": 22, "test": 8},
            order=train.order,
        )

    values = {
        "section": "tests",
        "dataset": "rows",
        "data": data or load,
        "model": lambda data: model(),
        "optimizer": lambda: keras.optimizers.Adam(0.05),
        "loss": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": list,
        "epochs": 1,
        "batch_size": 8,
        "endpoints": (endpoint(softmax),),
        "name": "tests/rows",
    }
    return Recipe(**values | changes)


def with_tokenizer(source):
    loaded = make_recipe().data(source)
    return dataclasses.replace(loaded, assets={"tokenizer": {"level": "word"}})


def dropout_model():
    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(8, activation="relu")(inputs))
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def test_a_sound_recipe_passes(tmp_path):
    summary = check_recipe(make_recipe(), tmp_path, source=None, limit_steps=3)
    assert summary["examples"] == {"train": 22, "test": 8}
    assert {path.name for path in tmp_path.iterdir()} == {
        "one",
        "resumed",
        "replicas",
        "savedmodels",
    }


@pytest.mark.slow  # dropout_mlp in test_recipes.py does
def test_a_recipe_with_dropout_resumes_exactly_and_only_trains_on_replicas(tmp_path):
    check_recipe(make_recipe(dropout_model, endpoints=()), tmp_path, source=None)


@keras.saving.register_keras_serializable(package="tests_testing")
class SumLoss(keras.Model):
    """An own step whose loss is a plain sum: on two devices half of what it is on one."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = keras.layers.Dense(2)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, inputs, training=False):
        return self.dense(inputs)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            each = keras.losses.sparse_categorical_crossentropy(y, self(x), from_logits=True)
            loss = keras.ops.sum(each) / 8
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def forgetful_fit(training):
    """A training that resumes, but in the middle of another order of the data."""
    data = training.data
    other = dataclasses.replace(data, order=lambda number: data.epoch(number + 1))
    return dataclasses.replace(training, data=other if training.resume else data).run()


def deaf_fit(training):
    return dataclasses.replace(training, should_stop=lambda: False).run()


def by_zero(y, prediction):
    return keras.ops.cast(y, "float32") / 0.0


def infinite_metric():
    return [keras.metrics.MeanMetricWrapper(by_zero, name="ratio")]


def of_the_object(model, assets):
    """An answer that depends on which object the model is: one that was reloaded is another one."""
    return lambda x: {"y": tf.fill(tf.shape(x)[:1], float(id(model) % 1_000_003))}


def sgd():
    return keras.optimizers.SGD(0.5)


def gentle():
    return keras.optimizers.SGD(0.1)


def ill_conditioned():
    """Normalises features that hardly vary: rounding becomes most of what they say."""
    small = keras.initializers.RandomNormal(stddev=1e-5, seed=1)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(16, kernel_initializer=small, bias_initializer="ones")(inputs)
    x = keras.layers.BatchNormalization(epsilon=1e-12)(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def test_rounding_that_a_model_blows_up_is_no_fault_of_the_replicas(tmp_path, monkeypatch):
    recipe = make_recipe(ill_conditioned, endpoints=(), optimizer=gentle)
    compare, strictly = recipes._same_weights, []

    def strictly_then_fairly(found, expected, what, allowed):
        if what == "2 replicas:":
            with pytest.raises(AssertionError, match="2 replicas: weights differ by"):
                compare(found, expected, what, 1e-4)
            strictly.append(what)
        compare(found, expected, what, allowed)

    monkeypatch.setattr(recipes, "_same_weights", strictly_then_fairly)
    check_recipe(recipe, tmp_path, source=None, resume=False)
    assert strictly


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": lambda data: SumLoss(), "optimizer": sgd}, "2 replicas: weights differ by"),
        ({"fit": forgetful_fit}, "after stopping and resuming: weights differ by"),
        ({"fit": deaf_fit}, "the training does not stop when asked to"),
        ({"metrics": infinite_metric}, "train_ratio is"),
        ({"endpoints": (endpoint(of_the_object),)}, "of model.keras.*largest difference"),
        ({"endpoints": (endpoint(never_empty),)}, "answers an empty batch with {'y': 1}"),
        ({"endpoints": (READS_TEXT,), "data": with_tokenizer}, "does not say what of a text"),
    ],
)
def test_a_fault_of_a_recipe_is_found(tmp_path, changes, message):
    options = {"resume": "resum" in message or "stop" in message}
    options["replicas"] = 2 if "replicas" in message else None
    recipe = dataclasses.replace(make_recipe(), **changes)
    with pytest.raises(AssertionError, match=message):
        check_recipe(recipe, tmp_path, source=None, **options)
