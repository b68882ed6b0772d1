"""8.2 Text preprocessing."""

from __future__ import annotations

from kerasd2l import data
from kerasd2l.recipe import Demo, DemoResult


def text_preprocessing(*, source: data.Kind = "builtin") -> Demo:
    """Turn The Time Machine into tokens, and tokens into numbers.

    Section: "text-preprocessing". 3,221 lines of the book; the builtin stand-in is the text of
    Python's own help.
    Expected: line 0 "the time machine by h g wells" is [1, 19, 50, 40, 2183, 2184, 400]; as
    characters the text has 170,580 tokens of 28 kinds (d2l-zh).
    Command: kerasd2l run text_preprocessing --set source=files
    """
    return Demo("text-preprocessing", lambda: _preprocess(source))


def _preprocess(source: str) -> DemoResult:
    lines = data.time_machine.lines(source)
    tokenizer = data.Tokenizer("word", data.text.LETTERS)
    tokens = [tokenizer(line) for line in lines]
    vocab = data.Vocab(tokens)
    characters, characters_vocab = data.time_machine.corpus(source)
    values = {
        "lines": len(lines),
        **{f"line {i}": tokenizer.clean(line) for i, line in enumerate(lines) if i in (0, 10)},
        "first words of the vocabulary": {word: i for i, word in enumerate(vocab.tokens[:10])},
        "words in the vocabulary": len(vocab),
        **{f"line {i} in numbers": vocab[line] for i, line in enumerate(tokens) if i in (0, 10)},
        "characters": len(characters),
        "characters in the vocabulary": len(characters_vocab),
    }
    return DemoResult(values)
