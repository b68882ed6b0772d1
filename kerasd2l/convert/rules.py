"""Which array of a checkpoint is which weight of a model, and the accounting of both sides."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasd2l.convert.reading import Checkpoint, ConvertError

if TYPE_CHECKING:
    import keras

_TOLD = 5  # names in a message


def as_it_is(array: np.ndarray) -> np.ndarray:
    """Return the array."""
    return array


@dataclass(frozen=True)
class Rule:
    """A weight of ours is made of arrays of theirs.

    Args:
        ours: path of the weight in the model, as "encoder/block1/ffn/dense1/kernel".
        theirs: names of the arrays.
        make: (arrays) -> the weight; e.g. `np.transpose`.
    """

    ours: str
    theirs: tuple[str, ...]
    make: Callable[..., np.ndarray] = as_it_is


def same(ours: str, theirs: str) -> list[Rule]:
    """Take an array as it is."""
    return [Rule(ours, (theirs,))]


def dense(ours: str, theirs: str, use_bias: bool = True) -> list[Rule]:
    """Take a dense layer: PyTorch's weight is (out, in), the kernel of Keras (in, out)."""
    kernel = Rule(f"{ours}/kernel", (f"{theirs}.weight",), np.transpose)
    return [kernel, *(same(f"{ours}/bias", f"{theirs}.bias") if use_bias else [])]


def conv(ours: str, theirs: str, use_bias: bool = True) -> list[Rule]:
    """Take a convolution: PyTorch's weight is (out, in, h, w), the kernel of Keras (h, w, in, out).

    A dense layer that is written so is one of 1 x 1.
    """
    kernel = Rule(f"{ours}/kernel", (f"{theirs}.weight",), lambda w: np.transpose(w, (2, 3, 1, 0)))
    return [kernel, *(same(f"{ours}/bias", f"{theirs}.bias") if use_bias else [])]


def batch_norm(ours: str, theirs: str) -> list[Rule]:
    """Take a batch normalization with its moving statistics."""
    pairs = {
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    return [rule for m, t in pairs.items() for rule in same(f"{ours}/{m}", f"{theirs}.{t}")]


def norm(ours: str, theirs: str, names: tuple[str, str] = ("weight", "bias")) -> list[Rule]:
    """Take a layer normalization; `names`: what theirs calls gamma and beta."""
    both = zip(("gamma", "beta"), names, strict=True)
    return [rule for mine, other in both for rule in same(f"{ours}/{mine}", f"{theirs}.{other}")]


def gru(ours: str, theirs: str, layer: int) -> list[Rule]:
    """Take a layer of PyTorch's GRU: its gates are reset, update, new; Keras begins with update."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    names = tuple(f"{theirs}.{kind}_l{layer}" for kind in kinds)
    return [
        Rule(f"{ours}/kernel", names[:1], lambda w: _update_first(w).T),
        Rule(f"{ours}/recurrent_kernel", names[1:2], lambda w: _update_first(w).T),
        Rule(f"{ours}/bias", names[2:], lambda *both: np.stack([_update_first(b) for b in both])),
    ]


def _update_first(array: np.ndarray) -> np.ndarray:
    reset, update, new = np.split(array, 3)
    return np.concatenate([update, reset, new])


@dataclass
class Plan:
    """How the arrays of one checkpoint become one model.

    Args:
        build: () -> keras.Model, built.
        rules: one for every weight, but for those of `fresh`.
        arrays: name -> array, all to be used.
        fresh: parts of the model that the checkpoint lacks as a whole: they stay as drawn.
        tokens: the vocabulary in our order, or None.
        words: how raw texts become words, or None.
        remarks: what the user shall know.
    """

    build: Callable[[], keras.Model]
    rules: list[Rule]
    arrays: Mapping[str, np.ndarray]
    fresh: Sequence[str] = ()
    tokens: list[str] | None = None
    words: dict[str, Any] | None = None
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Family:
    """Checkpoints that one kind of program writes, for one model.

    Args:
        title: str, whose they are.
        mark: str, a regular expression; a name that it matches shows the family.
        plan: (checkpoint, settings, use_tokens) -> Plan; `use_tokens`: number the words as ours.
    """

    title: str
    mark: str
    plan: Callable[[Checkpoint, Mapping[str, Any], bool], Plan]

    def is_of(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Whether a checkpoint is of this family, by the names of its arrays."""
        return any(re.fullmatch(self.mark, name) for name in arrays)


def fill(plan: Plan, path: Any) -> keras.Model:
    """Build the model and put the arrays into it, all of them.

    Args:
        plan: what goes where.
        path: the checkpoint, for the message.

    Returns:
        The model.

    Raises:
        ConvertError: an array is missing, left over, of another shape, or no floats.
        ValueError: sizes that the model does not take.
    """
    wanted = [name for rule in plan.rules for name in rule.theirs]
    missing = [name for name in wanted if name not in plan.arrays]
    left = sorted(set(plan.arrays) - set(wanted))
    _refuse(path, {"missing": missing, "left over": left})
    model = plan.build()
    weights = _weights(plan, model)
    made, misfits = {}, []
    for rule in plan.rules:
        arrays = {name: plan.arrays[name] for name in rule.theirs}
        array = _made(rule, arrays)
        shape = tuple(weights[rule.ours].shape)
        if array is None or array.shape != shape:
            told = ", ".join(f"{name} {a.shape} {a.dtype}" for name, a in arrays.items())
            misfits.append(f"{told} does not fit {rule.ours} {shape}")
        made[rule.ours] = array
    _refuse(path, {"of another shape": misfits})
    for name, array in made.items():
        weights[name].assign(array)
    return model


def _refuse(path: Any, faults: Mapping[str, Sequence[str]]) -> None:
    """Raise the error of what does not fit, where there is something."""
    problems = []
    for what, names in faults.items():
        if names:
            more = f", and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
            problems.append(f"{what}: {', '.join(names[:_TOLD])}{more}")
    if problems:
        raise ConvertError(f"{path} does not hold this model. {'; '.join(problems)}.")


def _made(rule: Rule, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Return what a rule makes of arrays of floats; None: it can make nothing of them."""
    if any(array.dtype != np.float32 for array in arrays.values()):
        return None
    try:
        return rule.make(*arrays.values())
    except ValueError:  # e.g. three gates of 32 rows
        return None


def _weights(plan: Plan, model: keras.Model) -> dict[str, Any]:
    """Return the model's weights by their paths within it; rules must name each exactly once."""
    name = f"{model.name}/"
    weights = {weight.path.removeprefix(name): weight for weight in model.weights}
    fresh = tuple(f"{part}/" for part in plan.fresh)
    asked = sorted(path for path in weights if not (fresh and path.startswith(fresh)))
    if asked != sorted(rule.ours for rule in plan.rules):  # a fault of the mapping
        differ = set(asked) ^ {rule.ours for rule in plan.rules}
        raise RuntimeError(f"the rules and the weights of the model differ: {sorted(differ)}.")
    return weights


# What a plan reads off a checkpoint


def shape_of(arrays: Mapping[str, np.ndarray], name: str, rank: int) -> tuple[int, ...]:
    """Return the shape of an array from which a size of the model is read.

    Raises:
        ConvertError: it is missing, or of another rank.
    """
    if name not in arrays:
        raise ConvertError(f"the checkpoint lacks {name}: the size of the model is not known.")
    shape = arrays[name].shape
    if len(shape) != rank or 0 in shape:
        raise ConvertError(f"{name} must have {rank} axes. Received: shape {shape}.")
    return shape


def count(arrays: Mapping[str, np.ndarray], pattern: str) -> int:
    """Return how many layers there are, by the number that `pattern` finds in their names.

    Raises:
        ConvertError: there is none.
    """
    numbers = {match[1] for name in arrays if (match := re.match(pattern, name))}
    if not numbers:
        raise ConvertError(f"the checkpoint has no layer whose name begins as {pattern}.")
    return len(numbers)


def agree(arguments: Mapping[str, Any], settings: Mapping[str, Any], who: str) -> dict[str, Any]:
    """Join the arguments that a checkpoint tells with those that are set.

    Raises:
        ConvertError: they differ.
    """
    for name, value in settings.items():
        if name in arguments and arguments[name] != value:
            raise ConvertError(
                f"{who} says {name}={value}, the checkpoint says {name}={arguments[name]}."
            )
    return {**arguments, **settings}


def with_heads(arguments: dict[str, Any]) -> dict[str, Any]:
    """Require the number of heads, which no weight tells.

    Raises:
        ConvertError: it is not there.
    """
    if "num_heads" not in arguments:
        raise ConvertError(
            "the weights do not tell the number of heads of the attention. Give it: "
            "--set num_heads=N."
        )
    return arguments


def renumber(
    arrays: Mapping[str, np.ndarray],
    names: Iterable[str],
    tokens: Sequence[str],
    signs: Mapping[str, str],
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Order the rows of words as our vocabularies do: `<unk>` and the other signs come first.

    Args:
        arrays: name -> array.
        names: those with a row for each token.
        tokens: theirs by their numbers.
        signs: our signs in our order -> what theirs are called.

    Returns:
        (the arrays, the tokens), both in our order.

    Raises:
        ConvertError: a sign is missing, a token comes twice, or there are more or fewer rows.
    """
    missing = [sign for sign in signs.values() if sign not in tokens]
    if missing:
        raise ConvertError(f"the vocabulary lacks {', '.join(missing)}.")
    ours = {theirs: mine for mine, theirs in signs.items()}
    first = [tokens.index(sign) for sign in signs.values()]
    order = np.array(first + [i for i, token in enumerate(tokens) if token not in ours])
    known = [ours.get(tokens[i], tokens[i]) for i in order]
    token, times = collections.Counter(known).most_common(1)[0]
    if times > 1:
        raise ConvertError(
            f"the tokens of the vocabulary must be distinct: {token!r} is there {times} times."
        )
    turned = dict(arrays)
    for name in names:
        if name not in arrays:
            continue
        if len(arrays[name]) != len(tokens):
            raise ConvertError(
                f"the vocabulary has {len(tokens)} tokens, {name} {len(arrays[name])} rows."
            )
        turned[name] = arrays[name][order]
    return turned, known
