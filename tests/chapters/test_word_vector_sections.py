"""The sections on word vectors: what their demos show, and that their recipes learn words."""

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import finding
from kerasd2l.data import Source, TokenEmbedding
from kerasd2l.training import train
from kerasd2l.training.fit import prepare

PAIRS = "cat kitten purrs,dog puppy barks,cow calf moos,king crown rules"


def shown(name, **arguments):
    return finding.load(name, **arguments).run()


def test_formulas_of_skip_gram_and_cbow():
    """Section: word2vec."""
    values = shown("word2vec_formulas").values
    errors = [value for key, value in values.items() if "by hand against automatic" in key]
    assert len(errors) == 2 and max(errors) < 1e-5
    assert values["cosine of two one-hot vectors"] == 0


def test_costs_of_the_ways_to_train():
    """Section: approx-training."""
    values = shown("approx_training", sizes=(500, 8000), pairs=256, repeats=2).values
    assert values["sum over all words of the tree's P, 500 words"] == pytest.approx(1, abs=1e-9)
    exact = values["softmax over all words: microseconds a pair"]
    assert exact[1] > 2 * exact[0]
    assert values["5 noise words: microseconds a pair"][1] < exact[1]
    assert values["mean path, 8000 words"] < np.log2(8000)


def test_the_data_of_the_real_text_is_shown(real_data):
    """Section: word-embedding-dataset."""
    result = shown("word_embedding_dataset", source="files")
    assert result.values["sentences"] == 42_068
    assert result.values["words in the vocabulary"] == 6719
    before, after = result.values['"the" before; after']
    assert before == 50_770 and 1900 < after < 2200
    assert result.values['"join" before; after'] == [45, 45]


def test_vectors_of_a_file_are_shown(tmp_path):
    """Section: similarity-analogy."""
    words = {"man": [1, 0.2, 0], "woman": [1, 0, 0.2], "son": [5, 3, 0], "daughter": [5, 2.8, 0.3]}
    TokenEmbedding(["<unk>", *words], [[0, 0, 0], *words.values()]).save(tmp_path / "v.txt")
    values = shown("similarity_analogy", file=str(tmp_path / "v.txt"), words=("son", "king")).values
    assert values["near 'son'"].startswith("daughter 0.99")
    assert values["man : woman :: son : ?"] == "daughter"
    assert values["without a vector"] == "king"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("word2vec", {"method": "skip_gram"}, marks=pytest.mark.slow),
        ("word2vec", {"method": "cbow", "outputs": "tree", "divide_by": "entries"}),
        ("fasttext", {"buckets": 200}),
        pytest.param("glove", {}, marks=pytest.mark.slow),
    ],
)
def test_words_that_stand_together_get_similar_vectors(tmp_path, name, arguments):
    """Words of one line never stand beside those of another."""
    rng = np.random.default_rng(0)
    groups = [group.split() for group in PAIRS.split(",")]
    lines = [" ".join(rng.choice(groups[i], 6)) for i in rng.integers(0, len(groups), 400)]
    (tmp_path / "ptb").mkdir()
    (tmp_path / "ptb" / "ptb.train.txt").write_text("\n".join(lines) + "\n")
    own = {"threshold": 1.0} if name != "glove" else {}
    numbers = {"embed_size": 8, "min_freq": 1, "batch_size": 128, "learning_rate": 0.1, **own}
    recipe = finding.load(name, **numbers, **arguments)
    data, model = prepare(recipe, Source("files", tmp_path), tf.distribute.get_strategy(), seed=0)
    train(model, data, epochs=2 if name != "glove" else 20)
    serve = recipe.endpoints[0].build(model, data.assets)
    for group in groups:
        found = [
            word.decode() for word in serve(word=tf.constant(group))["neighbours"].numpy()[:, 0]
        ]
        assert set(found) <= set(group)


def test_wrong_numbers_are_said():
    for name, wrong in (
        ("approx_training", {"sizes": (5,)}),
        ("word_embedding_dataset", {"max_window": 0}),
        ("subword_embedding", {"num_merges": -1}),
        ("similarity_analogy", {"k": 0}),
        ("fasttext", {"min_n": 9}),
    ):
        with pytest.raises(ValueError, match="must be"):
            finding.load(name, **wrong)
