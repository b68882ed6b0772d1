"""fit: a recipe becomes a run folder, whole, exactly resumable, and never half of another one."""

import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys

import keras
import pytest
import small

from kerasd2l.data import Source
from kerasd2l.recipe import Recipe
from kerasd2l.run import Run, RunError, open_run
from kerasd2l.training import NonFiniteLoss, Preempted, RecipeError
from kerasd2l.training.fit import fit


def recipe(*, epochs=2, make=small.pictures, spoil=None, batch_size=8, **options):
    return Recipe(
        section="none",
        dataset="small",
        data=lambda source: small.data(seed=source.seed, spoil=spoil, batch_size=batch_size),
        model=lambda data: make(),
        optimizer=keras.optimizers.SGD,
        loss=lambda: None,
        metrics=list,
        epochs=epochs,
        batch_size=batch_size,
        name="tests/small",
        **options,
    )


def run_in(path, **options):
    return Run(path=path, recipe="tests/small", **{"seed": 5, "arguments": {}, **options})


SOURCE = Source("builtin", seed=5)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished run: path, summary, what was said."""
    path, said = tmp_path_factory.mktemp("fit") / "run", []
    summary = fit(recipe(), run_in(path), SOURCE, say=said.append)
    return path, summary, said


def test_the_folder_holds_what_run_promises(done):
    path, summary, said = done
    names = sorted(file.name for file in path.iterdir())
    assert names == [
        "assets.json",
        "checkpoints",
        "config.json",
        "curves.png",
        "data.json",
        "metrics.jsonl",
        "model.keras",
        "summary.json",
        "tensorboard",
    ]
    assert json.loads((path / "summary.json").read_text()) == summary
    events = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [event["epoch"] for event in events] == [1, 2]
    assert summary["metrics"]["test_loss"] == events[-1]["test_loss"]
    assert summary["examples"] == {"train": 37, "test": 10}
    assert (summary["epochs"], summary["seed"], summary["strategy"]) == (2, 5, "one")
    assert summary["examples_per_second"] > 0
    assert (path / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert [text.split()[:2] for text in said] == [["epoch", "1/2"], ["epoch", "2/2"]]


def test_model_keras_evaluates_to_the_summary(done):
    from kerasd2l.training import loop

    path, summary, _ = done
    model = keras.saving.load_model(path / "model.keras")
    figures = loop.evaluate(model, small.data())
    assert figures["test_loss"] == pytest.approx(summary["metrics"]["test_loss"], abs=1e-6)


def stamp(path):
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files(path)}


def files(path):
    return [file for file in sorted(path.rglob("*")) if file.is_file()]


def test_resume_of_a_finished_run_touches_nothing(done):
    path, summary, _ = done
    before, said = stamp(path), []
    for epochs in (1, 2):  # fewer than it has are no reason to begin anything either
        again = fit(recipe(epochs=epochs), run_in(path), SOURCE, resume=True, say=said.append)
        assert again == summary
    assert stamp(path) == before
    assert said == [f"{path} is finished: nothing to do"] * 2


def test_more_epochs_continue_a_finished_run(tmp_path):
    whole = fit(recipe(epochs=3), run_in(tmp_path / "whole"), SOURCE)
    fit(recipe(epochs=1), run_in(tmp_path / "parts"), SOURCE)
    parts = fit(recipe(epochs=3), run_in(tmp_path / "parts"), SOURCE, resume=True)
    assert parts["metrics"] == whole["metrics"]
    assert parts["epochs"] == 3
    a, b = (keras.saving.load_model(tmp_path / n / "model.keras") for n in ("whole", "parts"))
    assert small.difference(a, b) == 0


def test_preempted_and_resumed_equals_never_stopped(done, tmp_path):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == 2

    path = tmp_path / "run"
    with pytest.raises(Preempted):
        fit(recipe(), run_in(path), SOURCE, should_stop=stop)
    assert (path / "config.json").exists()
    assert not (path / "summary.json").exists()
    summary = fit(recipe(), run_in(path), SOURCE, resume=True)
    assert summary["metrics"] == done[1]["metrics"]
    a, b = (keras.saving.load_model(p / "model.keras") for p in (done[0], path))
    assert small.difference(a, b) == 0


@pytest.mark.slow
def test_the_speed_of_a_run_is_that_of_the_steps_that_were_timed(tmp_path):
    one = fit(recipe(epochs=1), run_in(tmp_path / "one"), SOURCE, limit_steps=1)
    assert one["examples_per_second"] is None
    assert json.loads((tmp_path / "one" / "summary.json").read_text()) == one
    two = fit(recipe(epochs=2), run_in(tmp_path / "two"), SOURCE, limit_steps=1)
    events = (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()
    speed = json.loads(events[1])["examples_per_second"]
    assert two["examples_per_second"] == pytest.approx(speed)


def test_resume_without_a_run_starts_and_says_so(tmp_path):
    said = []
    fit(recipe(epochs=1), run_in(tmp_path / "new"), SOURCE, resume=True, say=said.append)
    assert said[0] == f"nothing to resume in {tmp_path / 'new'}: starting anew"


def test_another_run_is_not_overwritten(done):
    path, _, _ = done
    before = stamp(path)
    with pytest.raises(RunError, match=r"already holds a run\. Give --resume"):
        fit(recipe(), run_in(path), SOURCE)
    for options, text in [
        ({"seed": 6}, "seed: 5 then, 6 now"),
        ({"arguments": {"learning_rate": 0.5}}, "learning_rate: None then, 0.5 now"),
        ({"options": {"precision": "mixed_float16"}}, "precision: None then, 'mixed_float16' now"),
        ({"recipe": "tests/other"}, "is a run of tests/small, not of tests/other"),
    ]:
        other = Run(path=path, **{"recipe": "tests/small", "seed": 5, **options})
        with pytest.raises(RunError) as info:
            fit(recipe(epochs=9), other, SOURCE, resume=True)
        assert text in str(info.value)
    assert stamp(path) == before


def test_a_run_that_could_not_begin_leaves_its_folder_free(tmp_path):
    """Else the corrected command would be told that the folder holds a run."""

    def wrong():
        raise ValueError("`units` must be positive. Received: units=0.")

    path = tmp_path / "run"
    path.mkdir()
    (path / "notes.txt").write_text("mine")
    with pytest.raises(RecipeError, match=r"tests/small cannot be made with .*: `units` must be"):
        fit(recipe(make=wrong), run_in(path), SOURCE)
    assert [file.name for file in path.iterdir()] == ["notes.txt"]
    fit(recipe(epochs=1), run_in(path), SOURCE)


def test_a_resume_that_could_not_begin_destroys_nothing(done):
    path, _, _ = done
    before = [file for file in files(path)]

    def wrong():
        raise ValueError("no")

    with pytest.raises(RecipeError):
        fit(recipe(make=wrong, epochs=9), run_in(path), SOURCE, resume=True)
    assert files(path) == before


def test_a_loss_that_is_no_number_leaves_no_model(tmp_path):
    def spoil(x):
        x[:] = math.inf

    with pytest.raises(NonFiniteLoss, match=r"learning rate 0\.1"):
        fit(recipe(spoil=spoil), run_in(tmp_path / "run"), SOURCE)
    names = sorted(file.name for file in files(tmp_path))
    assert names == ["assets.json", "config.json", "data.json"]


def test_a_batch_that_the_replicas_do_not_divide(tmp_path):
    strategy = small.strategy_of(2)
    with pytest.raises(ValueError, match=r"2 replicas\. Received: batch_size=9\. Try 8 or 10"):
        fit(recipe(batch_size=9), run_in(tmp_path / "run"), SOURCE, strategy=strategy)
    assert not (tmp_path / "run").exists()


def test_precision_holds_for_the_run_only(tmp_path):
    with pytest.raises(ValueError, match=r"one of float32, .* Received: 'float8'"):
        fit(recipe(), run_in(tmp_path / "a"), SOURCE, precision="float8")
    fit(recipe(epochs=1), run_in(tmp_path / "b"), SOURCE, precision="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    model = keras.saving.load_model(tmp_path / "b" / "model.keras")
    assert model.layers[1].compute_dtype == "bfloat16"
    assert model.layers[1].kernel.dtype == "float32"


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path):
    path = tmp_path / "none"
    summary = fit(recipe(epochs=1), run_in(path, writes=False), SOURCE)
    assert not path.exists()
    assert summary["epochs"] == 1


def test_a_recipe_with_its_own_fit_is_driven_by_it(tmp_path):
    asked = []

    def own(training):
        asked.append(training)
        return dataclasses.replace(training, epochs=1).run()

    fit(recipe(fit=own), run_in(tmp_path / "run"), SOURCE)
    assert asked[0].epochs == 2
    assert open_run(tmp_path / "run").read("summary.json")["epochs"] == 1


@pytest.mark.slow
def test_a_damaged_model_of_a_finished_run_is_made_again_from_its_checkpoint(tmp_path):
    path, said = tmp_path / "run", []
    summary = fit(recipe(), run_in(path), SOURCE)
    whole = keras.saving.load_model(path / "model.keras")
    content = (path / "model.keras").read_bytes()
    for damaged in (content[: len(content) // 2], content[:400] + b"?" + content[401:], b""):
        (path / "model.keras").write_bytes(damaged)
        again = fit(recipe(), run_in(path), SOURCE, resume=True, say=said.append)
        assert "is damaged: making it again" in said[0]
        assert not any(text.startswith("epoch") for text in said)  # nothing is trained
        assert again["metrics"] == summary["metrics"]
        made = keras.saving.load_model(path / "model.keras")
        assert small.difference(whole, made) == 0
        said.clear()


@pytest.mark.parametrize("content", ["[]", "{}", '{"epochs": "many"}', "3"])
def test_a_summary_that_says_nothing_is_written_again(content, done, tmp_path):
    path = shutil.copytree(done[0], tmp_path / "run")
    (path / "summary.json").write_text(content)
    assert fit(recipe(), run_in(path), SOURCE, resume=True)["epochs"] == done[1]["epochs"]


def test_what_a_killed_run_was_writing_is_cleared_at_the_next_start(tmp_path):
    path = tmp_path / "run"
    fit(recipe(epochs=1), run_in(path), SOURCE)
    for name in (".99.keras", ".summary.json.99.tmp", "checkpoints/.step-000000009.npz.99.tmp"):
        (path / name).write_bytes(b"half")
    fit(recipe(), run_in(path), SOURCE, resume=True)
    assert [file.name for file in files(path) if file.name.startswith(".")] == []


def test_the_same_data_may_lie_elsewhere_but_other_data_are_refused(tmp_path):
    path = tmp_path / "run"
    options = {"data": "files", "data_dir": "pictures"}
    fit(recipe(epochs=1), run_in(path, options=options), SOURCE)
    moved = {"data": "auto", "data_dir": str(tmp_path / "moved" / "pictures")}
    fit(recipe(), run_in(path, options=moved), SOURCE, resume=True)
    before = stamp(path)

    def fewer(source):
        data = small.data(seed=source.seed)
        return dataclasses.replace(data, size={**data.size, "train": 30})

    def others(source):
        return small.data(seed=source.seed + 1)  # another order is other data: no exact resume

    def renamed(source):
        data = small.data(seed=source.seed)
        return dataclasses.replace(data, assets={**data.assets, "class_names": ["red", "blue"]})

    for data, text in [
        (fewer, r"the data of .* have changed: 37 train examples then, 30 now"),
        (others, r"the data of .* have changed: other examples"),
        (renamed, r"these are not the data of .*: class_names differs"),
    ]:
        other = dataclasses.replace(recipe(epochs=9), data=data)
        with pytest.raises(RunError, match=text):
            fit(other, run_in(path, options=options), SOURCE, resume=True)
    assert stamp(path) == before  # config.json, too: evaluate takes the data's place from it


def test_a_second_training_in_the_same_folder_is_told_at_once_and_harms_nothing(tmp_path):
    path = tmp_path / "run"
    told = []

    def second(history):
        run = run_in(path)
        for resume in (False, True):
            with pytest.raises(RunError, match="another training is at work in") as info:
                fit(recipe(), run, SOURCE, resume=resume)
            told.append(str(info.value))

    fit(recipe(epochs=1), run_in(path), SOURCE, say=second)
    assert len(told) == 2
    assert (path / "summary.json").exists()
    assert not (path / ".lock").exists()


def test_the_death_of_the_owner_frees_the_folder(tmp_path):
    """However it dies: the operating system lets go of the lock."""
    script = (
        "import os, signal\nfrom pathlib import Path\nfrom kerasd2l.run import Run\n"
        f"run = Run(Path({str(tmp_path / 'run')!r}), 'tests/small', seed=5)\n"
        "with run.owned():\n    run.start()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False, env=os.environ)
    assert (tmp_path / "run" / ".lock").exists()
    summary = fit(recipe(epochs=1), run_in(tmp_path / "run"), SOURCE, resume=True)
    assert summary["epochs"] == 1
