"""9.8 Beam search."""

from __future__ import annotations

import math

from kerasd2l import endpoints, figures, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")
tf = lazy("tensorflow")
decoding = lazy("kerasd2l.decoding")

STATES = ("healthy", "fever")
SYMPTOMS = ("normal", "cold", "dizzy")


def hidden_states(*, symptoms: tuple[str, ...] = ("dizzy", "cold", "normal")) -> Demo:
    """Find the most probable course of an illness from its symptoms, with Viterbi's algorithm.

    Section: "beam-search". A hidden Markov model of two states and three symptoms, one symptom a
    day; also the greedy choice day by day, and all 2^T courses tried, for comparison.
    Expected: dizzy, cold, normal come from fever, healthy, healthy with probability 0.01344
    (0.4 0.6 x 0.4 0.4 x 0.7 0.5), as exhaustive search finds, too; the greedy course fever, fever,
    healthy has 0.00864 (0.4 0.6 x 0.6 0.3 x 0.4 0.5).
    Command: kerasd2l run hidden_states --set symptoms=dizzy,cold,normal
    """
    unknown = [symptom for symptom in symptoms if symptom not in SYMPTOMS]
    if unknown or not 1 <= len(symptoms) <= 12:
        raise ValueError(
            f"`symptoms` must be 1 to 12 of {', '.join(SYMPTOMS)}. Received: {symptoms}."
        )
    return Demo("beam-search", lambda: _search(symptoms))


def _search(symptoms: tuple[str, ...]) -> DemoResult:
    model = (
        np.array([0.6, 0.4]),
        np.array([[0.7, 0.3], [0.4, 0.6]]),
        np.array([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]]),
    )
    days = [SYMPTOMS.index(symptom) for symptom in symptoms]
    path, score = scratch.viterbi(*model, days)
    all_path, all_score = scratch.best_path_by_enumeration(*model, days)
    initial, transition, emission = model
    greedy: list[int] = []
    chance = 1.0
    for day in days:
        prior = transition[greedy[-1]] if greedy else initial
        greedy.append(int(np.argmax(prior * emission[:, day])))
        chance *= float((prior * emission[:, day])[greedy[-1]])
    values = {
        "symptoms": list(symptoms),
        "most probable course": [STATES[state] for state in path],
        "its probability": float(np.exp(score)),
        "found by trying all": [STATES[state] for state in all_path],
        "probability of that": float(np.exp(all_score)),
        "greedy, day by day": [STATES[state] for state in greedy],
        "probability of the greedy course": chance,
    }
    return DemoResult(values)


# The book's example: tokens A, B, C and the end; what may follow what is there already.
_TOKENS = ("<eos>", "A", "B", "C")


_CHANCES = {
    "": (0.1, 0.5, 0.2, 0.2),
    "A": (0.2, 0.1, 0.4, 0.3),
    "AB": (0.2, 0.2, 0.2, 0.4),
    "AC": (0.1, 0.1, 0.6, 0.2),
    "ABC": (0.6, 0.0, 0.2, 0.2),
    "ACB": (0.6, 0.1, 0.2, 0.1),
}


def search_strategies(*, beam_size: int = 2, length_exponent: float = 0.75) -> Demo:
    """Search the book's example greedily, with a beam, and through all sequences.

    Section: "beam-search". Four steps over A, B, C and the end, with the probabilities of the
    book's two figures; where these say nothing, all four are equally likely.
    Expected: greedy finds A B C <eos> with 0.5 x 0.4 x 0.4 x 0.6 = 0.048, though A C B <eos> has
    0.5 x 0.3 x 0.6 x 0.6 = 0.054 (d2l-zh, d2l-en). Scored by log P / L^0.75 that is the best of
    all sequences; by P alone the best is to end at once (0.1), which is why length is rewarded.
    Command: kerasd2l run search_strategies --set beam_size=2 --out figures
    """
    if beam_size < 1:
        raise ValueError(f"`beam_size` must be at least 1. Received: beam_size={beam_size}.")
    endpoints.check_length_exponent(length_exponent)
    return Demo("beam-search", lambda: _search_example(beam_size, length_exponent))


def _search_example(beam_size: int, length_exponent: float) -> DemoResult:
    steps, words = 4, len(_TOKENS)
    everything = (words - 1) ** steps * 2  # more places than there are sequences
    searches = {"greedy": 1, f"beam of {beam_size}": beam_size, "all sequences": everything}
    values: dict[str, object] = {}
    curves = {}
    for name, k in searches.items():
        sequence, score = _best(k, steps, length_exponent)
        chances = [_CHANCES.get("".join(sequence[:i]), (0.25,) * 4) for i in range(len(sequence))]
        factors = [chance[_TOKENS.index(t)] for chance, t in zip(chances, sequence, strict=True)]
        values[f"{name}: found"] = " ".join(sequence)
        values[f"{name}: probability"] = float(np.prod(factors))
        values[f"{name}: score"] = score
        label = f"{name}: {' '.join(sequence)}"
        curves[label] = np.cumprod([1.0, *factors])
    sequence, score = _best(everything, steps, 0.0)
    values["most probable without reward for length"] = " ".join(sequence)
    values["its probability"] = math.exp(score)
    values["continuations looked at, 10,000 words, 10 steps"] = {
        "greedy": 10_000 * 10,
        f"beam of {beam_size}": 10_000 * 10 * beam_size,
        "all sequences": 10_000**10,
    }
    figure = figures.lines(
        {label: np.arange(len(curve)) for label, curve in curves.items()},
        curves,
        title="The greedy choice is not the most probable sequence",
        xlabel="step",
        ylabel="probability so far",
        yscale="log",
    )
    figure.axes[0].set_xticks(range(steps + 1))
    return DemoResult(values, {"search": figure})


def _best(k: int, steps: int, length_exponent: float) -> tuple[list[str], float]:
    """Search the example with a beam of k; return the best sequence and its score."""
    example = _Example()
    found = decoding.beam_search(
        example.step,
        example.first(),
        max_steps=steps,
        beam_size=k,
        length_exponent=length_exponent,
        begin=len(_TOKENS),
        end=0,
        forbidden=(),
    )
    ids = found["ids"][0, 0, : int(found["lengths"][0, 0])]
    return [_TOKENS[i] for i in ids.numpy()], float(found["scores"][0, 0])


class _Example:
    """The book's example as a model that a search can ask; its state is the prefix in base 5."""

    def __init__(self):
        chances = np.full((5**4, 4), 0.25, "float32")
        for prefix, row in _CHANCES.items():
            code = 0
            for token in prefix:
                code = code * 5 + _TOKENS.index(token) + 1
            chances[code] = row
        with np.errstate(divide="ignore"):
            self.logits = tf.constant(np.maximum(np.log(chances), -1e9))

    def first(self):
        return tf.zeros(1, tf.int32)

    def step(self, token, state):
        began = token == len(_TOKENS)
        state = tf.where(began, 0, (state * 5 + token + 1) % 5**4)
        return tf.gather(self.logits, state), state
