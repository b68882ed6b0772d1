"""Beam search against slow searches in plain Python, and the signatures of a translator."""

import itertools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.data.sets import translation
from kerasd2l.decoding import beam_search
from kerasd2l.endpoints import translate, translator
from kerasd2l.export import export, verify
from kerasd2l.models import seq2seq
from kerasd2l.serving import InputError, load
from kerasd2l.testing import check_endpoint

END = 3  # <unk> 0, <pad> 1, <bos> 2, <eos> 3
NEVER = (1, 2)


class Table:
    """A decoder whose next token depends on all tokens before it, and on the sentence."""

    def __init__(self, logits, size):
        self.logits = tf.constant(logits, tf.float32)  # (B, codes of prefixes, V)
        self.size = size

    def encode(self, source, lengths):
        rows = tf.range(tf.shape(source)[0])
        return {"row": rows, "code": tf.fill(tf.shape(rows), -1)}

    def decode(self, tokens, state):
        code = tf.where(state["code"] < 0, 0, state["code"] * self.size + tokens[:, 0] + 1)
        places = tf.stack([state["row"], code % self.logits.shape[1]], axis=1)
        return tf.gather_nd(self.logits, places)[:, None], {**state, "code": code}


def table(batch, size, codes, seed=0):
    logits = np.random.RandomState(seed).normal(0, 2, (batch, codes, size)).astype("float32")
    return Table(logits, size), logits


def next_log_probs(logits, row, prefix, size):
    """Do in numpy what `Table.decode` does."""
    code = 0
    for token in prefix:
        code = code * size + token + 1
    values = logits[row, code % logits.shape[1]].astype("float64")
    values = values - values.max()
    found = values - np.log(np.sum(np.exp(values)))
    found[list(NEVER)] = -np.inf
    return found


def slow_beam(step, k, steps, exponent):
    """Search with lists; `step(prefix)` gives the log-probabilities of the next token."""
    live, finished = [((), 0.0)], []
    for _ in range(steps):
        scored = [
            ((*prefix, token), total + log_prob)
            for prefix, total in live
            for token, log_prob in enumerate(step(prefix))
            if log_prob > -np.inf
        ]
        scored.sort(key=lambda item: -item[1])
        best = scored[: k - len(finished)]
        finished += [item for item in best if item[0][-1] == END]
        live = [item for item in best if item[0][-1] != END]
        if not live:
            break
    ranked = [(total / len(ids) ** exponent, ids, total) for ids, total in finished + live]
    return sorted(ranked, key=lambda item: -item[0])


def every_sequence(step, size, steps, exponent):
    """Score all sequences that end, or are as long as allowed."""
    for length in range(1, steps + 1):
        for ids in itertools.product(range(size), repeat=length):
            ends = ids[-1] == END
            if END in ids[:-1] or (length < steps and not ends) or set(ids) & set(NEVER):
                continue
            total = sum(step(ids[:i])[token] for i, token in enumerate(ids))
            yield total / length**exponent, ids


def search(model, batch, **arguments):
    def step(token, state):
        logits, state = model.decode(token[:, None], state)
        return logits[:, 0], state

    state = model.encode(np.zeros((batch, 2), "int32"), np.ones(batch, "int32"))
    found = beam_search(step, state, **arguments)
    return {key: value.numpy() for key, value in found.items()}


def sequence(found, row, place=0):
    return tuple(found["ids"][row, place, : found["lengths"][row, place]].tolist())


@pytest.mark.parametrize(("k", "exponent"), [(1, 0.0), (2, 0.75), (4, 0.75), (7, 1.0)])
def test_as_a_slow_search_on_fifty_sentences(k, exponent):
    size, steps = 9, 8
    model, logits = table(50, size, 997)
    found = search(model, 50, beam_size=k, max_steps=steps, length_exponent=exponent)
    for row in range(50):
        slow = slow_beam(
            lambda p, row=row: next_log_probs(logits, row, p, size), k, steps, exponent
        )
        assert len(slow) == k
        np.testing.assert_allclose(found["scores"][row], [item[0] for item in slow], rtol=1e-5)
        np.testing.assert_allclose(found["log_probs"][row], [item[2] for item in slow], rtol=1e-5)
        assert [sequence(found, row, i) for i in range(k)] == [item[1] for item in slow]


@pytest.mark.parametrize("exponent", [0.0, 0.75, 2.0])
def test_a_beam_as_wide_as_the_tree_misses_nothing(exponent):
    size, steps = 6, 4
    model, logits = table(5, size, 10007)
    found = search(model, 5, beam_size=400, max_steps=steps, length_exponent=exponent)
    narrow = search(model, 5, beam_size=3, max_steps=steps, length_exponent=exponent)
    for row in range(5):
        step = lambda prefix, row=row: next_log_probs(logits, row, prefix, size)  # noqa: E731
        everything = sorted(every_sequence(step, size, steps, exponent), reverse=True)
        there = np.isfinite(found["scores"][row])
        assert there.sum() == len(everything)  # every sequence once, and no other
        np.testing.assert_allclose(
            found["scores"][row][there], [item[0] for item in everything], rtol=1e-5, atol=1e-6
        )
        assert sequence(found, row) == everything[0][1]
        assert narrow["scores"][row, 0] <= found["scores"][row, 0] + 1e-6


def test_one_place_is_the_greedy_choice():
    size, steps = 9, 6
    model, logits = table(30, size, 997, seed=4)
    found = search(model, 30, beam_size=1, max_steps=steps)
    lengths = set()
    for row in range(30):
        ids: list[int] = []
        while len(ids) < steps and END not in ids:
            ids.append(int(np.argmax(next_log_probs(logits, row, ids, size))))
        assert sequence(found, row) == tuple(ids)
        lengths.add(len(ids))
    assert len(lengths) > 3  # some end at once, some never do


def test_the_books_example():
    # greedy takes 0.5 0.4 0.4 0.6 = 0.048, though 0.5 0.3 0.6 0.6 = 0.054 (d2l, "beam-search")
    a, b, c = 4, 5, 6
    chances = {
        (): {a: 0.5, b: 0.2, c: 0.2, END: 0.1},
        (a,): {a: 0.1, b: 0.4, c: 0.3, END: 0.2},
        (a, b): {a: 0.2, b: 0.2, c: 0.4, END: 0.2},
        (a, c): {a: 0.1, b: 0.6, c: 0.2, END: 0.1},
        (a, b, c): {a: 0.0, b: 0.2, c: 0.2, END: 0.6},
        (a, c, b): {a: 0.1, b: 0.2, c: 0.1, END: 0.6},
    }
    size, codes = 7, 10007
    logits = np.full((1, codes, size), -50.0)
    logits[:, :, [END, a, b, c]] = np.log(0.25)
    for prefix, row in chances.items():
        code = 0
        for token in prefix:
            code = code * size + token + 1
        for token, chance in row.items():
            logits[0, code, token] = math.log(chance) if chance else -50.0
    model = Table(logits, size)
    greedy = search(model, 1, beam_size=1, max_steps=4)
    assert sequence(greedy, 0) == (a, b, c, END)
    assert np.exp(greedy["log_probs"][0, 0]) == pytest.approx(0.048, rel=1e-5)
    assert greedy["scores"][0, 0] == pytest.approx(math.log(0.048) / 4**0.75, rel=1e-5)
    beam = search(model, 1, beam_size=4, max_steps=4)
    assert sequence(beam, 0) == (a, c, b, END)
    assert np.exp(beam["log_probs"][0, 0]) == pytest.approx(0.054, rel=1e-5)
    # without the reward for length, to say nothing is the most probable: 0.1
    short = search(model, 1, beam_size=100, max_steps=4, length_exponent=0.0)
    assert np.exp(short["scores"][0, 0]) == pytest.approx(0.1, rel=1e-5)


@pytest.fixture(scope="module")
def trained():
    """A small model that has seen a little, so that its sentences end."""
    loaded = translation.load("builtin", num_steps=7, num_examples=600)
    keras.utils.set_random_seed(0)
    model = seq2seq(
        len(loaded.assets["source_vocabulary"]),
        len(loaded.assets["target_vocabulary"]),
        num_hiddens=24,
        num_layers=1,
    )
    model.compile(
        keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.fit(loaded.train, epochs=4, verbose=0)
    return model, loaded.assets


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    model, assets = trained
    return export(
        model, "tests/translator", translator(), assets, tmp_path_factory.mktemp("m"), name="t"
    )


@pytest.fixture(scope="module")
def served(folder):
    return load(folder)


def sentences(count=50):
    return [english for english, _ in translation.pairs("builtin")["test"][:count]]


@pytest.mark.slow
def test_beam_scores_of_a_model_as_a_slow_search_on_fifty_sentences(trained):
    model, assets = trained
    vocab = {token: i for i, token in enumerate(assets["source_vocabulary"])}
    texts = sentences()
    found = translate(model, assets, texts, beam_size=4, length_exponent=0.75)
    lines = [[vocab.get(word, 0) for word in translation.TOKENIZER(text)] for text in texts]
    encoder = tf.function(model.encode, reduce_retracing=True)
    decoder = tf.function(model.decode)

    def slow(ids):
        ids = [*ids, END][:7]
        padded = np.array([ids + [1] * (7 - len(ids))], "int32")
        state = encoder(padded, np.array([len(ids)], "int32"))
        known = {(): decoder(np.array([[2]], "int32"), state)}

        def step(prefix):
            if prefix not in known:
                known[prefix] = decoder(np.array([prefix[-1:]], "int32"), known[prefix[:-1]][1])
            values = known[prefix][0].numpy()[0, 0].astype("float64")
            log_probs = values - values.max() - np.log(np.sum(np.exp(values - values.max())))
            log_probs[list(NEVER)] = -np.inf
            return log_probs

        return slow_beam(step, 4, 7, 0.75)[0]

    for ids, (text, score) in zip(lines, found, strict=True):
        expected, tokens, _ = slow(ids)
        assert score == pytest.approx(expected, abs=1e-5)
        words = [assets["target_vocabulary"][token] for token in tokens if token != END]
        assert text == " ".join(words)


def test_a_translator_is_served_as_it_is_used_here(trained, folder, served):
    model, assets = trained
    assert verify(folder, model, translator(), assets)["serving_default/score"] < 1e-5
    texts = sentences(20)
    for k in (1, 4):
        settings = [f"beam_size={k}", "length_exponent=0.75"]
        answer = served.predict(texts, None, settings)
        here = translate(model, assets, texts, beam_size=k)
        assert answer["translation"].tolist() == [text for text, _ in here]
        np.testing.assert_allclose(answer["score"], [score for _, score in here], atol=1e-5)
    plain = served.predict(texts)
    assert plain["translation"].tolist() == [text for text, _ in here]  # a beam of 4
    assert "translate: text string[any], beam_size int32[] = 4" in served.describe()


def test_any_batch(trained, tmp_path):
    answer = check_endpoint(translator()[0], *trained, tmp_path)
    assert answer["translation"].shape == (3,) and answer["score"].dtype == np.float32


def test_texts_that_a_person_may_send(served):
    answer = served.predict(
        ["", "   ", "qwxyz", "25  MAY 2014", "may 2014 " * 20, "a" * 10000, "\udcff \u2028 \x00"]
    )
    found = dict(zip(["empty", "blank", "unknown", "date", "long"], range(5), strict=True))
    for name in ("empty", "blank"):
        assert answer["translation"][found[name]] == "" and answer["score"][found[name]] == 0
    assert np.all(np.isfinite(answer["score"])) and np.all(answer["score"] <= 0)
    assert answer["score"][found["unknown"]] < 0
    assert answer["words_left_out"].tolist()[:5] == [0, 0, 0, 0, 40 - 7]
    for text in answer["translation"]:
        assert "<bos>" not in text and "<pad>" not in text and "<eos>" not in text
    cut = served.predict([" ".join(["may 2014"] * 3) + " may"])  # the seven words that are read
    assert cut["translation"][0] == answer["translation"][found["long"]]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("beam_size=0", "beam_size must be 1 to 100"),
        ("beam_size=-3", "beam_size must be 1 to 100"),
        ("beam_size=101", "beam_size must be 1 to 100"),
        ("length_exponent=nan", "length_exponent must be a number of at least 0"),
        ("length_exponent=-1", "length_exponent must be a number of at least 0"),
    ],
)
def test_settings_out_of_range(served, setting, message):
    with pytest.raises(InputError, match=message):
        served.predict(["may"], None, [setting])
    name, _, value = setting.partition("=")
    with pytest.raises(ValueError, match=f"`{name}` must be"):
        translator(**{name: float(value) if "exp" in name else int(value)})


def test_settings_out_of_range_without_export(trained):
    with pytest.raises(tf.errors.InvalidArgumentError, match="beam_size must be 1 to 100"):
        translate(*trained, ["may"], beam_size=0)


def test_a_beam_wider_than_the_vocabulary(trained):
    _, assets = trained
    small = {**assets, "target_vocabulary": assets["target_vocabulary"][:5]}
    narrow = seq2seq(len(assets["source_vocabulary"]), 5, num_layers=1)
    ((text, score),) = translate(narrow, small, ["may"], beam_size=60)
    assert set(text.split()) <= set(small["target_vocabulary"]) and score < 0


def test_assets_that_lack_something(trained):
    model, assets = trained
    some = {key: value for key, value in assets.items() if key != "tokenizer"}
    with pytest.raises(ValueError, match="a translator needs tokenizer in the assets"):
        translate(model, some, ["may"])
    with pytest.raises(ValueError, match="a vocabulary of a translator needs '<eos>'"):
        translate(model, {**assets, "target_vocabulary": ["<unk>", "<pad>", "<bos>"]}, ["may"])
