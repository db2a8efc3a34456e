"""PyTorch's checkpoint files without PyTorch: the stream format from before 1.6, the zip format, safetensors.

Files come from strangers: they are recognised by content, every declared size is compared with what is there before
anything is reserved, and pickles go through `smnet_jax.checkpoints.pickles`.
"""

import io
import itertools
import json
import math
import mmap
import os
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import safetensors
import safetensors.numpy

from smnet_jax.checkpoints import pickles
from smnet_jax.checkpoints.pickles import STORAGES, Array, Refused, Storage, Tensor, quoted
from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing

STREAM_MAGIC = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")  # the number in the stream format's first pickle
# Where training scripts put the state dict, and where its average over the steps, which is what they evaluate.
NESTS = ("state_dict", "model", "params", "net", "network", "model_state_dict", "net_state_dict")
AVERAGES = ("params_ema", "state_dict_ema", "model_ema", "ema", "ema_state_dict", "model_state_dict_ema", "ema_model")
# What wrappers put in front of names: torch.compile and DataParallel anywhere, Lightning and averages before all.
WRAPPERS = ("_orig_mod.", "module.")
OWNERS = ("ema_model.", "model_ema.", "ema.", "model.", "net.", "network.", "net_g.", "generator.", "online_model.")
MAX_HEADER = 4 << 20  # bytes of a safetensors header: tens of thousands of tensors
MAX_MEMBERS = 20_000  # of a zip
MAX_GROWTH = 4  # arrays to file: float16 doubles and tied weights repeat; ten thousand views of one storage attack
ALIGNMENT = 64  # of each storage in a zip, as torch writes it

_SAFETENSORS_KINDS = {
    "F64": "DoubleStorage", "F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage",
    "I64": "LongStorage", "I32": "IntStorage", "I16": "ShortStorage", "I8": "CharStorage",
    "U8": "ByteStorage", "BOOL": "BoolStorage",
}  # fmt: skip

# How a reader hands over: what was pickled, a function from a storage to its bytes, and metadata.
_Content = tuple[Any, Callable[[Storage], Any], dict[str, str]]


@dataclass(frozen=True)
class TorchFile:
    """A checkpoint as read. `state` is in the file's order; floating-point arrays are float32, integers as stored."""

    state: dict[str, np.ndarray]
    kind: str  # the format, in words
    metadata: dict[str, str]  # what a safetensors file says of itself
    notes: tuple[str, ...]  # what was chosen and changed on the way, in words
    chosen: tuple[str, ...] = ()  # the notes on which of several state dicts was taken


def read_state_dict(path: str | os.PathLike[str], key: str | None = None) -> dict[str, np.ndarray]:
    """Read a state dict: `{name: array}` in torch's layout, in the file's order, names without what wrappers put in
    front (`module.`, `_orig_mod.`, Lightning's `model.`).

    The state dict may lie bare or under one of NESTS or AVERAGES; of several the average is taken, or what `key` names.
    float16 and bfloat16 become float32 exactly,
    float64 is rounded to it. Raises InputError for whatever is damaged, hostile or no state dict.
    """
    return read(path, key).state


def read(path: str | os.PathLike[str], key: str | None = None) -> TorchFile:
    """A checkpoint's state dict, with the format, the metadata, and notes on what was chosen and changed."""
    path = Path(path)
    try:
        data = _mapped(path)
        kind, reader = _recognised(data)
        content, body, metadata = reader(data)
        tensors, chosen = _state_dict(content, key)
        tensors, unwrapped = _unwrapped(tensors)
        state, rounded = _arrays(tensors, body, len(data))
    except Refused as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return TorchFile(state, kind, metadata, (*chosen, *unwrapped, *rounded), chosen)


def _mapped(path: Path) -> mmap.mmap:
    """The file as bytes that cost no memory until looked at."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise Refused("it is empty; download or save it again")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _recognised(data: mmap.mmap) -> tuple[str, Callable[[mmap.mmap], _Content]]:
    if data[:4] == b"PK\3\4":
        return "PyTorch zip", _read_zip
    if STREAM_MAGIC in data[:32]:
        return "PyTorch pre-1.6 stream", _read_stream
    if data[8:9] == b"{":
        return "safetensors", _read_safetensors
    if data[:64].startswith(b"version https://git-lfs"):
        raise Refused("it is only a git-lfs pointer; fetch the file itself with git lfs pull")
    if data[:64].lstrip()[:1] == b"<":
        raise Refused("it is a web page, not a checkpoint; download it again")
    raise Refused(
        "it is neither a PyTorch checkpoint nor safetensors; save it with torch.save(model.state_dict(), path)"
    )


def _read_stream(data: mmap.mmap) -> _Content:
    """Pickles of magic number, version, system, content and keys; then for each key a count and the raw numbers."""
    storages: dict[str, Storage] = {}
    for _ in range(3):
        pickles.load(data)
    tensors = pickles.load(data, storages)
    order = pickles.load(data)
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(storages):
        raise Refused("its list of storages does not fit its content; download or save it again")
    places: dict[str, int] = {}
    place = data.tell()
    for key in order:
        places[key] = place + 8
        if data[place : place + 8] != struct.pack("<Q", storages[key].count):
            raise Refused("it is truncated or damaged; download or save it again")
        place += 8 + _bytes(storages[key])
    if place > len(data):
        raise Refused(f"it is truncated: {place - len(data)} bytes are missing; download or save it again")
    return tensors, lambda storage: memoryview(data)[places[storage.key] :][: _bytes(storage)], {}


def _read_zip(data: mmap.mmap) -> _Content:
    """A zip of stored members: NAME/data.pkl, and NAME/data/KEY with the raw numbers of each storage."""
    members = _members(data)
    names = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(names) != 1:
        raise Refused("it is a zip without PyTorch's data.pkl; save it with torch.save(model.state_dict(), path)")
    folder = names[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in members and bytes(_member(data, members[f"{folder}byteorder"])) != b"little":
        raise Refused("it was written on a big-endian machine; save it again on a little-endian one")
    tensors = pickles.load(io.BytesIO(_member(data, members[names[0]])))

    def body(storage: Storage) -> memoryview:
        info = members.get(f"{folder}data/{storage.key}")
        if info is None or info.file_size != _bytes(storage):
            raise Refused(f"the data of storage {quoted(storage.key)} is missing or of the wrong size")
        return _member(data, info)

    return tensors, body, {}


def _members(data: mmap.mmap) -> dict[str, zipfile.ZipInfo]:
    """The directory of the zip. Members that torch would not write (compressed, encrypted, twice) are refused."""
    entries = re.finditer(rb"PK\x01\x02", data)  # zipfile makes an object of every entry before one can ask how many
    if next(itertools.islice(entries, MAX_MEMBERS, None), None):
        raise Refused(f"its zip directory has more than {MAX_MEMBERS:,} members")
    try:
        with zipfile.ZipFile(cast(BinaryIO, data)) as archive:
            infos = archive.infolist()
    except Exception as error:  # BadZipFile, struct.error, NotImplementedError, UnicodeDecodeError ...
        raise Refused("its zip directory is missing or damaged; download or save it again") from error
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise Refused(f"its member {quoted(info.filename)} is compressed or encrypted, which PyTorch never does")
    members = {info.filename: info for info in infos}
    if len(members) != len(infos):
        raise Refused("it holds two members of one name, which PyTorch never writes")
    return members


def _member(data: mmap.mmap, info: zipfile.ZipInfo) -> memoryview:
    """The bytes of a stored member, checked, without a copy."""
    header = data[info.header_offset : info.header_offset + 30]
    if len(header) == 30 and header[:4] == b"PK\3\4":
        start = info.header_offset + 30 + sum(struct.unpack_from("<2H", header, 26))
        body = memoryview(data)[start : start + info.file_size]
        if len(body) == info.file_size and zlib.crc32(body) == info.CRC:
            return body
    raise Refused(f"its member {quoted(info.filename)} is damaged; download or save it again")


def _read_safetensors(data: mmap.mmap) -> _Content:
    """The library checks offsets and shapes; the header's size is bounded before it looks."""
    (size,) = struct.unpack("<Q", data[:8])
    if size > min(MAX_HEADER, len(data) - 8):
        raise Refused(f"its safetensors header claims {size:,} bytes; download or save it again")
    try:
        entries = safetensors.deserialize(data[:])
        header = json.loads(data[8 : 8 + size], object_pairs_hook=_once)
    except safetensors.SafetensorError as error:
        raise Refused(f"its safetensors header is damaged ({quoted(str(error))}); download or save it again") from error
    bodies = {}
    tensors: dict[str, Tensor | Array] = {}
    for name, entry in sorted(entries, key=lambda entry: header[entry[0]]["data_offsets"]):
        if entry["dtype"] not in _SAFETENSORS_KINDS:
            raise Refused(f"{quoted(name)} is of type {entry['dtype']}, which is not supported; save it as float32")
        shape = tuple(entry["shape"])
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        storage = Storage(_SAFETENSORS_KINDS[entry["dtype"]], name, math.prod(shape))
        tensors[name], bodies[name] = pickles.tensor(storage, 0, shape, strides), entry["data"]
    return tensors, lambda storage: bodies[storage.key], header.get("__metadata__") or {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Refused("its safetensors header names a tensor twice")
    return result


def _bytes(storage: Storage) -> int:
    return storage.count * np.dtype(STORAGES[storage.kind]).itemsize


def _state_dict(content: Any, key: str | None) -> tuple[dict[str, Tensor | Array], tuple[str, ...]]:
    """Find the state dict in what was pickled: the dict itself, or under one of NESTS and AVERAGES; and a note where
    there was a choice. `key` is the name of the one wanted."""
    remedy = "save it with torch.save(model.state_dict(), path)"
    notes: list[str] = []
    if key is not None:
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            items = content.items() if isinstance(content, dict) else ()
            there = [quoted(str(name)) for name, value in items if isinstance(value, dict)]
            raise Refused(
                f"it holds no dict {quoted(key)}; there are {', '.join(there[:8]) or 'none'}; give another --key"
            )
        content = content[key]
    for _ in range(4):  # a dict can contain itself
        if not isinstance(content, dict):
            raise Refused(f"it holds a {type(content).__name__} in place of a state dict; {remedy}")
        tensors = {name: value for name, value in content.items() if isinstance(value, Tensor | Array)}
        dicts = {name: value for name, value in content.items() if isinstance(value, dict)}
        full = {name for name, value in dicts.items() if _holds_tensors(value)} or dicts  # an "ema" may be settings
        plain, averages = ([name for name in names if name in full] for names in (NESTS, AVERAGES))
        if len(averages or plain) > 1:
            raise Refused(f"it holds several dicts ({', '.join(averages or plain)}); choose one with --key")
        if averages and plain:
            notes.append(f"{averages[0]}, the averaged weights, taken and not {plain[0]}; --key {plain[0]} takes those")
        if averages or plain:  # beside it may stand anything: the optimizer, the epoch, the best score
            content = content[(averages or plain)[0]]
        elif strange := [name for name in content if not (isinstance(name, str) and name in tensors)]:
            shown = ", ".join(quoted(str(name)) for name in strange[:8])
            raise Refused(f"its state dict holds what is no tensor ({shown}); {remedy}")
        elif not tensors:
            raise Refused(f"it holds no tensors; {remedy}")
        else:
            return tensors, tuple(notes)
    raise Refused(f"its state dict lies too deep; {remedy}")


def _holds_tensors(content: dict[Any, Any]) -> bool:
    """Whether a tensor lies somewhere below; each dict is looked at once, for one can contain itself."""
    waiting, seen = [content], {id(content)}
    while waiting:
        for value in waiting.pop().values():
            if isinstance(value, Tensor | Array):
                return True
            if isinstance(value, dict) and id(value) not in seen:
                seen.add(id(value))
                waiting.append(value)
    return False


def _unwrapped(tensors: Mapping[str, Tensor | Array]) -> tuple[dict[str, Tensor | Array], list[str]]:
    """Drop what wrappers put in front of names, with notes; of an owner's tensors and others only the owner's stay."""
    notes: list[str] = []
    result = dict(tensors)
    if "n_averaged" in result:  # torch.optim.swa_utils.AveragedModel counts in it
        del result["n_averaged"]
        notes.append("n_averaged, the number of averaged models, dropped")
    for _ in range(4):  # wrappers of wrappers
        before = result
        for prefix in WRAPPERS:
            stripped = {name.removeprefix(prefix): tensor for name, tensor in result.items()}
            if len(stripped) != len(result):
                twice = [name for name in result if prefix + name in result]
                raise Refused(f"it holds tensors both with and without {prefix}: {', '.join(map(quoted, twice))}")
            if stripped.keys() != result.keys():
                notes.append(f"{prefix} in front of the names dropped")
            result = stripped
        owner = next((prefix for prefix in OWNERS if any(name.startswith(prefix) for name in result)), None)
        if owner is not None:
            others = [name for name in result if not name.startswith(owner)]
            result = {name.removeprefix(owner): result[name] for name in result if name.startswith(owner)}
            notes.append(f"{owner} in front of the names dropped")
            if others:
                shown = ", ".join(map(quoted, others[:3])) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
                notes.append(f"left out, not of {owner.removesuffix('.')}: {shown}")
        if result.keys() == before.keys():
            break
    return result, notes


def _arrays(
    tensors: Mapping[str, Tensor | Array], body: Callable[[Storage], Any], file_size: int
) -> tuple[dict[str, np.ndarray], list[str]]:
    if sum(4 * math.prod(tensor.shape) + 200 for tensor in tensors.values()) > MAX_GROWTH * file_size + (1 << 20):
        raise Refused(f"its tensors are more than {MAX_GROWTH} times as large as the file")
    bodies: dict[str, np.ndarray] = {}
    state: dict[str, np.ndarray] = {}
    rounded = []
    for name, tensor in tensors.items():
        if isinstance(tensor, Array):
            array = tensor.numpy()
        else:
            key = tensor.storage.key
            if key not in bodies:
                bodies[key] = _numbers(body(tensor.storage), tensor.storage)
            array = _window(bodies[key], tensor)
        if array.dtype.kind == "f":
            state[name] = _float32(array)
            if array.dtype.itemsize > 4 and not np.array_equal(state[name], array, equal_nan=True):
                rounded.append(name)
        else:
            state[name] = np.array(array, array.dtype.newbyteorder("="), order="C")
    return state, [f"float64 rounded to float32: {', '.join(map(quoted, rounded))}"] if rounded else []


def _numbers(body: Any, storage: Storage) -> np.ndarray:
    numbers = np.frombuffer(body, STORAGES[storage.kind]) if len(body) else np.empty(0, STORAGES[storage.kind])
    if storage.kind == "BFloat16Storage":  # the upper half of a float32
        return (numbers.astype("<u4") << 16).view("<f4")
    return numbers


def _window(numbers: np.ndarray, tensor: Tensor) -> np.ndarray:
    if not math.prod(tensor.shape):
        return np.empty(tensor.shape, numbers.dtype)
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)


def _float32(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which the converter refuses
        return np.array(array, np.float32, order="C")


def write_state_dict(state: Mapping[str, np.ndarray], path: str | os.PathLike[str]) -> None:
    """Write float32 arrays as a zip that `torch.load(path, weights_only=True)` reads as an ordered dict of tensors.

    Names and order are kept; the same arrays give the same bytes. The file appears whole or not at all.
    """
    arrays = {name: np.ascontiguousarray(value, "<f4").reshape(np.shape(value)) for name, value in state.items()}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "archive/data.pkl", _pickled({name: value.shape for name, value in arrays.items()}))
        _add(archive, "archive/byteorder", b"little")
        for key, array in enumerate(arrays.values()):
            _add(archive, f"archive/data/{key}", array.tobytes())
        _add(archive, "archive/version", b"3\n")


def write_safetensors(
    state: Mapping[str, np.ndarray], path: str | os.PathLike[str], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays as safetensors, whole or not at all."""
    arrays = {name: np.array(value, order="C") for name, value in state.items()}
    with replacing(path) as temporary:
        safetensors.numpy.save_file(arrays, temporary, dict(metadata or {}))


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a member whose content starts at a multiple of ALIGNMENT, by an extra field of its header."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    padding = -(archive.start_dir + 30 + len(name) + 4) % ALIGNMENT
    info.extra = struct.pack("<2H", 0x4246, padding) + b"Z" * padding
    archive.writestr(info, content)


def _pickled(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The pickle of an ordered dict of torch tensors, written without torch: each tensor is a call by name."""

    def text(value: str) -> bytes:
        return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()

    def number(value: int) -> bytes:
        return pickle.BININT + struct.pack("<i", value)

    def numbers(values: tuple[int, ...]) -> bytes:
        return pickle.MARK + b"".join(map(number, values)) + pickle.TUPLE

    empty_dict = pickle.GLOBAL + b"collections\nOrderedDict\n" + pickle.EMPTY_TUPLE + pickle.REDUCE
    parts = [pickle.PROTO + b"\x02", empty_dict, pickle.MARK]
    for key, (name, shape) in enumerate(shapes.items()):
        strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
        storage = [text("storage"), pickle.GLOBAL + b"torch\nFloatStorage\n", text(str(key)), text("cpu")]
        parts += [text(name), pickle.GLOBAL + b"torch._utils\n_rebuild_tensor_v2\n", pickle.MARK]
        parts += [pickle.MARK, *storage, number(math.prod(shape)), pickle.TUPLE, pickle.BINPERSID]
        parts += [number(0), numbers(shape), numbers(strides), pickle.NEWFALSE, empty_dict, pickle.TUPLE, pickle.REDUCE]
    return b"".join([*parts, pickle.SETITEMS, pickle.STOP])
