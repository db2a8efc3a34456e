"""Reading compiled programs: what XLA's optimised HLO text says about cycles, collectives and source lines.

The text is `jax.jit(f).lower(...).compile().as_text()`. The TPU compiler notes in it how many cycles it expects each
scheduled instruction to take ("estimated_cycles"); other backends note none. Everything counts once per execution: an
instruction in the body of a loop counts as often as the loop turns.
"""

import collections
import dataclasses
import functools
import math
import re
from collections.abc import Iterator

PACKAGE = "smnet_jax"
_BITS = {"pred": 8, "bf16": 16, "token": 0}  # others end in their bits: f32, s8, u4, f8e4m3fn
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all", "collective-broadcast")


@dataclasses.dataclass(frozen=True)
class Work:
    """An instruction for which the compiler estimates cycles."""

    name: str
    opcode: str
    shape: str  # as HLO writes it, without layouts
    cycles: int  # of one execution
    runs: int
    operation: str  # JAX's path of names: jit(step)/SMNet/block/.../conv_general_dilated
    source: str  # "smnet_jax/network/layers.py:57 < smnet_jax/network/model.py:81", or ""

    @property
    def total(self) -> int:
        """Cycles of all executions."""
        return self.cycles * self.runs


@dataclasses.dataclass(frozen=True)
class Collective:
    """Data that devices exchange."""

    kind: str  # one of COLLECTIVES
    size: int  # bytes that one device puts in, of one execution
    group: int  # devices that take part together; 0: all, or not said
    runs: int
    operation: str
    source: str

    @property
    def total(self) -> int:
        """Bytes that one device puts in, over all executions."""
        return self.size * self.runs


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    type: str
    opcode: str
    operands: tuple[str, ...]
    literal: str  # what stands between the parentheses
    attributes: str


class Program:
    """A compiled program, from its text.

    File names are shortened to begin at PACKAGE. Where a frame of the package is at hand, `source` leaves out those of
    other files.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.computations: dict[str, dict[str, Instruction]] = {}
        self.roots: dict[str, str] = {}  # computation -> the instruction whose value it returns
        self.entry = computation = ""
        inside: dict[str, Instruction] | None = None
        for line in text.splitlines():
            if inside is None or not line.startswith(" "):
                if match := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$", line):
                    computation = match[2]
                    inside = self.computations[computation] = {}
                    self.entry = match[2] if match[1] else self.entry
            elif instruction := _instruction(line):
                inside[instruction.name] = instruction
                if line.lstrip().startswith("ROOT "):
                    self.roots[computation] = instruction.name
        self._frames = _frames(text)

    @functools.cached_property
    def loops(self) -> dict[str, int | None]:
        """Loops and their turns; None where these are not in the text: such a loop is counted as one turn."""
        loops = (instruction for _, instruction, _ in self.executed(fused=False) if instruction.opcode == "while")
        return {loop.name: self._turns(loop) for loop in loops}

    @property
    def unknown_loops(self) -> list[str]:
        """Those of unknown length."""
        return [name for name, turns in self.loops.items() if turns is None]

    @functools.cached_property
    def work(self) -> list[Work]:
        """Everything with an estimate, in no special order."""
        found = []
        for _, instruction, runs in self.executed(fused=False):
            if match := re.search(r'"estimated_cycles":"(\d+)"', instruction.attributes):
                operation, source = self._origin(instruction)
                found.append(
                    Work(
                        instruction.name,
                        instruction.opcode,
                        _without_layout(instruction.type),
                        int(match[1]),
                        runs,
                        operation,
                        source,
                    )
                )
        return found

    @functools.cached_property
    def cycles(self) -> int:
        """Estimated cycles of the whole program, as if nothing overlapped; 0 where the backend estimates none."""
        return sum(work.total for work in self.work)

    @functools.cached_property
    def collectives(self) -> list[Collective]:
        found = []
        for computation, instruction, runs in self.executed(fused=True):
            kind = instruction.opcode.removesuffix("-start")
            if kind in COLLECTIVES:
                given = (self.computations[computation].get(name) for name in instruction.operands)
                size = sum(size_of(operand.type) for operand in given if operand)
                group = _group(instruction.attributes)
                if group == 1:
                    continue  # a device with itself
                found.append(Collective(kind, size, group, runs, *self._origin(instruction)))
        return found

    def collective_bytes(self) -> dict[str, int]:
        """Bytes that each device puts into collectives of each kind."""
        sums: collections.Counter[str] = collections.Counter()
        for collective in self.collectives:
            sums[collective.kind] += collective.total
        return dict(sums)

    def executed(self, fused: bool) -> Iterator[tuple[str, Instruction, int]]:
        """(computation, instruction, executions) of all that runs; the insides of fusions too if asked for."""
        waiting = [(self.entry, 1)]
        while waiting:
            computation, runs = waiting.pop()
            for instruction in self.computations.get(computation, {}).values():
                yield computation, instruction, runs
                waiting += [(name, runs * turns) for name, turns in self._calls(instruction, fused)]

    def _calls(self, instruction: Instruction, fused: bool) -> list[tuple[str, int]]:
        """Computations that an instruction runs, with their number of turns."""
        attributes = instruction.attributes
        if instruction.opcode == "while":
            named = dict(re.findall(r"(condition|body)=%?([\w.\-]+)", attributes))
            turns = self._turns(instruction) or 1
            return [(named["body"], turns), (named["condition"], turns + 1)]
        if instruction.opcode == "conditional":
            branches = re.search(r"branch_computations=\{([^}]*)\}", attributes)
            names = (
                branches[1]
                if branches
                else ", ".join(re.findall(r"(?:true|false)_computation=(\S+?)[,\s]", attributes))
            )
            return [(name.strip().lstrip("%"), 1) for name in names.split(",") if name.strip()]
        starts = instruction.opcode in ("call", "async-start") or (instruction.opcode == "fusion" and fused)
        match = re.search(r"(?:calls|to_apply)=%?([\w.\-]+)", attributes) if starts else None
        return [(match[1], 1)] if match else []

    def _turns(self, loop: Instruction) -> int | None:
        if known := re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.attributes):
            return int(known[1])
        # JAX's loops of known length count from 0 while they are less than a constant.
        condition = re.search(r"condition=%?([\w.\-]+)", loop.attributes)
        insides = [self.computations.get(condition[1] if condition else "", {})]
        for instruction in insides[0].values():
            if instruction.opcode == "fusion" and (called := re.search(r"calls=%?([\w.\-]+)", instruction.attributes)):
                insides.append(self.computations.get(called[1], {}))
        constants = {
            int(i.literal)
            for inside in insides
            for i in inside.values()
            if i.opcode == "constant" and i.type.startswith(("s32[]", "s64[]", "u32[]")) and i.literal.isdecimal()
        }
        less = any("direction=LT" in i.attributes for inside in insides for i in inside.values())
        return constants.pop() if len(constants) == 1 and less else None

    def _origin(self, instruction: Instruction) -> tuple[str, str]:
        """JAX's name of the operation, and the source lines that asked for it, innermost first."""
        operation = re.search(r'op_name="([^"]*)"', instruction.attributes)
        frame = re.search(r"stack_frame_id=(\d+)", instruction.attributes)
        if old := re.search(r'source_file="([^"]*)" source_line=(\d+)', instruction.attributes):
            source = f"{self._short(old[1])}:{old[2]}"
        else:
            source = self._source(int(frame[1])) if frame else ""
        return operation[1] if operation else "", source

    def _source(self, frame: int) -> str:
        chain: list[str] = []
        while frame in self._frames and len(chain) < 1000:
            place, frame = self._frames[frame]
            chain.append(place)
        ours = [place for place in chain if f"/{PACKAGE}/" in place]
        return " < ".join(self._short(place) for place in (ours or chain)[:2])

    def _short(self, place: str) -> str:
        _, found, rest = place.rpartition(f"/{PACKAGE}/")
        return f"{PACKAGE}/{rest}" if found else place.rpartition("/")[2]


def _instruction(line: str) -> Instruction | None:
    match = re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = ", line)
    if not match:
        return None
    rest = line[match.end() :]
    end = _closing(rest) if rest.startswith("(") else rest.index(" ")
    kind, rest = rest[:end], rest[end:].lstrip()
    opcode, _, _ = rest.partition("(")
    end = len(opcode) + _closing(rest[len(opcode) :])
    literal = rest[len(opcode) + 1 : end - 1]
    return Instruction(match[1], kind, opcode, tuple(re.findall(r"%([\w.\-]+)", literal)), literal, rest[end:])


def _closing(text: str) -> int:
    """Where the parenthesis that `text` begins with is closed: the position after it."""
    depth = 0
    for match in re.finditer(r"[()]", text):
        depth += 1 if match[0] == "(" else -1
        if not depth:
            return match.end()
    return len(text)


def _without_layout(kind: str) -> str:
    return re.sub(r"\{[^{}]*\}|/\*.*?\*/", "", kind)


def size_of(kind: str) -> int:
    """Bytes of a type, a tuple's elements together; padding of the device's layout is not counted."""
    total = 0
    for name, dimensions in re.findall(r"\b([a-z]\w*)\[([\d,<=]*)\]", _without_layout(kind)):
        digits = re.match(r"[a-z]+(\d+)", name)
        count = 1
        for dimension in re.findall(r"\d+", dimensions):
            count *= int(dimension)
        total += count * _BITS.get(name, int(digits[1]) if digits else 0)
    return total // 8


def _group(attributes: str) -> int:
    if match := re.search(r"replica_groups=mesh\[(.*?)\] \{(.*?)\}", attributes):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", match[2]))
    if match := re.search(r"replica_groups=\[\d+,(\d+)\]", attributes):
        return int(match[1])
    if match := re.search(r"replica_groups=\{\{([\d,]*)\}", attributes):
        return len(match[1].split(","))
    if match := re.search(r"source_target_pairs=\{(.*?)\}\}", attributes):
        return len(set(re.findall(r"\d+", match[1])))
    return 0


def _frames(text: str) -> dict[int, tuple[str, int]]:
    """Frame number -> ("file:line", the caller's number), from the tables at the head of the text."""
    tables: dict[str, dict[int, str]] = {}
    table: dict[int, str] | None = None
    for line in text.splitlines():
        if line.startswith(("%", "ENTRY")):
            break
        if line in ("FileNames", "FunctionNames", "FileLocations", "StackFrames"):
            table = tables.setdefault(line, {})
        elif table is not None and (match := re.match(r"(\d+) (.*)", line)):
            table[int(match[1])] = match[2]
    files = {number: name.strip('"') for number, name in tables.get("FileNames", {}).items()}
    places = {}
    for number, row in tables.get("FileLocations", {}).items():
        if match := re.search(r"file_name_id=(\d+).* line=(\d+)", row):
            places[number] = f"{files.get(int(match[1]), '')}:{match[2]}"
    frames = {}
    for number, row in tables.get("StackFrames", {}).items():
        if match := re.search(r"file_location_id=(\d+)(?: parent_frame_id=(\d+))?", row):
            # Callers are written one too high: the outermost frame, 1, names itself, and 0 is none.
            frames[number] = places.get(int(match[1]), ""), int(match[2] or 1) - 1
    return frames
