"""Modules and names that are imported on first use: `kerasd2l list` never loads TensorFlow."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Keras imports these where they are installed, for functions that no command here calls: a third
# of the time in which TensorFlow is imported (2.6 instead of 3.7 s), a fifth of the memory.
FOR_KERAS_ALONE = ("matplotlib", "pandas", "sklearn")


class lazy:
    """Stand-in for a module; the first attribute access imports it.

    Args:
        name: str, absolute module name.

    Example:
        >>> math = lazy("math")
        >>> math.floor(2.5)
        2
    """

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)

    def __repr__(self) -> str:
        return f"lazy({self._name!r})"


@contextlib.contextmanager
def left_out(*names: str) -> Iterator[None]:
    """Let modules seem not installed to what is imported meanwhile; who asks later gets them.

    Example:
        >>> with left_out("zipapp"):
        ...     try:
        ...         import zipapp
        ...     except ImportError:
        ...         print("not there")
        not there
        >>> import zipapp
    """
    new = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(new))  # type: ignore[arg-type]  # None: Python's own "not there"
    try:
        yield
    finally:
        for name in new:
            del sys.modules[name]


def attach(
    package: str, exports: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make the `__getattr__`, `__dir__` and `__all__` of a package whose names load on first use.

    Args:
        package: str, the package's `__name__`.
        exports: maps each public name to the module (relative to the package) that defines it.
            The same name as the module itself means the module.
    """

    def __getattr__(name: str) -> Any:
        if name not in exports:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{exports[name]}")
        value = module if exports[name].rpartition(".")[2] == name else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__, lambda: sorted(exports), sorted(exports)
