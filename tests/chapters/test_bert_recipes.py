"""BERT's recipes: the loss of real predictions, and fine-tuning from a run of pre-training."""

import numpy as np
import pytest

import kerasd2l
from kerasd2l.data import Source
from kerasd2l.export import load_model
from kerasd2l.run import Run, RunError
from kerasd2l.training.fit import compile_model, fit, load_data

SMALL = {"num_hiddens": 8, "ffn_num_hiddens": 8, "num_layers": 1, "batch_size": 16}
BUILTIN = Source("builtin")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    recipe = kerasd2l.load("bert_pretraining", **SMALL, max_len=24, dropout_rate=0.3)
    run = Run(
        path=tmp_path_factory.mktemp("runs") / "bert",
        recipe=recipe.name,
        arguments=recipe.arguments,
        seed=1,
        replicas=1,
    )
    fit(recipe, run, BUILTIN, limit_steps=2, run_eagerly=True)
    return run


def test_the_loss_is_the_mean_over_real_predictions_and_places_left_empty_do_not_count():
    recipe = kerasd2l.load("bert_pretraining", **SMALL, max_len=24, dropout_rate=0)
    data = load_data(recipe, BUILTIN)
    model = recipe.model(data)
    compile_model(recipe, model)
    x, y, weights = next(iter(data.epoch(0)))
    figures = model.evaluate(
        x, y, sample_weight=weights, batch_size=16, return_dict=True, verbose=0
    )
    outputs = model(x)

    def losses(logits, labels):
        logits = np.asarray(logits, "float64")
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return -np.take_along_axis(logs, labels.numpy()[..., None], -1)[..., 0]

    real = y["mlm"].numpy() != 1
    assert 0 < real.mean() < 1
    mlm = losses(outputs["mlm"], y["mlm"])[real].mean()
    nsp = losses(outputs["nsp"], y["nsp"]).mean()
    right = np.argmax(outputs["mlm"], -1)[real] == y["mlm"].numpy()[real]
    assert figures["loss"] == pytest.approx(mlm + nsp, rel=1e-5)
    assert figures["mlm_cross_entropy"] == pytest.approx(mlm, rel=1e-5)
    assert figures["nsp_cross_entropy"] == pytest.approx(nsp, rel=1e-5)
    assert figures["mlm_accuracy"] == pytest.approx(right.mean(), rel=1e-5)


OTHERS = ("bert_single", "bert_tagging", "bert_answers", "bert_inference")


@pytest.mark.parametrize(
    "name", ["bert_pair", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_fine_tuning_begins_with_the_weights_words_and_sizes_of_a_run(name, pretrained):
    recipe = kerasd2l.load(name, weights=str(pretrained.path), batch_size=16)
    data = load_data(recipe, BUILTIN)
    vocabulary = pretrained.read("assets.json")["vocabulary"]
    assert data.assets["vocabulary"] == vocabulary
    model, before = recipe.model(data), load_model(pretrained.model)
    assert model.encoder.get_config()["num_hiddens"] == 8
    for mine, theirs in zip(model.encoder.weights, before.encoder.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    # what is evaluated later needs its own words only, not the folder of the pre-training
    later = kerasd2l.load(name, weights="gone", batch_size=16)
    known = load_data(later, Source("builtin", assets={"vocabulary": vocabulary}))
    assert known.assets == data.assets


def test_weights_of_another_recipe_or_of_no_run_are_refused(pretrained, tmp_path):
    with pytest.raises(RunError, match="is not the folder of a run"):
        load_data(kerasd2l.load("bert_single", weights=str(tmp_path)), BUILTIN)
    other = Run(path=tmp_path / "other", recipe="convolutional_neural_networks/lenet", arguments={})
    other.start()
    with pytest.raises(ValueError, match="must be the folder of a run of bert_pretraining"):
        load_data(kerasd2l.load("bert_pair", weights=str(other.path)), BUILTIN)
    with pytest.raises(RunError, match="`run` must be the folder of a run of bert_pretraining"):
        kerasd2l.load("bert_encoding", run=str(other.path)).run()


def test_the_same_word_has_two_vectors_in_two_contexts(pretrained):
    drawn = kerasd2l.load("bert_encoding").run().values
    assert drawn["encoded, alone"] == [1, 6, 128]  # the book's shapes
    assert drawn["encoded, pair"] == [1, 10, 128]
    assert drawn["distance of crane to crane"] > 0.01
    trained = kerasd2l.load("bert_encoding", run=str(pretrained.path)).run().values
    assert trained["encoded, pair"] == [1, 10, 8]
    assert trained["crane, alone"] != trained["crane, pair"]
