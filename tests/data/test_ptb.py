"""Penn Treebank for word vectors: the book's numbers, its functions as twins, and exact epochs."""

import collections
import itertools
import random
import tracemalloc
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from kerasd2l import scratch
from kerasd2l.data import DataError, Source, Vocab, huffman, ptb, word_windows
from kerasd2l.data.word_windows import Sentences
from kerasd2l.testing import check_data

TEXT = "the cat sat on the mat\na dog sat\n\nthe end\n" * 30


def source(tmp_path, text=TEXT, **options):
    (tmp_path / "ptb").mkdir(exist_ok=True)
    (tmp_path / "ptb" / "ptb.train.txt").write_text(text)
    return Source("files", tmp_path, **options)


@pytest.mark.parametrize(
    ("inputs", "outputs"), [("center", "noise"), ("contexts", "tree"), ("subwords", "noise")]
)
def test_epochs_repeat_themselves_whatever_predicts_what(tmp_path, inputs, outputs):
    numbers = {"inputs": inputs, "outputs": outputs, "min_freq": 1, "threshold": 0.1}

    def load():
        return ptb.load(source(tmp_path), batch_size=64, **numbers)

    data = check_data(load, augmented=True)
    x, labels, weights = next(iter(data.epoch(3)))
    real = x["outputs"].numpy() > 0
    assert labels.shape == weights.shape == real.shape
    assert not labels.numpy()[~real].any() and not weights.numpy()[~real].any()
    assert (weights.numpy()[real] > 0).all()
    assert x["inputs"].shape.rank == (1 if inputs == "center" else 2)


def test_pairs_of_words_are_shuffled_and_each_comes_once(tmp_path):
    check_data(lambda: ptb.load_cooccurrences(source(tmp_path), batch_size=10, min_freq=1))


def test_batches_are_the_words_around_the_center_and_words_that_are_not(tmp_path):
    data = ptb.load(source(tmp_path), batch_size=50, max_window=2, min_freq=1, threshold=1.0)
    words = data.assets["vocabulary"]
    near = collections.defaultdict(set)
    for line in TEXT.split("\n"):
        line = line.split()
        for i, word in enumerate(line):
            near[word] |= {*line[max(0, i - 2) : i], *line[i + 1 : i + 3]}
    seen = collections.defaultdict(set)
    for x, labels, _ in data.epoch(0):
        for center, outputs, right in zip(
            x["inputs"].numpy(), x["outputs"].numpy(), labels.numpy(), strict=True
        ):
            contexts, noise = outputs[right == 1], outputs[(right == 0) & (outputs > 0)]
            assert 1 <= len(contexts) <= 4 and len(noise) == 5 * len(contexts)
            assert not set(contexts) & set(noise)
            seen[words[center]] |= {words[i] for i in contexts}
    assert seen == near


def test_zip_and_text_hold_the_same_and_other_files_are_named(tmp_path):
    plain = ptb.lines(source(tmp_path))
    packed = tmp_path / "packed" / "ptb" / "ptb.zip"
    packed.parent.mkdir(parents=True)
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("ptb/ptb.test.txt", "no\n")
        file.writestr("ptb/ptb.train.txt", TEXT)
    assert ptb.lines(Source("files", tmp_path / "packed")) == plain == TEXT.split("\n")[:-1]
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("ptb/ptb.test.txt", "no\n")
    with pytest.raises(DataError, match="has no file of the kind"):
        ptb.lines(Source("files", tmp_path / "packed"))
    with pytest.raises(DataError, match=r"ptb\.train\.txt is empty"):
        ptb.lines(source(tmp_path, " \n"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_window": 0}, "`max_window` must be at least 1"),
        ({"num_noise_words": 0}, "`num_noise_words` must be"),
        ({"threshold": 0.0}, "`threshold` must be a positive number"),
        ({"min_freq": 1000}, "`min_freq` leaves no token"),
        ({"threshold": 1e-12}, "no sentence keeps two words"),
    ],
)
def test_what_leaves_nothing_to_learn_is_said(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        ptb.load(source(tmp_path), **{"min_freq": 1, **arguments})


def test_an_earlier_runs_words_keep_their_numbers(tmp_path):
    before = ptb.load(source(tmp_path), min_freq=1, threshold=1.0).assets
    other = source(tmp_path, "end the new dog\n" * 9, assets=before)
    assert ptb.load(other, min_freq=1, threshold=1.0).assets["vocabulary"] == before["vocabulary"]


# The fast functions and the book's.


def test_thinning_keeps_words_as_often_as_the_books():
    rng = np.random.default_rng(0)
    ids = rng.choice(6, 40_000, p=[0.1, 0.5, 0.2, 0.15, 0.04, 0.01])
    text = Sentences(ids.astype(np.int32), np.full(4000, 10))
    thinned, counts = word_windows.subsample(text, 6, threshold=1e-2)
    assert counts.tolist() == [0, *np.bincount(ids)[1:].tolist()]
    assert thinned.lengths.min() >= 2 and (thinned.ids > 0).all()
    share = counts / counts.sum()
    by_formula = np.minimum(np.sqrt(1e-2 / share[1:]), 1)
    np.testing.assert_allclose(word_windows.keep_probability(counts, 1e-2)[1:], by_formula)
    names = {str(i): int(counts[i]) for i in range(1, 6)}
    lines = [[str(i) for i in row] for row in ids.reshape(4000, 10)]
    by_hand = scratch.subsample_scratch(lines, names, random.Random(0))
    left = collections.Counter(itertools.chain.from_iterable(by_hand))
    kept = np.minimum(np.sqrt(1e-4 / share[1:]), 1) * counts[1:]
    np.testing.assert_allclose(
        [left[str(i)] for i in range(1, 6)], kept, atol=5 * kept.max() ** 0.5
    )


def test_windows_of_one_are_the_books_and_larger_ones_have_their_sizes():
    """Nothing is drawn in a window of 1: the same neighbours, in the same order."""
    rng = np.random.default_rng(0)
    lines = [rng.integers(1, 50, size) for size in rng.integers(2, 9, 60)]
    text = Sentences(np.concatenate(lines).astype(np.int32), np.array([len(x) for x in lines]))

    def neighbours(window, seed):
        drawn = word_windows.draw_contexts(
            text.ids, *text.places(), max_window=window, seed=[seed, 0]
        )
        return [[i for i in row if i] for row in drawn.numpy()]

    centers, contexts = scratch.get_centers_and_contexts(lines, 1, random.Random(0))
    assert text.ids.tolist() == centers and neighbours(1, 0) == contexts
    sizes = np.zeros(9)
    middle = Sentences(np.arange(1, 10, dtype=np.int32), np.array([9]))
    for seed in range(300):
        drawn = word_windows.draw_contexts(
            middle.ids, *middle.places(), max_window=4, seed=[seed, 1]
        )
        row = drawn.numpy()[4]
        near = [i for i in row if i]
        sizes[len(near)] += 1
        assert near == [i for i in range(5 - len(near) // 2, 6 + len(near) // 2) if i != 5]
    np.testing.assert_allclose(sizes[[2, 4, 6, 8]] / 300, 0.25, atol=0.1)


def test_noise_words_come_as_often_as_their_power_says_and_are_no_neighbours():
    counts = [0, 81, 16, 0, 1, 256]
    noise = word_windows.Noise(counts)
    weights = np.array(counts) ** 0.75
    np.testing.assert_allclose(noise.probabilities, weights / weights.sum())
    drawn = np.bincount(noise.draw((60_000,), [1, 2]), minlength=6) / 60_000
    np.testing.assert_allclose(drawn, weights / weights.sum(), atol=0.01)
    by_hand = scratch.RandomGenerator(weights[1:].tolist(), random.Random(0))
    hand = np.bincount([by_hand.draw() for _ in range(60_000)], minlength=6) / 60_000
    np.testing.assert_allclose(hand, drawn, atol=0.015)
    targets = tf.constant([[1, 5], [2, 0]] * 500)
    found = word_windows.draw_negatives(noise, targets, 5, [3, 4]).numpy()
    assert set(found[::2].ravel()) == {2, 4}
    assert set(found[1::2, :5].ravel()) == {1, 4, 5} and not found[1::2, 5:].any()
    assert not set(scratch.get_negatives([[1, 5]] * 50, by_hand, 5)[0]) & {1, 5}


def test_where_every_word_is_a_neighbour_there_is_no_noise_and_no_endless_search():
    found = word_windows.draw_negatives(
        word_windows.Noise([0, 1, 1]), tf.constant([[1, 2]]), 3, [0, 0]
    )
    assert found.numpy().tolist() == [[0] * 6]


@pytest.mark.parametrize("seed", range(5))
def test_an_alias_table_draws_exactly_its_probabilities(seed):
    rng = np.random.default_rng(seed)
    counts = np.where(rng.random(300) < 0.3, 0, rng.pareto(0.5, 300))
    noise = word_windows.Noise(counts)
    total = np.zeros(300)
    np.add.at(total, np.arange(300), noise._stay)
    np.add.at(total, noise._alias, 1 - noise._stay)
    np.testing.assert_allclose(total / 300, noise.probabilities, atol=1e-6)


def test_a_batch_by_hand_has_the_books_masks_and_labels():
    """Section: word-embedding-dataset, printed in the book."""
    rows = [(1, [2, 2], [3, 3, 3, 3]), (1, [2, 2, 2], [3, 3])]
    centers, outputs, masks, labels = scratch.batchify(rows)
    assert centers == [[1], [1]]
    assert outputs == [[2, 2, 3, 3, 3, 3], [2, 2, 2, 3, 3, 0]]
    assert masks == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]
    assert labels == [[1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]]


def test_weights_make_a_mean_over_what_is_real():
    mask = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    losses = np.array([[1, 2, 9, 9], [5, 9, 9, 9]])
    centers = word_windows.weigh(tf.constant(mask), "centers").numpy()
    assert (losses * centers).mean() == pytest.approx((1.5 + 5) / 2)
    entries = word_windows.weigh(tf.constant(mask), "entries").numpy()
    assert (losses * entries).mean() == pytest.approx(8 / 3)


def test_cooccurrences_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    lines = [rng.integers(0, 7, size) for size in [5, 1, 0, 12, 30]]
    text = Sentences(np.concatenate(lines).astype(np.int32), np.array([len(x) for x in lines]))
    expected = np.zeros((7, 7))
    for line in lines:
        for i, j in itertools.permutations(range(len(line)), 2):
            if abs(i - j) <= 4 and line[i] and line[j]:
                expected[line[i], line[j]] += 1 / abs(i - j)
    words, contexts, counts = word_windows.cooccurrences(text, 7, window=4)
    found = np.zeros((7, 7))
    found[words, contexts] = counts
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert (counts > 0).all()


def test_huffmans_paths_are_the_shortest_and_no_word_is_on_the_way_to_another():
    counts = np.array([0, 45, 13, 12, 16, 9, 5])  # Cormen et al.: 224 bits in all
    nodes, turns = huffman.huffman_paths(counts)
    lengths = (nodes > 0).sum(1)
    assert lengths.tolist() == [0, 1, 3, 3, 3, 4, 4] and (lengths @ counts) == 224
    assert sum(0.5 ** lengths[1:]) == 1
    paths = {tuple(turn[:n]) for turn, n in zip(turns[1:], lengths[1:], strict=True)}
    assert len(paths) == 6
    assert set(nodes[1:, 0]) == {1} and set(nodes.ravel()) == set(range(6))
    rng = np.random.default_rng(0)
    nodes, turns = huffman.huffman_paths(rng.integers(0, 1000, 500))
    logits = rng.normal(size=501)
    chance = 1 / (1 + np.exp(-np.where(turns == 1, logits[nodes], -logits[nodes])))
    there = nodes[:, 0] > 0
    assert np.where(nodes > 0, chance, 1).prod(1)[there].sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="`counts` must have two words"):
        huffman.huffman_paths([0, 3])


# The real files.


@pytest.mark.slow
def test_real_ptb_has_the_books_numbers_and_is_soon_read(real_data):
    """Section: word-embedding-dataset. The book: 50770 -> 2056 (2010), 45 -> 45, 1503420 pairs."""
    real = Source("files", real_data)
    assert len(ptb.read_ptb(real)) == 42_068
    tracemalloc.start()
    text, vocab = ptb.sentences(real)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 5_101_618
    assert (len(text.ids), len(vocab)) == (887_521, 6719)
    thinned, counts = word_windows.subsample(text, len(vocab))
    left = thinned.counts(len(vocab))
    the, join = vocab["the"], vocab["join"]
    assert (counts[the], counts[join], left[join]) == (50_770, 45, 45)
    assert 1900 < left[the] < 2200
    pairs = word_windows.draw_contexts(thinned.ids, *thinned.places(), max_window=5, seed=[0, 0])
    assert np.count_nonzero(pairs) == pytest.approx(1_503_420, rel=0.01)
    data = ptb.load(real)
    x, labels, weights = next(iter(data.epoch(0)))
    assert x["inputs"].shape == (512,)
    assert x["outputs"].shape == labels.shape == weights.shape == (512, 60)
    assert isinstance(vocab, Vocab)
