"""Read the plain data in a pickle without running it.

`pickle.load`, restricted or not, executes a program. This reader looks at the program's opcodes
and builds dicts, lists, tuples, numbers, strings and byte arrays itself; whatever else the program
asks for is refused, and no name of it is ever imported.
"""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kerasd2l.data.source import DataError

MAX_BYTES = 64 << 20

_VALUES = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "BINFLOAT"}
_VALUES |= {"BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING"}  # Python 2's bytes
_NAMES = {  # the three names that an array of bytes consists of; they stay names
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}


@dataclass(frozen=True)
class _Name:
    """A global of the pickle, known by name only."""

    name: str


@dataclass
class _Array:
    """An array that the pickle is about to describe."""

    value: np.ndarray | None = None


class _UByte:
    """The dtype of bytes."""


_MARK = object()
_ORDERS: tuple[Literal["C"], Literal["F"]] = ("C", "F")


def read(content: bytes, name: str) -> Any:
    """Read dicts, lists, tuples, numbers, strings and arrays of bytes from a pickle.

    Args:
        content: bytes of the file; protocols 1 to 4.
        name: str, what errors call it.

    Returns:
        The data; Python 2's strings are bytes, arrays are read-only uint8.

    Raises:
        DataError: the pickle holds something else, or is damaged.
    """
    if len(content) > MAX_BYTES:
        raise DataError(f"{name}: expected at most {MAX_BYTES} bytes, received {len(content)}.")
    machine = _Machine()
    position: int | None = 0
    try:
        for opcode, argument, place in pickletools.genops(content):
            position = place
            if opcode.name == "STOP":
                (value,) = machine.stack
                return _finish(value)
            machine.step(opcode.name, argument)
    except _Refused as error:
        raise DataError(
            f"{name}: expected plain data, received {error} at byte {position}. It is not read."
        ) from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{name} is a damaged pickle ({error}) at byte {position}.") from error
    raise DataError(f"{name} is a damaged pickle: it does not end.")


class _Refused(Exception):
    """Something that plain data does not need."""


class _Machine:
    """The stack and the memo of a pickle."""

    def __init__(self):
        self.stack: list = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in _VALUES:
            stack.append(argument)
        elif name in _STRINGS:
            stack.append(argument.encode("latin-1"))
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _BUILDERS:
            _BUILDERS[name](self)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "GLOBAL":
            stack.append(_known(argument))
        elif name == "STACK_GLOBAL":
            member, module = stack.pop(), stack.pop()
            if not isinstance(member, str) or not isinstance(module, str):
                raise TypeError("a name that is no text")
            stack.append(_known(f"{module} {member}"))
        else:
            raise _Refused(f"the operation {name}")

    def items(self) -> list:
        """Take what lies above the last mark, and the mark."""
        place = max(i for i, item in enumerate(self.stack) if item is _MARK)
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken

    def tuple_of(self, count: int) -> None:
        taken = tuple(self.stack[-count:])
        if len(taken) != count:
            raise IndexError("too few values")
        self.stack[-count:] = [taken]

    def dict_of(self) -> None:
        taken = self.items()
        self.stack.append({})
        self.set_items(taken)

    def append(self) -> None:
        value = self.stack.pop()
        self.stack[-1].append(value)

    def appends(self) -> None:
        taken = self.items()
        self.stack[-1].extend(taken)

    def set_items(self, taken: list) -> None:
        if not all(isinstance(key, (str, bytes, int)) for key in taken[::2]):
            raise _Refused("a key that is neither text nor number")
        self.stack[-1].update(zip(taken[::2], taken[1::2], strict=True))

    def set_item(self) -> None:
        value = self.stack.pop()
        self.set_items([self.stack.pop(), value])

    def reduce(self) -> None:
        """Start an array of bytes, or its dtype: the only calls that are understood."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if function == _Name("array") and arguments[0] == _Name("ndarray"):
            self.stack.append(_Array())
        elif function == _Name("dtype") and arguments[0] in ("u1", b"u1"):
            self.stack.append(_UByte())
        else:
            raise _Refused(f"a call of {getattr(function, 'name', type(function).__name__)}")

    def build(self) -> None:
        """Fill an array of bytes."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _UByte):
            return  # byte order and the like, which bytes have not
        if not isinstance(target, _Array):
            raise _Refused(f"a state for {type(target).__name__}")
        _, shape, dtype, by_columns, content = state
        if not isinstance(dtype, _UByte) or not isinstance(content, bytes):
            raise _Refused("an array of something else than bytes")
        if not isinstance(shape, tuple) or not all(type(size) is int for size in shape):
            raise TypeError("a shape that is none")
        if math.prod(shape) != len(content):
            raise ValueError(f"{len(content)} bytes for an array of shape {shape}")
        target.value = np.frombuffer(content, np.uint8).reshape(shape, order=_ORDERS[by_columns])


_BUILDERS = {
    "EMPTY_DICT": lambda machine: machine.stack.append({}),
    "EMPTY_LIST": lambda machine: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine: machine.stack.append(()),
    "TUPLE": lambda machine: machine.stack.append(tuple(machine.items())),
    "TUPLE1": lambda machine: machine.tuple_of(1),
    "TUPLE2": lambda machine: machine.tuple_of(2),
    "TUPLE3": lambda machine: machine.tuple_of(3),
    "LIST": lambda machine: machine.stack.append(machine.items()),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "DICT": _Machine.dict_of,
    "SETITEM": _Machine.set_item,
    "SETITEMS": lambda machine: machine.set_items(machine.items()),
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}


def _known(name: str) -> _Name:
    if name not in _NAMES:
        raise _Refused(f"the name {name.replace(' ', '.')}")
    return _Name(_NAMES[name])


def _finish(value: Any, done: dict[int, Any] | None = None) -> Any:
    """Put arrays in the place of their descriptions; what is shared stays shared."""
    done = {} if done is None else done
    if id(value) in done:
        return done[id(value)]
    result: Any
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array without content")
        result = value.value
    elif isinstance(value, (_Name, _UByte)):
        raise _Refused(f"a bare {type(value).__name__.strip('_').lower()}")
    elif isinstance(value, dict):
        result = {key: _finish(item, done) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        result = type(value)([_finish(item, done) for item in value])
    else:
        return value
    done[id(value)] = result
    return result
