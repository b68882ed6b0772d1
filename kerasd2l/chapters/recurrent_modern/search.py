"""Search for the most probable sequence."""

from __future__ import annotations

from kerasd2l import scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

np = lazy("numpy")

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
