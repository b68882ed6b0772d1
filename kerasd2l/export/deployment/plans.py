"""What is to be served: which models and versions of a folder, by which image, from which place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kerasd2l.export import manifest
from kerasd2l.export.manifest import SavedModelError

# The newest release of TF Serving when this was written; its images have the numbers of releases.
IMAGE = "tensorflow/serving:2.20.0"
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"


@dataclass(frozen=True)
class Model:
    """One model of a folder.

    Args:
        name: str, its folder's name, under which it is served.
        versions: the numbers that are there, ascending.
        size: int, bytes of the newest version.
        batches: bool, requests to each of its signatures may be put together: all inputs have a
            batch axis and no other free one, and so have all outputs a batch axis.
        labels: label -> version.
    """

    name: str
    versions: tuple[int, ...]
    size: int
    batches: bool
    labels: Mapping[str, int] = field(default_factory=dict)

    @property
    def dns_name(self) -> str:
        """The name as Kubernetes takes names: small letters, digits and `-`."""
        return re.sub("[^a-z0-9]+", "-", self.name.lower()).strip("-")[:63].strip("-") or "model"


@dataclass(frozen=True)
class Plan:
    """What the files of a deployment say.

    Args:
        folder: the folder whose folders are the models.
        models: of these.
        versions: "latest", "all", or how many of the newest are served.
        image: str, the image of TF Serving, with its tag.
        storage: str, where the folder lies for those who do not see this disk, e.g.
            "gs://bucket/savedmodels" or "pvc://claim/savedmodels"; None: the target's default.
    """

    folder: Path
    models: tuple[Model, ...]
    versions: str = "latest"
    image: str = IMAGE
    storage: str | None = None

    @property
    def tag(self) -> str:
        """The image's tag: the release of TF Serving."""
        return self.image.rpartition("/")[2].partition(":")[2]

    @property
    def batches(self) -> bool:
        """Whether TF Serving may batch: one setting for all models of a server."""
        return all(model.batches for model in self.models)

    @property
    def newest(self) -> int | None:
        """How many of the newest versions are served; None: all."""
        return None if self.versions == "all" else int(self.versions.replace("latest", "1"))

    @property
    def memory(self) -> int:
        """GiB that a server of all models may take while a new version replaces another."""
        needed = (1 << 29) + 6 * sum(model.size for model in self.models)
        return max(1, -(-needed // (1 << 30)))


def plan(
    path: str | Path,
    *,
    versions: str = "latest",
    labels: Sequence[str] = (),
    image: str = IMAGE,
    storage: str | None = None,
) -> Plan:
    """Look at a folder of models, or at one NAME folder in it, and check what is asked of them.

    Args:
        path: the folder.
        versions: "latest", "all", or a number.
        labels: "[NAME/]LABEL=VERSION"; NAME may be left out where there is one model.
        image: str, with a tag.
        storage: str or None, see `Plan`.

    Raises:
        SavedModelError: no models there.
        ValueError: versions, a label or an image that cannot be; it says which.
    """
    path = Path(path)
    folders = [path] if _versions(path) else sorted(filter(_is_model, _children(path)))
    if not folders:
        raise SavedModelError(
            f"{path} holds no NAME/VERSION/saved_model.pb. Give a folder of exported models, one "
            "of its NAME folders, or the folder of a run."
        )
    if not re.fullmatch("latest|all|[1-9][0-9]{0,8}", versions):
        raise ValueError(f"versions must be latest, all or a number. Received: {versions!r}.")
    if not re.fullmatch(r"[^\s:]+(:[0-9]+/[^\s:]+)?:[A-Za-z0-9_][A-Za-z0-9_.-]*", image):
        raise ValueError(f"the image needs a tag, such as {IMAGE}. Received: {image!r}.")
    found = Plan(
        path.resolve().parent if folders == [path] else path.resolve(),
        tuple(_model(folder.resolve()) for folder in folders),
        versions,
        image,
        storage.rstrip("/") if storage else None,
    )
    asked = _labels(found, labels)
    models = tuple(replace(model, labels=asked[model.name]) for model in found.models)
    return replace(found, models=models)


def _labels(found: Plan, words: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return model -> label -> version."""
    models = {model.name: model for model in found.models}
    labels: dict[str, dict[str, int]] = {name: {} for name in models}
    for word in words:
        match = re.fullmatch(rf"(?:({NAME})/)?([^/=\s:]+)=([0-9]{{1,18}})", word)
        if not match or (match[1] is None and len(models) > 1):
            raise ValueError(
                f"a label must be {'NAME/' * (len(models) > 1)}LABEL=VERSION. Received: {word!r}."
            )
        name = match[1] or next(iter(models))
        if name not in models:
            raise ValueError(f"{word!r}: no model {name!r}. There are: {', '.join(models)}.")
        served = models[name].versions[-(found.newest or 0) :]
        if int(match[3]) not in served:
            raise ValueError(
                f"{word!r}: version {match[3]} is not served. Of {name} these are: "
                f"{', '.join(map(str, served))} (versions: {found.versions})."
            )
        labels[name][match[2]] = int(match[3])
    return labels


def _children(path: Path) -> list[Path]:
    return list(path.iterdir()) if path.is_dir() else []


def _is_model(path: Path) -> bool:
    return bool(re.fullmatch(NAME, path.name)) and bool(_versions(path))


def _versions(path: Path) -> list[int]:
    """Return the version numbers in a NAME folder, ascending."""
    there = [child for child in _children(path) if re.fullmatch("[0-9]+", child.name)]
    return sorted(int(child.name) for child in there if (child / "saved_model.pb").is_file())


def _model(folder: Path) -> Model:
    versions = _versions(folder)
    newest = next(c for c in folder.iterdir() if c.name.isdigit() and int(c.name) == versions[-1])
    size = sum(file.stat().st_size for file in newest.rglob("*") if file.is_file())
    try:
        signatures = manifest.read(newest).get("signatures", {})
    except SavedModelError:  # exported by another program: nobody knows
        signatures = {}
    batches = bool(signatures) and all(map(_batches, signatures.values()))
    return Model(folder.name, tuple(versions), size, batches)


def _batches(signature: dict) -> bool:
    """Whether requests to a signature can be put together without padding."""
    inputs = [value["shape"] for value in signature["inputs"].values()]
    outputs = [value["shape"] for value in signature["outputs"].values()]
    return all(shape and None not in shape[1:] for shape in inputs) and all(
        shape and shape[0] is None for shape in outputs
    )
