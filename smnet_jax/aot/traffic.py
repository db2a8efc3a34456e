"""What a compiled program moves between a chip's main memory and the chip, read from its text.

XLA's own count of bytes takes no notice of what the TPU compiler keeps in the chip's own memory ("S(1)" in a layout),
which may be most of it.
"""

import itertools
import re
from collections.abc import Iterator

from smnet_jax.hardware.hlo import Instruction, Program, size_of

# Instructions that give a value another name, or wait for it.
_NAMES = frozenset(
    {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "call", "after-all"}
    | {"partition-id", "replica-id"}
)
_NAMING_CALLS = ("AllocateBuffer", "ConcatBitcast")
_VIEWS = frozenset({"bitcast", "reshape", "copy", "convert"})  # inside a fusion: the same elements


def main_memory_bytes(program: Program) -> int:
    """Bytes that one execution of the program reads from and writes to main memory, insides of fusions not counted.

    Of an operand that a fusion only slices, the slices count; of a result that it updates in place, the update.
    """
    moved = 0
    for computation, instruction, runs in program.executed(fused=False):
        inside = program.computations[computation]
        opcode = instruction.opcode
        if (
            opcode in _NAMES
            or opcode.endswith("-done")
            or any(f'"{c}"' in instruction.attributes for c in _NAMING_CALLS)
        ):
            continue
        if opcode.endswith("-start"):
            moved += runs * _copied(instruction)
        else:
            moved += runs * (_written(program, instruction) + _read(program, instruction, inside))
    return moved


def _copied(instruction: Instruction) -> int:
    """An asynchronous copy or slice, whose type names source and destination: as much leaves the one as arrives."""
    ends = _arrays(instruction.type)[:2]
    return min(map(size_of, ends)) * sum(not _on_chip(end) for end in ends)


def _written(program: Program, instruction: Instruction) -> int:
    results = itertools.zip_longest(_arrays(instruction.type), _updates(program, instruction))
    return sum(size_of(array) if update is None else update for array, update in results if not _on_chip(array))


def _read(program: Program, instruction: Instruction, inside: dict[str, Instruction]) -> int:
    called = _called(program, instruction)
    total = 0
    for number, name in enumerate(instruction.operands):
        given = inside.get(name)
        if given is None or given.type.startswith("(") or _on_chip(given.type):
            continue
        used = _used(called, number) if called else None
        total += size_of(given.type) if used is None else used
    return total


def _updates(program: Program, instruction: Instruction) -> Iterator[int | None]:
    """For each result of a fusion: the bytes of it that are written, None for all."""
    called = _called(program, instruction)
    if not called:
        return
    root = called[program.roots[_called_name(instruction)]]
    results = [called[name] for name in root.operands] if root.opcode == "tuple" else [root]
    for result in results:
        while result.opcode in _VIEWS and result.operands[0] in called:
            result = called[result.operands[0]]
        update = called.get(result.operands[1]) if result.opcode == "dynamic-update-slice" else None
        yield size_of(update.type) if update else None


def _used(called: dict[str, Instruction], number: int) -> int | None:
    """Bytes that a fused computation looks at of its parameter `number`; None: all of them."""
    parameter = next(i for i in called.values() if i.opcode == "parameter" and i.literal == str(number))
    waiting, total = [parameter.name], 0
    while waiting:
        name = waiting.pop()
        for user in (i for i in called.values() if name in i.operands):
            if user.opcode in ("bitcast", "reshape"):
                waiting.append(user.name)
            elif user.opcode in ("slice", "dynamic-slice"):
                total += size_of(user.type)
            elif user.opcode != "dynamic-update-slice" or user.operands[0] != name:
                return None
    return min(total, size_of(parameter.type))


def _called(program: Program, instruction: Instruction) -> dict[str, Instruction]:
    return program.computations.get(_called_name(instruction), {}) if instruction.opcode == "fusion" else {}


def _called_name(instruction: Instruction) -> str:
    match = re.search(r"calls=%?([\w.\-]+)", instruction.attributes)
    return match[1] if match else ""


def _arrays(kind: str) -> list[str]:
    """The arrays of a type, a tuple's one by one, with their layouts."""
    return re.findall(r"\b[a-z]\w*\[[\d,<=]*\](?:\{[^{}]*\})?", re.sub(r"/\*.*?\*/", "", kind))


def _on_chip(array: str) -> bool:
    return "S(1)" in array
