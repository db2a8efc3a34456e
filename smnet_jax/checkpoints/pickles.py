"""Reading pickles from strangers: tensors, arrays and plain containers, nothing else.

Python's own unpickler calls whatever a file names, and even with a strict `find_class` a file can make it reserve
gigabytes (a large memo index) or hash nested tuples for ever. So the format is interpreted here: the operations that
a checkpoint needs are spelled out below, the only functions that a file can call are the few of `_CALLS`, all ours,
and what is built is never larger than the file allows. Anything else is `Refused`. PyTorch is not needed.
"""

import io
import mmap
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO, cast

import numpy as np

MAX_OPERATIONS = 300_000  # SMNet's checkpoints take about 5,000; each operation costs at most ~100 bytes
MAX_DIMENSIONS = 8
MAX_INTEGER = 2**48  # of a shape or an offset; more is nonsense, and NumPy would overflow

# Storage class in torch's namespace -> how its elements lie in the file (bfloat16 as raw 16-bit words).
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "<u1",
}
_NUMPY_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


class Refused(ValueError):
    """The file cannot be read, or not safely. The message names no file: the caller knows it."""


def quoted(text: str) -> str:
    """`text` of a stranger fit for a message: short, on one line, without terminal control characters."""
    return repr(text if len(text) <= 100 else text[:97] + "...")


@dataclass(frozen=True)
class Name:
    """A global that the file mentions. It is only a word here, never the object of that name."""

    text: str


@dataclass(frozen=True)
class Storage:
    """Torch's flat block of numbers; the numbers themselves lie elsewhere in the file, under `key`."""

    kind: str  # a key of STORAGES
    key: str
    count: int  # elements


@dataclass(frozen=True)
class Tensor:
    """A torch tensor: a strided window on a storage, inside it, but maybe larger by stride 0. Units are elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass
class Array:
    """A NumPy array, or scalar, on its way: made by a call, filled by a BUILD."""

    shape: tuple[int, ...] = ()
    dtype: np.dtype | None = None
    data: bytes = b""
    fortran: bool = False

    def numpy(self) -> np.ndarray:
        """The array, a read-only view where the data lies in row-major order."""
        if self.dtype is None:
            raise Refused("it holds an array without content")
        if prod(self.shape) * self.dtype.itemsize != len(self.data):
            raise Refused(f"it holds an array of shape {self.shape} with {len(self.data)} bytes")
        if not self.data:
            return np.empty(self.shape, self.dtype)
        return np.frombuffer(self.data, self.dtype).reshape(self.shape, order="F" if self.fortran else "C")


@dataclass(frozen=True)
class Inert:
    """Some object that stands beside the weights in a checkpoint, as argparse's Namespace: never made, nor its content
    kept."""

    text: str


@dataclass
class _Dtype:
    code: str  # as "f4"
    order: str = "<"


def load(stream: io.BytesIO | mmap.mmap, storages: dict[str, Storage] | None = None) -> Any:
    """Read one pickle from `stream`, which is left behind its end; torch's storages are collected in `storages`.

    `stream` must be bounded by what exists (a BytesIO or an mmap): a declared length then costs nothing.
    The result is made of dict (in file order), list, tuple, str, bytes, numbers, None, Tensor, Storage, Array, Name.
    Raises Refused for whatever does not fit, whether hostile or damaged.
    """
    try:
        return _interpret(stream, {} if storages is None else storages)
    except Refused:
        raise
    except Exception as error:  # every other failure means the same: these bytes are no sound pickle
        raise Refused(f"its pickled part is damaged ({type(error).__name__}); download or save it again") from error


def _interpret(stream: io.BytesIO | mmap.mmap, storages: dict[str, Storage]) -> Any:
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    argument: Any

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for count, (operation, argument, _) in enumerate(pickletools.genops(cast(BinaryIO, stream))):
        if count >= MAX_OPERATIONS:
            raise Refused(f"its pickled part has more than {MAX_OPERATIONS:,} operations")
        match operation.name:
            case "PROTO" | "FRAME":
                pass
            case (
                "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT"
                | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8" | "BINSTRING" | "SHORT_BINSTRING"
                | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8"
            ):  # fmt: skip
                stack.append(argument)
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case "MARK":
                marks.append(len(stack))
            case "POP":
                stack.pop()
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(operation.name[-1])
                stack[-size:] = [tuple(stack[-size:])]
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND":
                item = stack.pop()
                _extend(stack[-1], [item])
            case "APPENDS":
                items = since_mark()
                _extend(stack[-1], items)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                pair = [stack.pop(), stack.pop()][::-1]
                _set_items(stack[-1], pair)
            case "SETITEMS":
                items = since_mark()
                _set_items(stack[-1], items)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_admitted(argument))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_admitted(f"{module} {name}" if isinstance(module, str) and isinstance(name, str) else ""))
            case "BINPERSID":
                storage = _storage(stack.pop())
                if storages.setdefault(storage.key, storage) != storage:
                    raise Refused(f"it declares storage {quoted(storage.key)} in two ways")
                stack.append(storage)
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_call(function, arguments))
            case "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                if not (isinstance(function, Name) and function.text in _INERT and arguments == ()):
                    raise Refused("its pickled part makes an object of a class; nothing was run")
                stack.append(Inert(function.text))
            case "BUILD":
                state = stack.pop()
                _build(stack[-1], state)
            case "STOP":
                return stack.pop()
            case other:
                raise Refused(f"its pickled part uses {other}, which no checkpoint of tensors needs; nothing was run")
    raise Refused("its pickled part has no end")


def _extend(target: Any, items: list[Any]) -> None:
    if type(target) is not list:
        raise Refused(f"its pickled part appends to a {type(target).__name__}")
    target.extend(items)


def _set_items(target: Any, items: list[Any]) -> None:
    """Keys are words and small numbers only: hashing nested tuples, or chosen large numbers, can take for ever."""
    if type(target) is not dict or len(items) % 2:
        raise Refused("its pickled part fills something that is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not (isinstance(key, str) or (isinstance(key, int) and 0 <= key < 2**31)):
            raise Refused(f"it holds a dict with a key of type {type(key).__name__}")
        if key in target:
            raise Refused(f"it holds {quoted(str(key))} twice")
        target[key] = value


def _admitted(name: str) -> Name:
    if name not in _CALLS and name not in _WORDS and name not in _INERT:
        dotted = quoted(name.replace(" ", "."))
        raise Refused(
            f"it names {dotted}, which is neither a tensor nor a plain container; nothing was run; "
            "save the weights alone with torch.save(model.state_dict(), path)"
        )
    return Name(name)


def _call(function: Any, arguments: Any) -> Any:
    if not isinstance(function, Name) or function.text not in _CALLS or type(arguments) is not tuple:
        raise Refused("its pickled part calls something that is no constructor of tensors; nothing was run")
    return _CALLS[function.text](*arguments)


def _build(target: Any, state: Any) -> None:
    """Give a made object its content: NumPy's way. On an ordered dict torch hangs version numbers: ignored."""
    match target, state:
        case dict() | Inert(), dict():
            pass
        case _Dtype(), (int(), "<" | ">" | "|" as order, None, None, None, int(), int(), int()):
            target.order = order
        case Array(dtype=None), (int(), tuple() as shape, _Dtype() as dtype, bool() as fortran, bytes() as data):
            target.shape, target.dtype, target.data, target.fortran = _shape(shape), _dtype(dtype), data, fortran
        case _:
            raise Refused(f"its pickled part sets the state of a {type(target).__name__}; nothing was run")


def _ordered_dict(pairs: Any = ()) -> dict:
    result: dict = {}
    for key, value in pairs:  # Python 2 wrote the items here, Python 3 adds them afterwards
        _set_items(result, [key, value])
    return result


def _storage(identity: Any) -> Storage:
    match identity:
        case ("storage", Name(text), str() as key, str(), int() as count, *view) if view in ([], [None]):
            kind = text.removeprefix("torch ")
            if kind in STORAGES and 0 <= count < MAX_INTEGER:
                return Storage(kind, key, count)
    raise Refused("it refers to data outside itself, or to a kind of storage that is not supported")


def tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    """The window must lie inside the storage. By stride 0 it may still claim terabytes: who unfolds it must count."""
    if not isinstance(storage, Storage):
        raise Refused("it holds a tensor without a storage")
    (offset,), shape, strides = _shape((offset,)), _shape(shape), _shape(strides)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if prod(shape) and last >= storage.count:
        raise Refused(f"it holds a tensor of shape {shape} that reaches beyond its storage of {storage.count} elements")
    return Tensor(storage, offset, shape, strides)


def _shape(values: Any) -> tuple[int, ...]:
    if type(values) is not tuple or len(values) > MAX_DIMENSIONS:
        raise Refused("it holds a tensor whose shape is not a short tuple")
    if not all(type(value) is int and 0 <= value < MAX_INTEGER for value in values):
        raise Refused("it holds a tensor whose shape, stride or offset is not a sensible number")
    return values


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise Refused("it holds a parameter that is no tensor")
    return data


def _numpy_type(code: Any, *_: Any) -> _Dtype:
    if code not in _NUMPY_TYPES:
        raise Refused("it holds an array that is not of plain numbers")
    return _Dtype(code)


def _dtype(dtype: _Dtype) -> np.dtype:
    return np.dtype(dtype.order + dtype.code)


def _numpy_scalar(dtype: Any, data: Any) -> Array:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
        raise Refused("it holds a scalar that is no number")
    return Array((), _dtype(dtype), data)


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused("its pickled part encodes text; nothing was run")
    return text.encode("latin1")


_CALLS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": _ordered_dict,
    "torch._utils _rebuild_tensor": tensor,
    "torch._utils _rebuild_tensor_v2": tensor,
    "torch._utils _rebuild_parameter": _parameter,
    "torch Size": lambda sizes: _shape(tuple(sizes)),
    "numpy dtype": _numpy_type,
    "numpy.core.multiarray _reconstruct": lambda *_: Array(),
    "numpy._core.multiarray _reconstruct": lambda *_: Array(),
    "numpy.core.multiarray scalar": _numpy_scalar,
    "numpy._core.multiarray scalar": _numpy_scalar,
    **{
        name: lambda *_, name=name: Inert(name) for name in ("pathlib PosixPath", "pathlib WindowsPath", "torch device")
    },
    "__builtin__ bytes": lambda: b"",  # only ever called without arguments, for no bytes
    "_codecs encode": _encode,  # how pickle's protocol 2, torch's default, spells NumPy's bytes
}
_INERT = {"argparse Namespace", "types SimpleNamespace"}  # only ever made empty, and then given a dict
_WORDS = {"numpy ndarray", *(f"torch {kind}" for kind in STORAGES)}
