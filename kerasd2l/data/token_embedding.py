"""Word vectors from files, and what lies near them. Section: "similarity-analogy".

GloVe's text files, and word2vec's and fastText's, which begin with a line of two numbers; plain,
gzipped, or in a zip. They are read a line at a time: in memory is one row of float32 a word.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from kerasd2l.data import archive, downloads, files, limits
from kerasd2l.data.source import DataError, Source, resolve
from kerasd2l.data.vocab import UNKNOWN

URL = "https://d2l-data.s3-accelerate.amazonaws.com/"
# The book's names -> its archive and the SHA-1 of it.
NAMES = {
    "glove.6b.50d": ("glove.6B.50d.zip", "0b8703943ccdb6eb788e6f091b8946e82231bc4d"),
    "glove.6b.100d": ("glove.6B.100d.zip", "cd43bfb07e44e6f27cbcc7bc9ae3d80284fdaf5a"),
    "glove.42b.300d": ("glove.42B.300d.zip", "b5116e234e9eb9076672cfeabf5469f3eec904fa"),
    "wiki.en": ("wiki.en.zip", "c1816da3821ae9f43899be655002f6c723e91b88"),
}
_GROWTH = 1.25  # of the table while its number of rows is not known


class TokenEmbedding:
    """Vectors of words; number 0 is `<unk>`, a vector of zeros for every word that is not there.

    Section: "similarity-analogy".

    Args:
        tokens: words, the first one `<unk>`.
        vectors: (V, D) float32, a row for each.

    Raises:
        ValueError: not as many rows as words, a word that is there twice, no `<unk>` at the front.

    Example:
        >>> embedding = TokenEmbedding(["<unk>", "a", "b"], np.array([[0, 0], [1, 0], [1, 1]]))
        >>> embedding[["b", "never seen"]].tolist(), len(embedding)
        ([[1.0, 1.0], [0.0, 0.0]], 3)
    """

    def __init__(self, tokens: Sequence[str], vectors: np.ndarray):
        self.idx_to_token, self.unknown_idx = list(tokens), 0
        self.idx_to_vec = np.asarray(vectors, np.float32)
        self.token_to_idx = {token: i for i, token in enumerate(self.idx_to_token)}
        if self.idx_to_vec.ndim != 2 or len(self.idx_to_vec) != len(self.idx_to_token):
            raise ValueError(
                "`vectors` must have a row for each word. "
                f"Received: {self.idx_to_vec.shape} and {len(self.idx_to_token)} words."
            )
        if self.idx_to_token[:1] != [UNKNOWN] or len(self.token_to_idx) != len(self):
            raise ValueError(f"`tokens` must be distinct and begin with {UNKNOWN}.")

    @classmethod
    def read(
        cls,
        path: str | os.PathLike,
        *,
        max_words: int | None = None,
        member: str = "",
        only: Collection[str] | None = None,
    ) -> TokenEmbedding:
        """Read a file: GloVe's text, word2vec's or fastText's text, plain, gz or zip.

        Args:
            path: the file.
            max_words: int, read no more than the first so many; None: all.
            member: str, part of the name of the member to read of a zip, e.g. "300d"; else the
                first one that ends in .txt or .vec.
            only: words, keep no others; all lines are read and checked. Of a word that is twice in
                the file, the first vector counts. None: keep all, and a word is there once.

        Returns:
            The words in the file's order behind `<unk>`, whose row is zeros unless the file has
            one for it.

        Raises:
            DataError: names the file, and the line that has another width, a word that was there,
                or something that is no number; or the file is cut off, or larger than `limits`, or
                has no word to keep.
        """
        if max_words is not None and max_words < 1:
            raise ValueError(f"`max_words` must be at least 1. Received: max_words={max_words}.")
        with _opened(Path(path), member) as (name, file):
            return cls(*_Reader(name, max_words, only).read(file))

    @classmethod
    def load(
        cls, name: str, source: Source | str | None = None, *, max_words: int | None = None
    ) -> TokenEmbedding:
        """Read the vectors that the book knows by a name.

        Args:
            name: "glove.6b.50d", "glove.6b.100d", "glove.42b.300d" or "wiki.en" (fastText's; only
                with `max_words`, as the one before: together with all words they are too large).
            source: Source or the name of its kind. Files: DIR/vectors/glove.6B.50d.zip and so on.
            max_words: int, as `read`.

        Raises:
            DataError: the file is not to be had or not right. ValueError: another name.
        """
        if name not in NAMES:
            raise ValueError(f"`name` must be one of {', '.join(NAMES)}. Received: {name!r}.")
        source = Source.of(source)
        file, digest = NAMES[name]
        options: dict[str, Any] = {"timeout": source.timeout, "retries": source.retries}
        folder = resolve(
            source,
            "vectors",
            (file,),
            lambda folder: downloads.download(
                URL + file, folder / file, digest, max_bytes=8 << 30, **options
            ),
            builtin=False,
        )
        return cls.read(Path(folder or ".") / file, max_words=max_words)

    def __len__(self) -> int:
        return len(self.idx_to_token)

    def __contains__(self, token: object) -> bool:
        return token in self.token_to_idx

    def __getitem__(self, tokens: str | Sequence[str]) -> np.ndarray:
        """Return the vector (D,) of a word, or the vectors (N, D) of a list of words."""
        if isinstance(tokens, str):
            return self.idx_to_vec[self.token_to_idx.get(tokens, self.unknown_idx)]
        numbers = [self.token_to_idx.get(token, self.unknown_idx) for token in tokens]
        return self.idx_to_vec[np.array(numbers, int)]

    def save(self, path: str | os.PathLike) -> None:
        """Write a text file as word2vec's: `read` gives the same numbers back."""
        lines = [f"{len(self) - 1} {self.idx_to_vec.shape[1]}"]
        for token, row in zip(self.idx_to_token[1:], self.idx_to_vec[1:], strict=True):
            lines.append(" ".join([token, *map(str, row)]))
        files.write_whole(Path(path), "\n".join([*lines, ""]).encode())


def knn(vectors: np.ndarray, query: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers (k,) and cosines (k,) of the rows nearest to a query, nearest first.

    Section: "similarity-analogy". As in the book, 1e-9 is added under the root.

    Args:
        vectors: (V, D).
        query: (D,).
        k: int, at most V.

    Example:
        >>> ids, cosines = knn(np.eye(3), np.array([0.0, 2.0, 1.0]), 2)
        >>> ids.tolist(), cosines.round(3).tolist()
        ([1, 2], [0.894, 0.447])
    """
    norms = np.sqrt(np.einsum("vd,vd->v", vectors, vectors) + 1e-9)
    cosines = vectors @ query / (norms * np.sqrt(query @ query))
    k = min(k, len(cosines))
    best = np.argpartition(-cosines, k - 1)[:k] if k else np.zeros(0, int)
    best = best[np.argsort(-cosines[best], kind="stable")]
    return best, cosines[best]


def get_similar_tokens(token: str, k: int, embedding: TokenEmbedding) -> list[tuple[str, float]]:
    """Return the k words nearest to a word, itself left out, with their cosines.

    Section: "similarity-analogy".

    Raises:
        KeyError: the word is not there.
    """
    _check_known(embedding, token)
    ids, cosines = knn(embedding.idx_to_vec, embedding[token], k + 1)
    pairs = [(embedding.idx_to_token[i], float(c)) for i, c in zip(ids, cosines, strict=True)]
    return [pair for pair in pairs if pair[0] != token][:k]


def get_analogy(a: str, b: str, c: str, embedding: TokenEmbedding, *, exclude: bool = False) -> str:
    """Return the word nearest to b - a + c: a is to b as c to it.

    Section: "similarity-analogy".

    Args:
        a: a word.
        b: what stands to a as the answer to c.
        c: another word.
        embedding: the vectors.
        exclude: bool, whether the answer may be none of the three. Default: False, as the book.

    Raises:
        KeyError: a word is not there.
    """
    _check_known(embedding, a, b, c)
    vectors = embedding[[a, b, c]]
    ids, _ = knn(embedding.idx_to_vec, vectors[1] - vectors[0] + vectors[2], 4 if exclude else 1)
    words = [embedding.idx_to_token[i] for i in ids]
    return next(word for word in words if not exclude or word not in (a, b, c))


def _check_known(embedding: TokenEmbedding, *tokens: str) -> None:
    for token in tokens:
        if token not in embedding:
            raise KeyError(f"there is no vector of {token!r}")


@contextlib.contextmanager
def _opened(path: Path, member: str) -> Iterator[tuple[str, Any]]:
    """Open a file of vectors: plain, gzipped, or a member of a zip."""
    try:
        with files.open_regular(path) as raw:
            zipped = raw.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if zipped:

        def wanted(name: str) -> bool:
            hidden = name.startswith("__MACOSX/") or "readme" in name.lower()
            return member in name and name.endswith((".txt", ".vec")) and not hidden

        with archive.opened_member(path, wanted, max_bytes=limits.VECTOR_BYTES) as found:
            yield f"{path}, {found[0]}", found[1]
    else:
        with files.unpacked(path) as file:
            yield str(path), file


class _Reader:
    """Reads lines of a word and its numbers, with errors that name the line."""

    def __init__(self, name: str, max_words: int | None, only: Collection[str] | None = None):
        self.name, self.max_words = name, max_words
        self.only = None if only is None else {UNKNOWN, *only}
        self.number = self.width = 0  # of the line; of the vectors
        self.declared: int | None = None  # words, by the first line of word2vec and fastText
        self.words: dict[str, int] = {UNKNOWN: 0}
        self.rows = np.zeros((0, 0), np.float32)

    def read(self, file: IO[bytes]) -> tuple[list[str], np.ndarray]:
        with warnings.catch_warnings():
            # numpy warns of what is no number, and returns the numbers before it
            warnings.simplefilter("error", DeprecationWarning)
            for line in self._lines(file):
                self._add(line)
                if self.max_words is not None and len(self.words) > self.max_words:
                    break
            else:
                self._check_end()
        if len(self.words) < 2:
            of = "" if self.only is None else f" of any of the {len(self.only) - 1} words asked for"
            raise DataError(f"{self.name} has no word vectors{of}.")
        self.rows.resize((len(self.words), self.width), refcheck=False)
        return list(self.words), self.rows

    def _lines(self, file: IO[bytes]) -> Iterator[bytes]:
        most = limits.VECTOR_LINE_BYTES
        while line := file.readline(most + 1):
            self.number += 1
            if len(line) > most:
                self._refuse(f"longer than {most} bytes, no word and its vector")
            if not line.endswith(b"\n"):
                self._refuse("the last line has no end, so the file may be cut off. Get it anew")
            if self.number == 1 and (header := _header(line)):
                self.declared, self.width = header
                if self.only is None:
                    self._grow(self._planned(self.declared))
            else:
                yield line.rstrip(b" \r\n")

    def _add(self, line: bytes) -> None:
        """Take a line of a word and its numbers."""
        word, _, rest = line.partition(b" ")
        try:
            text = word.decode()
        except UnicodeDecodeError:
            self._refuse("the word is not UTF-8 (the binary format of word2vec is not read)")
        try:
            row = np.fromstring(rest, np.float32, sep=" ")
        except (ValueError, DeprecationWarning):
            self._refuse(_not_a_number(rest))
        width = self.width = self.width or len(row)
        if not text or not len(row) or len(row) != width:
            expected = f"a word and {width} numbers" if width else "a word and its numbers"
            self._refuse(f"expected {expected}, received {len(row)} numbers behind {text[:40]!r}")
        if not np.isfinite(row).all():
            self._refuse(f"a number of {text[:40]!r} is not finite")
        if self.only is not None and (text not in self.only or self.words.get(text)):
            return
        if text == UNKNOWN and not (len(self.rows) and self.rows[0].any()):
            place = 0
        elif text in self.words:
            self._refuse(f"the word {text[:40]!r} was there before")
        else:
            place = self.words[text] = len(self.words)
        if place >= len(self.rows):
            self._grow(max(int(len(self.rows) * _GROWTH), place + 1000))
        self.rows[place] = row

    def _planned(self, declared: int) -> int:
        """Return the rows of a file that says how many it has, which need not be true."""
        return min(declared, self.max_words or declared, 100_000) + 1

    def _grow(self, rows: int) -> None:
        """Make room; the table grows where it is, it is not copied beside itself."""
        width = self.width
        most = limits.VECTOR_NUMBERS // max(width, 1)
        if len(self.rows) >= most:
            self._refuse(
                f"more than {limits.VECTOR_NUMBERS} numbers. Read a part of it (max_words)"
            )
        if not self.rows.size:
            self.rows = np.zeros((min(rows, most), width), np.float32)
        else:
            self.rows.resize((min(rows, most), width), refcheck=False)

    def _check_end(self) -> None:
        if self.declared is not None and self.number - 1 != self.declared:
            raise DataError(
                f"{self.name}, line 1 says {self.declared} words, there are {self.number - 1}: "
                "the file is cut off or damaged. Get it anew."
            )

    def _refuse(self, what: str) -> None:
        raise DataError(f"{self.name}, line {self.number}: {what}.")


def _header(line: bytes) -> tuple[int, int] | None:
    """Return (words, width) of a first line of word2vec and fastText; None: it is a word's."""
    parts = line.split()
    if len(parts) == 2 and all(len(part) < 10 and part.isdigit() for part in parts):
        count, width = map(int, parts)
        return (count, width) if width else None
    return None


def _not_a_number(rest: bytes) -> str:
    """Say which of the words behind the first is no number."""
    for part in rest.split(b" "):
        try:
            float(part)
        except ValueError:
            return f"expected a number, received {part[:40].decode(errors='replace')!r}"
    return "expected numbers between single spaces"
