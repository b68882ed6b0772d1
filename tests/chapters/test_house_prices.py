import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from kerasd2l import load
from kerasd2l.chapters.multilayer_perceptrons.kaggle_house_price import write_submission
from kerasd2l.cli import main
from kerasd2l.data import Source
from kerasd2l.data.sets import kaggle_house
from kerasd2l.export import load_model
from kerasd2l.metrics import LogRMSE
from kerasd2l.run import Run
from kerasd2l.testing import check_endpoint
from kerasd2l.training.fit import fit


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run on the built-in table: (folder, summary, data)."""
    recipe = load("house_prices", k=3, epochs=6, learning_rate=2000.0)
    folder = tmp_path_factory.mktemp("house_prices") / "run"
    source = Source("builtin", seed=1)
    summary = fit(recipe, Run(folder, recipe.name, recipe.arguments, seed=1), source)
    return folder, summary, recipe.data(source)


def test_every_house_is_validated_once_and_the_figure_is_the_mean_of_the_folds(run):
    folder, summary, _ = run
    assert summary["examples"] == {"train": 400, "valid": 400}
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert len(events) == 6
    for event in events:
        assert len(event["folds"]["valid_log_rmse"]) == 3
        assert event["valid_log_rmse"] == pytest.approx(np.mean(event["folds"]["valid_log_rmse"]))
    assert summary["metrics"]["valid_log_rmse"] == events[-1]["valid_log_rmse"]
    # the folds' models are new ones: each starts as bad as the final one
    assert min(events[0]["folds"]["train_log_rmse"]) > 0.5 * events[0]["train_log_rmse"]


def test_the_submission_holds_the_final_models_prices(run):
    folder, _, houses = run
    submission = pd.read_csv(folder / "submission.csv")
    assert list(submission) == ["Id", "SalePrice"]
    assert submission["Id"].tolist() == list(range(401, 501))
    kernel, bias = load_model(folder / "model.keras").get_weights()
    prices = houses.x_unknown.astype(np.float64) @ kernel + bias
    np.testing.assert_allclose(submission["SalePrice"], prices[:, 0], rtol=1e-5, atol=0.02)


def test_raw_rows_give_the_price_that_the_encoded_rows_give(run, tmp_path):
    folder, _, houses = run
    (endpoint,) = load("house_prices").endpoints
    model = load_model(folder / "model.keras")
    answer = check_endpoint(endpoint, model, houses.assets, tmp_path)
    rows = kaggle_house.example_rows()
    table = pd.DataFrame(rows).replace("NA", None)
    expected = model(kaggle_house.Encoding(**houses.assets)(table))
    np.testing.assert_allclose(answer["price"], np.asarray(expected)[:, 0], rtol=1e-5)


def test_learning_beats_the_same_price_for_all(run):
    _, summary, houses = run
    y = houses.y
    constant = LogRMSE()
    constant.update_state(y, np.full_like(y, np.exp(np.log(y).mean())))
    assert summary["metrics"]["valid_log_rmse"] < 0.9 * float(constant.result())


@pytest.mark.slow
def test_five_folds_of_the_real_houses(real_data, tmp_path):
    recipe = load("house_prices")
    summary = fit(recipe, Run(tmp_path / "run", recipe.name, seed=0), Source("files", real_data))
    # inventory 4.11, zhPT: valid .156864, .188812, .168171, .154694, .182928, mean .170293
    assert summary["metrics"]["valid_log_rmse"] == pytest.approx(0.1703, abs=0.003)
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    folds = [0.156864, 0.188812, 0.168171, 0.154694, 0.182928]
    np.testing.assert_allclose(last["folds"]["valid_log_rmse"], folds, atol=0.005)
    assert summary["metrics"]["train_log_rmse"] == pytest.approx(0.1624, abs=0.003)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "k=1"], 2, "`k` must be at least 2"),
        (["--set", "weight_decay=-1"], 2, "`weight_decay` must be 0 or a positive number"),
        (["--set", "k=401"], 1, "`k` must be 2 to 400"),
        (["--data", "files", "--data-dir", "/nowhere"], 1, "lacks train.csv, test.csv"),
    ],
)
def test_what_cannot_be_trained_is_told_with_an_exit_code(words, code, message, tmp_path):
    words = ["train", "house_prices", "--data", "builtin", "--out", str(tmp_path / "r"), *words]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == code, done.output
    assert message in " ".join(done.output.split())


def test_submission_refuses_what_is_no_price(tmp_path):
    with pytest.raises(ValueError, match=r"2 ids\. Received: 1 prices"):
        write_submission(tmp_path / "s.csv", ["1", "2"], [[1.0]])
    with pytest.raises(ValueError, match="0 of them finite"):
        write_submission(tmp_path / "s.csv", ["1"], [np.nan])
    assert not list(tmp_path.iterdir())
    write_submission(tmp_path / "s.csv", ["1461"], [[169277.0524984]])
    assert (tmp_path / "s.csv").read_text() == "Id,SalePrice\n1461,169277.05\n"
