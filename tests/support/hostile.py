"""Checkpoints that no trainer would write. Those that run something make a file, the sentinel, if they succeed."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

STREAM_HEADER = b"".join(
    pickle.dumps(value, 2)
    for value in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
)


def stream(content: bytes, tail: bytes = pickle.dumps([], 2)) -> bytes:
    """The pre-1.6 format around a pickle."""
    return STREAM_HEADER + content + tail


def zipped(content: bytes, members: Mapping[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> bytes:
    """The zip format around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content, zipfile.ZIP_STORED if members else compression)
        for name, data in (members or {}).items():
            archive.writestr(name, data, compression)
    return file.getvalue()


def safetensors(header: Any, body: bytes = b"") -> bytes:
    """A safetensors file of that header; bytes are taken as they are."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


HALVES = b"q\x00h\x00\x86" * 60  # a tuple of itself twice, sixty times over: 2**60 leaves to whoever walks it


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.reduced


def runners(sentinel: Path) -> dict[str, Any]:
    """Objects whose unpickling by Python's own unpickler makes `sentinel`."""
    code = f"open({str(sentinel)!r}, 'w').close()"
    return {
        "os.system": Call(os.system, f"touch {sentinel}"),
        "builtins.eval": Call(eval, code),
        "builtins.exec": Call(exec, code),
        "in a state dict": OrderedDict({"prelu.weight": Call(eval, code)}),
        "nested": {"state_dict": OrderedDict(), "optimizer": {"state": [({"x": Call(eval, code)},)]}},
        "as a key": {Call(eval, code): 1},
        "in the state of an ordered dict": _with_attributes(Call(eval, code)),
        "as BUILD": Call(OrderedDict, state=Call(eval, code)),
    }


def _with_attributes(value: Any) -> OrderedDict:
    result: OrderedDict = OrderedDict()
    result._metadata = value  # type: ignore[attr-defined]
    return result


def tensor(shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, count: int = 1, key: str = "0") -> bytes:
    """The pickled operations of one torch tensor."""

    def plain(value: Any) -> bytes:
        return pickle.dumps(value, 2)[2:-1]  # without protocol and stop

    storage = b"(" + plain("storage") + b"ctorch\nFloatStorage\n" + plain(key) + plain("cpu") + plain(count) + b"tQ"
    arguments = plain(offset) + plain(shape) + plain(strides) + plain(False) + b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + arguments + b"tR"


def state_dict(**tensors: bytes) -> bytes:
    """The pickle of a dict of such tensors."""
    items = b"".join(pickle.dumps(name, 2)[2:-1] + operations for name, operations in tensors.items())
    return b"\x80\x02}(" + items + b"u."


def oversized() -> dict[str, Callable[[], bytes]]:
    """Files of a few kilobytes at most that claim, or unfold to, gigabytes or endless work; made when called."""
    one, huge = b"\0\0\x80?", 2**40
    shared = b"\x80\x02}(" + b"X\x01\0\0\0a" + b")" + HALVES + b"su."
    return {
        "storage beyond the file (stream)": lambda: stream(
            state_dict(a=tensor((huge,), (1,), count=huge)), pickle.dumps(["0"], 2) + struct.pack("<Q", huge)
        ),
        "storage beyond the file (zip)": lambda: zipped(
            state_dict(a=tensor((huge,), (1,), count=huge)), {"archive/data/0": one}
        ),
        "stride 0": lambda: zipped(state_dict(a=tensor((huge,), (0,))), {"archive/data/0": one}),
        "offset outside": lambda: zipped(state_dict(a=tensor((1,), (1,), offset=7)), {"archive/data/0": one}),
        "negative offset": lambda: zipped(state_dict(a=tensor((1,), (1,), offset=-1)), {"archive/data/0": one}),
        "negative stride": lambda: zipped(state_dict(a=tensor((2,), (-1,), count=2)), {"archive/data/0": one * 2}),
        "negative shape": lambda: zipped(state_dict(a=tensor((-1, -1), (1, 1))), {"archive/data/0": one}),
        "overflowing shape": lambda: zipped(state_dict(a=tensor((2**33, 2**33), (1, 1))), {"archive/data/0": one}),
        "number beyond int64": lambda: zipped(state_dict(a=tensor((2**70,), (1,))), {"archive/data/0": one}),
        "thousands of dimensions": lambda: zipped(
            state_dict(a=tensor((1,) * 5000, (1,) * 5000)), {"archive/data/0": one}
        ),
        "many views of one storage": lambda: zipped(
            state_dict(**{f"t{i}": tensor((4096,), (1,), count=4096) for i in range(2000)}),
            {"archive/data/0": bytes(4 * 4096)},
        ),
        "memo index": lambda: stream(b"\x80\x02]r\xff\xff\xff\x7f."),
        "declared bytes": lambda: stream(b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x."),
        "declared text": lambda: stream(b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x."),
        "declared integer": lambda: stream(b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x."),
        "frame": lambda: stream(b"\x80\x04\x95" + struct.pack("<Q", 2**63) + b"}."),
        "exponential tuple as a key": lambda: stream(b"\x80\x02})" + HALVES + b"Ns."),
        "exponential tuple as a value": lambda: stream(shared),
        "deep lists": lambda: stream(b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."),
        "deep tuples": lambda: stream(b"\x80\x02)" + b"\x85" * 50_000 + b"."),
        "dict that contains itself": lambda: stream(b"\x80\x02}q\x00X\x05\0\0\0modelh\x00s."),
        "zip bomb": lambda: zipped(bytes(100 << 20), compression=zipfile.ZIP_DEFLATED),
        "zip bomb in a storage": lambda: zipped(
            state_dict(a=tensor((25 << 20,), (1,), count=25 << 20)),
            {"archive/data/0": bytes(100 << 20)},
            zipfile.ZIP_DEFLATED,
        ),
        "safetensors header beyond the file": lambda: struct.pack("<Q", 2**62) + b"{}",
        "safetensors data beyond the file": lambda: safetensors(
            {"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
        ),
        "safetensors overflow": lambda: safetensors(
            {"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}
        ),
        "safetensors overlap": lambda: safetensors(
            {n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}, one
        ),
        "safetensors backwards": lambda: safetensors(
            {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, one
        ),
        "safetensors empty giant": lambda: safetensors(
            {"a": {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}}
        ),
        "safetensors deep JSON": lambda: safetensors(b'{"a":' + b"[" * 100_000),
        "safetensors twice": lambda: safetensors(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            one,
        ),
        "safetensors not a dict": lambda: safetensors({"a": 3}),
    }  # fmt: skip
