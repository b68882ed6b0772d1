"""TensorBoard reads what every run writes; a resumed run has every step once."""

import json
import time

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from kerasd2l.cli import main
from kerasd2l.training.event_files import EventFiles, files, read

HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 1.0 / epoch,
        "test_loss": 2.0 / epoch,
        "train_examples": 8,
        "test_examples": 2,
        "learning_rate": 0.1,
        "examples_per_second": None,
    }
    for epoch in range(1, 6)
]


def steps(folder, tag="loss"):
    """Return step -> figures of a tag."""
    found = {}
    for path in files(folder):
        for event in read(path):
            for value in event.summary.value:
                if value.tag == tag:
                    found.setdefault(event.step, []).append(value.simple_value)
    return found


def test_each_split_has_its_figures_under_one_name(tmp_path):
    events = EventFiles(tmp_path)
    for i in range(3):
        events.write(HISTORY[: i + 1])
    assert steps(tmp_path / "train") == {1: [1.0], 2: [0.5], 3: [pytest.approx(1 / 3)]}
    assert steps(tmp_path / "test") == {1: [2.0], 2: [1.0], 3: [pytest.approx(2 / 3)]}
    assert steps(tmp_path / "train", "learning_rate") == {
        i: [pytest.approx(0.1)] for i in (1, 2, 3)
    }
    assert not steps(tmp_path / "train", "examples_per_second")  # nothing was measured
    assert not (tmp_path / "valid").exists()


def test_a_resumed_run_has_every_step_once(tmp_path):
    """Five epochs were written, the checkpoint is of the second: 3, 4, 5 come again."""
    events = EventFiles(tmp_path)
    for i in range(5):
        events.write(HISTORY[: i + 1])
    changed = [*HISTORY[:2], HISTORY[2] | {"train_loss": 7.0}]
    EventFiles(tmp_path, epochs=2).write(changed)
    assert steps(tmp_path / "train") == {1: [1.0], 2: [0.5], 3: [7.0]}
    EventFiles(tmp_path, epochs=0).write(HISTORY[:1])  # no checkpoint was whole
    assert steps(tmp_path / "train") == {1: [1.0]}


def test_what_a_kill_cut_off_is_written_again(tmp_path):
    EventFiles(tmp_path).write(HISTORY[:3])
    (path,) = files(tmp_path / "train")
    path.write_bytes(path.read_bytes()[:-5])  # in the middle of the third epoch
    EventFiles(tmp_path, epochs=3).write(HISTORY[:4])
    assert steps(tmp_path / "train") == {1: [1.0], 2: [0.5], 3: [pytest.approx(1 / 3)], 4: [0.25]}


def test_histograms_say_how_the_weights_lie(tmp_path):
    weight = keras.Variable(np.linspace(-1, 1, 300).reshape(3, 100), name="kernel")
    EventFiles(tmp_path).write(HISTORY[:1], [weight])
    (path,) = files(tmp_path / "train")
    (histogram,) = [v.histo for e in read(path) for v in e.summary.value if v.HasField("histo")]
    assert (histogram.min, histogram.max, histogram.num) == (-1, 1, 300)
    assert sum(histogram.bucket) == 300
    assert len(histogram.bucket_limit) == len(histogram.bucket) == 30
    assert histogram.sum_squares == pytest.approx(np.square(weight.numpy()).sum())


def test_tensorboard_reads_a_run(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "run"
    words = ["train", "mlp", "--data", "builtin", "--epochs", "2", "--limit-steps", "2"]
    result = CliRunner().invoke(main, [*words, "--tensorboard", "--out", str(out)])
    assert result.exit_code == 0, result.output
    history = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for split in ("train", "test"):
        there = reader.EventAccumulator(str(out / "tensorboard" / split)).Reload()
        for name in ("loss", "accuracy"):
            shown = [(event.step, event.value) for event in there.Scalars(name)]
            assert shown == [
                (event["epoch"], pytest.approx(event[f"{split}_{name}"])) for event in history
            ]
    whole = {"histograms": 0}  # else a single one is kept
    train = reader.EventAccumulator(str(out / "tensorboard" / "train"), whole).Reload()
    tags = train.Tags()["histograms"]
    assert any("kernel" in tag for tag in tags)
    assert [event.step for event in train.Histograms(tags[0])] == [1, 2]


def test_an_epoch_costs_next_to_nothing(tmp_path):
    events = EventFiles(tmp_path)
    events.write(HISTORY[:1])
    began = time.process_time()
    for i in range(1, 5):
        events.write(HISTORY[: i + 1])
    assert (time.process_time() - began) / 4 < 0.01
