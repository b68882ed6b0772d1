"""WordPiece: words as the longest pieces that a vocabulary has, and the words that BERT cuts so.

Section: "subword-embedding". `endpoints.word_pieces` cuts the same pieces in the graph of an
export.
"""

from __future__ import annotations

import collections
import functools
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from kerasd2l.data.text import CONTINUES, Tokenizer
from kerasd2l.data.vocab import UNKNOWN

LONGEST_WORD = 100  # characters; what is longer is `<unk>`
# Characters that BERT reads as words: CJK ideographs, no kana and no Hangul.
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
# Signs of ASCII that Unicode counts as symbols: to BERT they are punctuation, too.
_SIGNS = "$+<=>^`|~"


class WordPieces:
    """Cuts words into the pieces of a vocabulary. Section: "subword-embedding".

    The longest piece that the word begins with, then the longest that the rest begins with, and so
    on; pieces that go on begin with "##". A word with a part that is no piece is `<unk>` as a
    whole, and so is one of more than 100 characters.

    Args:
        vocabulary: all pieces; number 0 is `<unk>`.

    Example:
        >>> cut = WordPieces(["<unk>", "play", "##ing", "##s"])
        >>> cut.pieces("playing"), cut.pieces("player"), cut(["play", "plays"])
        (['play', '##ing'], ['<unk>'], ['play', 'play', '##s'])

    Reference:
        Wu et al., Google's neural machine translation system, 2016; the order of search is that of
        Devlin et al., BERT, 2019.
    """

    def __init__(self, vocabulary: Sequence[str]):
        self._known = {piece: sys.intern(piece) for piece in vocabulary[1:]}
        self._longest = max(map(len, self._known), default=0)

    def pieces(self, word: str) -> list[str]:
        """Return the pieces of a word."""
        if len(word) > LONGEST_WORD:
            return [UNKNOWN]
        found: list[str] = []
        start = 0
        while start < len(word):
            before = CONTINUES if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                piece = self._known.get(before + word[start:end])
                if piece is not None:
                    break
            else:
                return [UNKNOWN]
            found.append(piece)
            start = end
        return found

    def __call__(self, words: Iterable[str]) -> list[str]:
        """Return the pieces of words, one after the other."""
        return [piece for word in words for piece in self.pieces(word)]


def reader(tokenizer: Tokenizer, vocabulary: Sequence[str] | None) -> Callable[[str], list[str]]:
    """Return what makes the tokens of a text: words, or pieces where the tokenizer says so.

    Args:
        tokenizer: makes the words.
        vocabulary: the pieces; not needed for whole words.

    Raises:
        ValueError: pieces are wanted and there is no vocabulary.
    """
    if not tokenizer.pieces:
        return tokenizer
    if not vocabulary:
        raise ValueError("a tokenizer with pieces=True needs the `vocabulary` of its pieces.")
    cut = WordPieces(vocabulary)
    return lambda text: cut(tokenizer(text))


def bert_words(vocabulary: Sequence[str], *, lower: bool, accents: bool) -> Tokenizer:
    """Return the tokenizer that makes the words of Devlin et al.'s BERT, and says if it has pieces.

    Control characters are dropped, every white space is a space, every sign of punctuation and
    every CJK ideograph is a word of its own; `<mask>` is one word, and so is BERT's `[MASK]`. What
    Unicode says of a character is written into the patterns.

    It gives the words of BERT's BasicTokenizer but for this: cased texts are not brought to NFC,
    and characters that Unicode has not assigned stay (both as in transformers 5); accents go
    character by character, before anything else, and only from letters whose plain form the
    vocabulary has (a word with another one is `<unk>` either way); a capital sigma at the end of a
    word becomes Python's final one; `[CLS]` and other signs in a text are text.

    Args:
        vocabulary: V tokens; if one begins with "##", words are cut into pieces.
        lower: bool, to lower case.
        accents: bool, letters keep their accents.

    Example:
        >>> bert_words(["<unk>", "e"], lower=True, accents=False)("Été, isn't it? <mask>")
        ['ete', ',', 'isn', "'", 't', 'it', '?', '<mask>']
    """
    dropped = {0xFFFD, *_codes("Cc", "Cf", "Co")} - set(map(ord, "\t\n\r"))
    dropped |= set() if accents else _codes("Mn")
    signs = {*map(ord, _SIGNS), *_codes("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po")}
    signs |= {code for first, last in _IDEOGRAPHS for code in range(first, last + 1)}
    return Tokenizer(
        "word",
        (
            (_one_of(dropped), ""),
            (_one_of(_codes("Zs", "Zl", "Zp")), " "),
            (f"({_one_of(signs)})", r" \1 "),
            (r" (?:< mask >|\[ MASK \]) ", " <mask> "),
        ),
        lower=lower,
        characters=() if accents else _plain_letters(set().union(*vocabulary)),
        pieces=any(token.startswith(CONTINUES) for token in vocabulary),
    )


def _plain_letters(known: set[str]) -> tuple[tuple[str, str], ...]:
    """Return (letter with accents, letters without) where all of these are among the known ones."""
    found = []
    for code in range(0xC0, 0x30000):  # beyond there are no letters with accents
        whole = unicodedata.normalize("NFD", chr(code))
        if whole != chr(code):
            plain = "".join(c for c in whole if unicodedata.category(c) != "Mn")
            if plain and known.issuperset(plain.lower()):
                found.append((chr(code), plain))
    return tuple(found)


def _codes(*categories: str) -> set[int]:
    """Return the numbers of all characters of some of Unicode's general categories."""
    return set().union(*(_categories()[category] for category in categories))


@functools.cache
def _categories() -> dict[str, list[int]]:
    found: dict[str, list[int]] = collections.defaultdict(list)
    for code in range(sys.maxunicode + 1):
        found[unicodedata.category(chr(code))].append(code)
    return found


def _one_of(codes: Iterable[int]) -> str:
    """Return the pattern of one of these characters, as ranges."""
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "[" + "".join(f"{_in_class(a)}-{_in_class(b)}" for a, b in ranges) + "]"


def _in_class(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else chr(code)
