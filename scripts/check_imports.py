#!/usr/bin/env python
"""Check who imports whom, and other rules of the house that a reader of the code can see.

Reads every module of kerasd2l with `ast`, imports none. Prints file:line: message and exits with
1 if a rule is broken: an arrow between rooms that is not allowed, TensorFlow in a room that does
without, an environment read, a file that collects helpers, a file or function that is too long.
"""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "kerasd2l"
MOST_LINES = 400  # of a file
MOST_STATEMENT_LINES = 60  # of a function, its signature and docstring aside

# Room -> rooms that it may import besides itself. Everybody may use _lazy.
ALLOWED: dict[str, set[str]] = {
    "_lazy": set(),
    "contents": set(),
    "recipe": set(),
    "run": set(),
    "figures": set(),
    "layers": set(),
    "losses": set(),
    "detection_losses": {"losses"},
    "metrics": set(),
    "segmentation_metrics": set(),
    "detection_metrics": set(),
    "pixels": set(),
    "data": {"recipe", "pixels"},
    "optimizers": set(),
    "models": {"layers", "losses", "detection_losses"},
    "scratch": {"layers", "losses"},
    "decoding": {"layers"},
    "cluster": {"run"},
    "training": {"recipe", "run", "decoding", "cluster"},
    "endpoints": {"recipe", "run", "decoding", "pixels"},
    "export": {"recipe", "run", "decoding", "finding"},
    "serving": {"recipe", "run", "export", "endpoints", "figures"},
    "tasks": {
        "data",
        "models",
        "losses",
        "detection_losses",
        "metrics",
        "segmentation_metrics",
        "detection_metrics",
        "optimizers",
        "layers",
        "endpoints",
        "recipe",
        "scratch",
    },
    "convert": {"data", "models", "run"},
    "finding": {"recipe", "run", "contents"},
    "testing": {"recipe", "run", "training", "export", "finding"},
    "cli": {
        "recipe",
        "contents",
        "finding",
        "run",
        "training",
        "cluster",
        "convert",
        "export",
        "serving",
        "data",
    },
}
ALLOWED["chapters"] = set(ALLOWED) - {"cli", "convert", "serving", "finding"}

WITHOUT_TENSORFLOW = {
    "layers",
    "models",
    "losses",
    "detection_losses",
    "metrics",
    "segmentation_metrics",
    "optimizers",
}
# An own `train_step` needs the tape; `_quick...` is the branch of a layer behind a backend check.
MAY_USE_TENSORFLOW = ("train_step", "_quick")
MAY_READ_ENVIRONMENT = {
    "cli/__init__.py",
    "cli/console.py",
    "cli/launching.py",
    "cluster/ray_worker.py",  # the environment of a node of Ray
    "data/source.py",
    "training/small_steps.py",
}
NOBODYS_ROOM = {"utils.py", "common.py", "helpers.py", "misc.py"}


def check(root: Path) -> list[str]:
    """Return what is wrong in the package folder `root`, as "file:line: message"."""
    problems = []
    arrows: dict[str, set[str]] = {}
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        text = path.read_text("utf8")
        found = _check_file(name, text, root)
        problems += [f"{path}:{line}: {message}" for line, message in sorted(set(found))]
        arrows[name] = set(_files_imported(text, name, root))
    return problems + [f"{root / files[0]}:1: {message}" for files, message in _circles(arrows)]


def _files_imported(text: str, name: str, root: Path) -> Iterator[str]:
    """Yield the files of the package that a file imports, by their names under `root`."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.level or not node.module:
            continue
        parts = node.module.split(".")
        if parts[0] != PACKAGE:
            continue
        for alias in node.names:  # `from kerasd2l.data import idx` is the file idx, not the room
            for place in ([*parts[1:], alias.name], parts[1:]):
                file = "/".join(place) + ".py"
                if place and (root / file).is_file():
                    if file != name:
                        yield file
                    break


def _circles(arrows: dict[str, set[str]]) -> Iterator[tuple[list[str], str]]:
    """Yield (files, message) of a circle of files, and of one of rooms."""
    rooms: dict[str, set[str]] = {}
    for name, others in arrows.items():
        mine = _room(name)
        rooms.setdefault(mine, set()).update({_room(other) for other in others} - {mine})
    for kind, graph in (("files", arrows), ("rooms", rooms)):
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            circle = list(error.args[1])
            yield circle, f"a circle of {kind}: {' <- '.join(circle)}"


def _room(name: str) -> str:
    return name.partition("/")[0].removesuffix(".py")


def _check_file(name: str, text: str, root: Path) -> Iterator[tuple[int, str]]:
    if name.rpartition("/")[2] in NOBODYS_ROOM:
        yield 1, "a helper lives with its user, not in a file of this name"
    lines = text.count("\n")
    if lines > MOST_LINES:
        yield lines, f"the file has {lines} lines. Allowed: {MOST_LINES}"
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield error.lineno or 1, f"no Python: {error.msg}"
        return
    yield from _check_functions(tree)
    if name not in MAY_READ_ENVIRONMENT:
        yield from _check_environment(tree)
    room = _room(name)
    for line, module, in_train_step in _imports(tree, name):
        parts = module.split(".")
        if parts[0] == PACKAGE:
            yield from _check_arrow(name, room, line, parts[1:], root)
        elif parts[0] == "tensorflow" and room in WITHOUT_TENSORFLOW and not in_train_step:
            yield line, f"{room} does without TensorFlow: use keras and keras.ops"


def _check_arrow(
    name: str, room: str, line: int, target: list[str], root: Path
) -> Iterator[tuple[int, str]]:
    """Judge one import of ours; `target` is what follows "kerasd2l."."""
    other = target[0] if target else ""
    if other in ("", "__version__", "_lazy"):
        return
    if not (root / other).is_dir() and not (root / f"{other}.py").is_file():
        yield line, f"import {other} from the module that defines it, not from {PACKAGE}"
    elif room == "chapters" == other:
        yield line, f"no section imports another one: {'.'.join(target)}. What they share is a task"
    elif room not in (other, "__init__"):
        allowed = ALLOWED.get(room)
        if allowed is None:
            yield line, f"{room} is a new room: say in scripts/check_imports.py what it may import"
        elif other not in allowed:
            may = ", ".join(sorted(allowed)) or "no other room"
            yield line, f"{room} must not import {other}. It may import: {may}"


def _imports(tree: ast.Module, name: str) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, absolute module or name, whether inside a function that may use TensorFlow)."""
    package = [PACKAGE, *name.split("/")[:-1]]
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name.startswith(MAY_USE_TENSORFLOW)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            modules = [module]
            if module in (PACKAGE, f"{PACKAGE}.chapters"):  # `from kerasd2l import data`
                modules = [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and _is_import_call(node.func):
            modules = [
                argument.value
                for argument in node.args[:1]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            ]
        else:
            continue
        for module in modules:
            yield node.lineno, module, id(node) in inside


def _is_import_call(function: ast.expr) -> bool:
    """Whether a call imports the module named in its argument: lazy, import_module."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("lazy", "import_module", "__import__")


def _check_functions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if lines > MOST_STATEMENT_LINES:
                yield (
                    node.lineno,
                    f"{node.name} has {lines} lines. Allowed: {MOST_STATEMENT_LINES}",
                )


def _check_environment(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Find reads of the environment; setting a variable or `os.environ.update` is none."""
    message = "the environment is read in cli/ and data/source.py only: take it as an argument"
    written = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
            written.add(id(node.value))
        if isinstance(node, ast.Attribute) and node.attr in ("update", "setdefault"):
            written.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            if isinstance(node.value, ast.Name) and node.value.id == "os":
                if id(node) not in written:
                    yield node.lineno, message
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            if {alias.name for alias in node.names} & {"environ", "environb", "getenv"}:
                yield node.lineno, message


def main() -> int:
    """Check the folder given, or the package beside this script."""
    here = Path(__file__).resolve().parent.parent / PACKAGE
    problems = check(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
