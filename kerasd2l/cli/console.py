"""How the command line talks: errors, options, and values as text or JSON."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import logging
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from kerasd2l import finding
from kerasd2l._lazy import FOR_KERAS_ALONE, left_out
from kerasd2l.cli import keras_settings
from kerasd2l.cli.program import ends_at_once, say
from kerasd2l.data.source import KINDS, OWN_PICTURES, is_utf8
from kerasd2l.recipe import Demo, Recipe
from kerasd2l.run import plain, writing

EXIT_NOT_FINITE = 3


class _Talk(logging.Handler):
    """Says what the library logs, from "info" on, as the rest of the talk is said."""

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


@contextlib.contextmanager
def _talk() -> Iterator[None]:
    logger, talk = logging.getLogger("kerasd2l"), _Talk()
    before = logger.level, logger.propagate
    logger.addHandler(talk)
    logger.setLevel(logging.INFO)
    # A library that logs without a logger of its own (`logging.info`) gives the root one a handler
    # that writes to stderr, too: each line would be said twice.
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(talk)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def print_json(content: Any) -> None:
    """Print the one JSON object of --json."""
    text = json.dumps(plain(content), ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf8")
    except UnicodeEncodeError:  # a name that is no UTF-8, or a terminal that has no accents
        text = json.dumps(plain(content))
    click.echo(text)


@contextlib.contextmanager
def known_failures() -> Iterator[None]:
    """Turn the library's own errors into one line and an exit code; bugs keep their traceback."""
    from kerasd2l.cluster import ClusterError
    from kerasd2l.convert import ConvertError
    from kerasd2l.data import DataError, data_error_in
    from kerasd2l.export import SavedModelError
    from kerasd2l.run import RunError
    from kerasd2l.serving import ArgumentError, InputError
    from kerasd2l.training import CheckpointError, LoopError, NonFiniteLoss, Preempted, RecipeError

    try:
        with (
            _talk(),
            contextlib.redirect_stdout(sys.stderr),
        ):  # libraries print; stdout is for the result
            yield
    except NonFiniteLoss as error:
        say(f"Error: {error}")
        sys.exit(EXIT_NOT_FINITE)
    except Preempted as error:
        say(str(error))
        sys.exit(error.exit_code)
    except (RecipeError, ArgumentError) as error:
        raise usage_error(error) from error
    except (
        RunError,
        DataError,
        CheckpointError,
        SavedModelError,
        InputError,
        ClusterError,
        ConvertError,
        LoopError,
        OSError,  # a full disk, a folder that may not be written: the message names the file
    ) as error:
        raise click.ClickException(str(error)) from error
    except Exception as error:
        told = data_error_in(error) if type(error).__module__.startswith("tensorflow") else None
        if told is None:
            raise
        raise click.ClickException(str(told)) from error


@contextlib.contextmanager
def known_refusals() -> Iterator[None]:
    """As `known_failures`, for a server's answers: without loading TensorFlow."""
    from kerasd2l.export import SavedModelError
    from kerasd2l.serving import ArgumentError, InputError

    try:
        yield
    except ArgumentError as error:
        raise usage_error(error) from error
    except (SavedModelError, InputError, OSError) as error:
        raise click.ClickException(str(error)) from error


def usage_error(error: Exception, hint: str | None = None) -> click.BadParameter:
    """Make the error of a wrong argument: exit code 2."""
    return click.BadParameter(str(error), param_hint=hint)


def use_tensorflow() -> None:
    """Prepare the process for TensorFlow: its backend, and less noise on stderr."""
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise click.ClickException(
            f"KERAS_BACKEND={backend}: this command trains and exports with TensorFlow. "
            "Unset KERAS_BACKEND. (The models themselves run on other backends when imported.)"
        )
    if os.environ.get("TF_USE_LEGACY_KERAS", "0").lower() in ("1", "true"):
        raise click.ClickException("TF_USE_LEGACY_KERAS is set: kerasd2l needs Keras 3. Unset it.")
    temporary = tempfile.gettempdir()
    if not is_utf8(temporary):  # TensorFlow writes Python there, and cannot read it
        raise click.ClickException(
            f"the folder of temporary files, {temporary!r}, is not named in UTF-8. "
            "Set TMPDIR to another."
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _quiet_stderr(), ends_at_once():
        import_tensorflow()
    keras_settings.reset(say)


def import_tensorflow() -> None:
    """Import TensorFlow, which reads the user's keras.json, as Keras does, and asserts of it."""
    try:
        with left_out(*FOR_KERAS_ALONE):
            importlib.import_module("tensorflow")
    except (AssertionError, AttributeError, ValueError) as error:
        path = keras_settings.path(os.environ)
        if not path.is_file():
            raise
        raise click.ClickException(
            f"TensorFlow and Keras cannot be imported with {path}: "
            f"{keras_settings.read(os.environ)}. Correct or remove that file."
        ) from error


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what C++ writes to file descriptor 2: TensorFlow greets there at import.

    `kerasd2l doctor` says what failed to load. An exception lets everything through.
    """
    sys.stderr.flush()
    there = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(there, held.read())
            raise
        finally:
            os.dup2(there, 2)
            os.close(there)


def load(name: str, settings: dict[str, Any]) -> Recipe | Demo:
    """Load a recipe or demo for a command: wrong names and values are usage errors."""
    try:
        return finding.load(name, **settings)
    except finding.UnknownName as error:
        raise usage_error(error) from error
    except (TypeError, ValueError) as error:
        raise usage_error(error, "--set") from error


def load_recipe(name: str, settings: dict[str, Any]) -> Recipe:
    """Load a recipe; a demo has nothing to train."""
    found = load(name, settings)
    if not isinstance(found, Recipe):
        raise click.BadParameter(f"{found.name} is a demo: use `kerasd2l run {name}`.")
    return found


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Split KEY=VALUE pairs."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"expected KEY=VALUE. Received: {pair!r}.", param_hint="--set")
        settings[key.strip().replace("-", "_")] = value.strip()
    return settings


def check_skip_broken(found: Recipe, wanted: bool) -> None:
    """Refuse --skip-broken where nothing can be skipped.

    Raises:
        click.BadParameter: the recipe reads no pictures, or those of a published set.
    """
    if not wanted:
        return
    datasets = [a for a in arguments_of(found.name).values() if a.path == "pictures.dataset"]
    if not datasets:
        raise click.BadParameter(
            f"{found.name} reads no pictures of one's own: nothing to skip. Leave it away.",
            param_hint="--skip-broken",
        )
    if found.dataset not in OWN_PICTURES:
        own = next((name for name in OWN_PICTURES if name in str(datasets[0].annotation)), None)
        raise click.BadParameter(
            "it is for pictures of one's own; published sets are read whole or not at all. "
            f"Received: dataset={found.dataset}. Use dataset={own or OWN_PICTURES[0]}.",
            param_hint="--skip-broken",
        )


def take_options(settings: dict[str, Any], **flags: bool) -> dict[str, bool]:
    """Take what was an argument of recipes once, and is an option now, out of the settings.

    Args:
        settings: of --set; `skip_broken=true` in it is what --skip-broken says.
        **flags: option -> whether it was given.

    Returns:
        Option -> whether it is wished for.
    """
    for name in flags.keys() & settings.keys():
        try:
            flags[name] |= finding.convert(name, settings.pop(name), bool)
        except TypeError as error:
            raise usage_error(error, "--set") from error
    return flags


def arguments_of(name: str) -> dict[str, finding.Argument]:
    """Return the arguments of a recipe or demo by name."""
    return finding.parameters(finding.find(name).function)


class HomePath(click.Path):
    """A path in which `~` is a home folder, also where the shell does not see it: --out=~/runs."""

    def __init__(self, **options: Any):
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        path = os.path.expanduser(value)
        if os.fspath(path).partition("/")[0] == "~":
            self.fail(
                f"no home folder is known for {str(value)!r}. Give the whole path.", param, ctx
            )
        if not is_utf8(os.fspath(path)):
            self.fail(
                f"{os.fsencode(path)!r} is not UTF-8, the only names that TensorFlow can open. "
                "Rename it, or give another.",
                param,
                ctx,
            )
        return super().convert(path, param, ctx)


class Seconds(click.FloatRange):
    """Seconds, 0 or more; `nan`, which is less than nothing and not more, is none."""

    def __init__(self):
        super().__init__(min=0)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail("nan is not a number of seconds.", param, ctx)
        return seconds


def data_options(default: str | None = "auto", help: str = "Where the data comes from."):
    """Add --data and --data-dir."""
    kinds = click.Choice(KINDS)
    folder = HomePath()

    def add(command):
        command = click.option(
            "--data-dir",
            type=folder,
            help="Folder of --data files [KERASD2L_DATA] or of --data tfds [TFDS_DATA_DIR].",
        )(command)
        return click.option("--data", type=kinds, default=default, help=help)(command)

    return add


skip_broken_option = click.option(
    "--skip-broken", is_flag=True, help="Leave out broken pictures of one's own, and count them."
)
jit_compile_option = click.option(
    "--jit-compile", is_flag=True, help="Compile the training step with XLA (one replica)."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
savedmodels_option = click.option(
    "--savedmodels",
    type=HomePath(file_okay=False),
    default=Path("savedmodels"),
    show_default=True,
    help="Folder of exported models.",
)


def draw(served: Any, inputs: tuple[str, ...], outputs: dict[str, Any], out: Path) -> None:
    """Draw pictures with classes, boxes or masks, or attention; other answers have no picture."""
    from kerasd2l import serving as room

    if room.attends(outputs):
        save_drawing(room.attention_figure(outputs), out)
        return
    finds, segments = room.finds(outputs), room.segments(outputs)
    named = finds or segments or served.class_names is not None
    if not named or not all(Path(word).is_file() for word in inputs):
        raise room.ArgumentError(
            "--out draws the answers of image classifiers, of detectors, of segmenters and of "
            "models with attention only. Leave it away."
        )
    if finds:
        save_drawing(room.boxes_figure(inputs, outputs), out)
        return
    if segments:
        colours = served.manifest.get("assets", {}).get("colours")
        save_drawing(room.mask_figure(inputs, outputs, served.class_names, colours), out)
        return
    save_drawing(room.figure(list(inputs), outputs, served.class_names), out)


def save_drawing(figure: Any, out: Path) -> None:
    """Write a figure into a file; its ending says the format."""
    from kerasd2l import serving as room

    try:
        with writing(out):
            figure.savefig(out, dpi=120)
    except ValueError as error:  # an ending that matplotlib does not know
        raise room.InputError(f"cannot draw into {out}: {error}") from error


def jsonable(outputs: dict[str, Any]) -> dict[str, Any]:
    """Turn arrays into lists, and bytes into str where they are text, else {"b64": ...}."""

    def text(value: Any) -> Any:
        if isinstance(value, bytes):
            try:
                return value.decode("utf8")
            except UnicodeDecodeError:  # as TensorFlow Serving writes and reads them
                return {"b64": base64.b64encode(value).decode("ascii")}
        return [text(item) for item in value] if isinstance(value, list) else value

    return {
        key: text(getattr(value, "tolist", lambda v=value: v)()) for key, value in outputs.items()
    }


def value_lines(key: str, value: Any, indent: str = "") -> str:
    """Say a named value to a person; a dict becomes indented lines."""
    if isinstance(value, dict):
        inner = [value_lines(k, v, indent + "  ") for k, v in value.items()]
        return "\n".join([f"{indent}{key}:", *inner])
    if isinstance(value, float):
        value = f"{value:.6g}"
    elif (
        isinstance(value, (list, tuple)) and len(value) and not isinstance(value[0], (list, tuple))
    ):
        value = ", ".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in value)
    return f"{indent}{key}: {value}"
