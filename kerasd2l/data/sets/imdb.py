"""Reviews of films, negative or positive: IMDB's 25,000 + 25,000; built in: made from a grammar.

Section: "sentiment-analysis-and-dataset".
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from kerasd2l.data import archive, downloads, files, limits, pipeline
from kerasd2l.data.source import DataError, Source, resolve
from kerasd2l.data.text import PROSE, Tokenizer
from kerasd2l.data.words import WordTable
from kerasd2l.recipe import Data, TensorSpec

Reviews = list[tuple[str, int]]
FOLDER = "sentiment"
ARCHIVE = "aclImdb_v1.tar.gz"
URLS = (
    "https://d2l-data.s3-accelerate.amazonaws.com/",
    "https://ai.stanford.edu/~amaas/data/sentiment/",
)
SHA1 = "01ada507287d82875905620988597833ad4e0903"
CLASS_NAMES = ("negative", "positive")
TOKENIZERS = {"clean": Tokenizer("word", PROSE), "book": Tokenizer("word", lower=False)}
_REVIEW = re.compile(r"(?:.*/)?(train|test)/(pos|neg)/([^/.][^/]*\.txt)")

_log = logging.getLogger(__name__)


def load(
    source: Source | str | None = None,
    *,
    file: str | None = None,
    batch_size: int = 64,
    num_steps: int = 500,
    min_freq: int = 5,
    words: Literal["clean", "book"] = "clean",
) -> Data:
    """Load reviews as padded words with their lengths.

    Args:
        source: Source, or the name of its kind: "auto" (default), "builtin", "files", "download".
        file: see `reviews`.
        batch_size: int B, the global batch.
        num_steps: int T, words of a review; what is longer loses its end, as in the book.
        min_freq: int, words that are rarer in the training reviews become `<unk>`.
        words: "clean" (lower case, signs apart, without `<br />`) or "book" (what stands between
            white space, as it is).

    Returns:
        Data: x {"tokens": (B, T) int32, "lengths": (B,) int32}, y (B,) int32: 0 negative, 1
        positive. Padding is `<pad>` = 1; the book forgets it in `load_data_imdb` and fills with
        `<unk>`. assets["class_names"], ["vocabulary"], ["tokenizer"], ["num_steps"].

    Raises:
        DataError: the files are not to be had or not right.
        ValueError: a number out of range, or other words.

    Example:
        >>> load("builtin", num_steps=20).assets["vocabulary"][:2]
        ['<unk>', '<pad>']
    """
    if words not in TOKENIZERS:
        raise ValueError(f"`words` must be clean or book. Received: words={words!r}.")
    source = Source.of(source)
    table = WordTable(TOKENIZERS[words], num_steps)
    splits = reviews(source, file=file)
    encoded = {
        split: [table.encode(review, count=split == "train") for review, _ in found]
        for split, found in splits.items()
    }
    vocab = table.vocabulary(source.known("vocabulary"), min_freq=min_freq)
    batches = {}
    for split, found in encoded.items():
        tokens, lengths = table.pad(found, vocab)
        labels = np.array([label for _, label in splits[split]], np.int32)
        batches[split] = pipeline.from_arrays(
            ({"tokens": tokens, "lengths": lengths}, labels),
            batch_size=batch_size,
            seed=source.seed if split == "train" else None,
        )
    return pipeline.make_data(
        batches["train"],
        test=batches["test"],
        features={"tokens": TensorSpec((num_steps,), "int32"), "lengths": TensorSpec((), "int32")},
        assets={
            "class_names": list(CLASS_NAMES),
            "vocabulary": vocab.tokens,
            "tokenizer": TOKENIZERS[words].to_assets(),
            "num_steps": num_steps,
        },
    )


def reviews(source: Source | str | None = None, *, file: str | None = None) -> dict[str, Reviews]:
    """Read the reviews themselves: "train" and "test", each a list of (text, label).

    Args:
        source: Source or the name of its kind. Files: in DIR/sentiment the folder aclImdb with
            train/pos/*.txt and so on, or it in a .tar.gz, .tar or .zip.
        file: str, the name of that folder or archive. None: the folder `aclImdb`, else the largest
            archive named aclImdb*.

    Returns:
        Positive reviews have the label 1; by the names of their files, positive ones first.

    Raises:
        DataError: the files are not to be had or not right.
    """
    source = Source.of(source)
    if source.kind == "builtin":
        return builtin()
    own = _own(source, file)
    if own is None:
        own_name = file or ARCHIVE

        def fetch(folder: Path) -> None:
            if own_name != ARCHIVE:
                raise DataError(f"there is no download of {own_name}")
            downloads.fetch(folder, {ARCHIVE: SHA1}, URLS, source, max_bytes=1 << 27)

        folder = resolve(source, FOLDER, (own_name,), fetch)
        own = None if folder is None else folder / own_name
    return builtin() if own is None else read(own)


def read(path: Path) -> dict[str, Reviews]:
    """Read the reviews of a folder or an archive: {train,test}/{pos,neg}/*.txt, anywhere in it.

    Raises:
        DataError: a review that is empty, too long or not UTF-8, with its name; or a split or a
            class without reviews.
    """
    found: dict[str, dict[str, list]] = {s: {"pos": [], "neg": []} for s in ("train", "test")}
    characters = 0
    for name, content in _members(path):
        matched = _REVIEW.fullmatch(name)
        if matched is None:
            continue
        try:
            review = content.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, {name}: not UTF-8 ({error.reason}).") from error
        if not review:
            raise DataError(f"{path}, {name}: an empty review. Remove it, or get it anew.")
        characters += len(review)
        if len(content) > limits.REVIEW_BYTES or characters > limits.REVIEW_CHARACTERS:
            raise DataError(
                f"{path}: a review may have {limits.REVIEW_BYTES} bytes and all together "
                f"{limits.REVIEW_CHARACTERS} characters. {name} is beyond that. Take a part."
            )
        split, kind, file = matched.groups()
        found[split][kind].append((file, review))
    for split, kinds in found.items():
        for kind, texts in kinds.items():
            if not texts:
                raise DataError(f"{path} has no reviews {split}/{kind}/*.txt.")
    return {
        split: [
            (review, int(kind == "pos"))
            for kind, texts in kinds.items()
            for _, review in sorted(texts)
        ]
        for split, kinds in found.items()
    }


def builtin(size: int = 2000) -> dict[str, Reviews]:
    """Make reviews from a small grammar; every fifth is for the test. Always the same ones.

    Sentences praise or blame, some by denying the opposite ("was not boring"); a review has two to
    five of them and is called what most of them say. They are no reviews that anyone wrote.
    """
    rng = np.random.RandomState(0)  # numpy's frozen stream

    def one(words: tuple[str, ...]) -> str:
        return words[rng.randint(len(words))]

    found: dict[str, int] = {}
    while len(found) < size:
        label, count = rng.randint(2), rng.randint(2, 6)
        against = rng.randint((count + 1) // 2)  # fewer than half of them
        said = []
        for place in range(count):
            good = bool(label) != (place < against)
            denied = rng.randint(4) == 0
            word = one(_PRAISE if good != denied else _BLAME)
            no = one(("not", "never")) if denied else one(("", "really", "rather", "quite"))
            said.append(f"The {one(_PARTS)} {one(_VERBS)} {no} {word}.".replace("  ", " "))
        found[" ".join(said[i] for i in rng.permutation(count))] = int(label)
    rows = list(found.items())
    return {
        "train": [row for place, row in enumerate(rows) if place % 5],
        "test": [row for place, row in enumerate(rows) if not place % 5],
    }


_PARTS = tuple(
    "film story plot cast acting music ending beginning director script camera hero dialogue "
    "scenery photography humour".split()
)
_VERBS = ("was", "is", "seemed", "felt")
_PRAISE = tuple(
    "great wonderful brilliant moving funny touching clever beautiful superb charming gripping "
    "lovely".split()
)
_BLAME = tuple(
    "bad boring awful dull stupid weak terrible ugly silly lame tedious horrible".split()
)


def _own(source: Source, file: str | None) -> Path | None:
    """Return the user's own folder or archive of reviews, or None."""
    if source.kind not in ("auto", "files") or source.data_dir is None:
        return None
    folder = Path(source.data_dir) / FOLDER
    if file is not None:
        return folder / file if (folder / file).exists() else None
    if (folder / "aclImdb").is_dir():
        return folder / "aclImdb"
    kinds = ("*.tar.gz", "*.tgz", "*.tar", "*.zip")
    there = [path for kind in kinds for path in folder.glob(f"aclImdb{kind}")]
    if len(there) > 1:
        _log.info("several archives of reviews in %s: the largest one is read", folder)
    return max(there, key=lambda path: (path.stat().st_size, path.name), default=None)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each review, and of other files of an archive."""
    if not path.is_dir():
        yield from archive.read_members(path)
        return
    for kind in ("train/pos", "train/neg", "test/pos", "test/neg"):
        for place, file in enumerate(sorted((path / kind).glob("*.txt"))):
            if place == limits.FILES:
                raise DataError(f"{path / kind} has more than {limits.FILES} reviews.")
            yield f"{kind}/{file.name}", files.content(file, limits.REVIEW_BYTES)
