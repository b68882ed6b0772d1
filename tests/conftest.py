"""Four logical CPU devices for every test process, made before TensorFlow starts to compute."""

import gc
import os
import random
import signal
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["MPLBACKEND"] = "Agg"

import keras
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from kerasd2l.export import check
from kerasd2l.testing.elsewhere import without_this_library

CPU_DEVICES = 4
pytest_plugins = ["exports"]

# A shell starts what it puts in the background with these ignored; tests send them to themselves.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _number in (signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)

tf.get_logger().setLevel("ERROR")  # retracing is what tests do
(_cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(
    _cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(CPU_DEVICES)]
)
# TensorFlow starts now: a recipe that a test trains in this process must not set the threads, and
# thereby how sums are rounded, of the tests that follow.
tf.config.list_logical_devices()


def pytest_addoption(parser):
    parser.addoption("--tenth", type=int, metavar="N", help="Run every tenth test, from test N on.")


@pytest.hookimpl(trylast=True)  # after -m and -k have chosen
def pytest_collection_modifyitems(config, items):
    """Keep a tenth of the tests: CI takes another tenth of the slow ones each time."""
    tenth = config.getoption("--tenth")
    if tenth is not None:
        kept = items[tenth % 10 :: 10]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def pytest_collection_finish():
    """Leave what was imported to no collector: it would walk through TensorFlow in every test."""
    gc.collect()
    gc.freeze()
    # With nothing that lives long, Python looks through all that is new after every 70,000th new
    # object: a tenth of the time of a test that traces graphs. `free_memory` does that instead.
    gc.set_threshold(100_000, 50, 1000)


@pytest.fixture(scope="module", autouse=True)
def same_state():
    """A file of tests begins with the same random numbers, and without kernels of those before."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def same_seed():
    """A test begins with the same random numbers whichever tests its process ran before.

    TensorFlow's own `set_seed` forgets all kernels, too, for the sake of random operations that
    keep a state, of which nothing here has any: a graph that a file of tests shares would be made
    ready anew in every test, for up to a second.
    """

    def set_seed(seed):
        state = context.context()
        state._seed, state._rng = seed, random.Random(seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.random, "set_seed", set_seed)
        keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def free_memory():
    """Models are cycles of references: hundreds of megabytes wait for the collector.

    What is left lives on for other tests: the next time it need not be walked through.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def quick_checks_of_exports():
    """Check exports in forks of one process without this library: a start takes seconds of it.

    `tests/export/test_fresh_check.py` starts processes as the program does.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "_start", lambda *request: without_this_library()(*request))
        yield


@pytest.fixture(scope="session")
def real_data():
    """The folder of the real data sets, $KERASD2L_DATA; skips the test where there is none."""
    folder = os.environ.get("KERASD2L_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("KERASD2L_DATA names no folder")
    return Path(folder)


@pytest.fixture
def no_real_data(monkeypatch):
    """Hide $KERASD2L_DATA: the test must do with what comes with the dependencies."""
    monkeypatch.delenv("KERASD2L_DATA", raising=False)
