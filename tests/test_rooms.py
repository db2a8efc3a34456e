"""Nothing imports upwards: the rooms of the package stand in one order, and a network's wing knows no other wing."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPO

# From the ground up; a room may import those before it. What stands on one line does not import each other either.
FLOORS = (
    {"errors", "version"},
    {"host"},
    {"images", "network"},
    {"exposure"},
    {"checkpoints"},
    {"metrics", "data", "enhancement", "vgg16"},
    {"losses", "hardware"},
    {"evaluation", "export"},
    {"training"},
    {"verification"},
    {"bench"},
    {"aot"},
    {"serve"},
    {"cli"},
    {"__init__", "__main__"},
)
# `smnet bench folder` measures the command itself, and `sizes` takes the command's options.
UPWARDS = {("bench", "cli")}


def imports(file: Path) -> Iterator[str]:
    """Full names of the package's modules, or of what is in them, that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "smnet_jax":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == "smnet_jax")


def arrows() -> Iterator[tuple[str, str, str]]:
    """(importing room, imported room, file and import)."""
    for file in sorted((REPO / "smnet_jax").rglob("*.py")):
        place = file.relative_to(REPO / "smnet_jax")
        room = place.parts[0].removesuffix(".py")
        for name in imports(file):
            target = name.split(".")[1]
            if target not in (room, "__version__"):
                yield room, target, f"{place} imports {name}"


def test_nothing_imports_upwards():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    allowed = {"configs"}  # a package beside this one, of data classes and nothing else
    wrong = [
        told
        for room, target, told in arrows()
        if target not in allowed and (room, target) not in UPWARDS and not floor[target] < floor[room]
    ]
    assert not wrong, "\n".join(wrong)


def test_one_wing_of_the_network_can_be_deleted_without_another():
    network = REPO / "smnet_jax" / "network"
    wings = {"gpu": [network / "gpu.py"], **{wing: list((network / wing).glob("*.py")) for wing in ("cpu", "tpu")}}
    for wing, files in wings.items():
        for name in (name for file in files for name in imports(file)):
            parts = name.split(".")
            assert not (parts[1] == "network" and parts[2] in wings.keys() - {wing}), f"{wing} imports {name}"
    known = {name.split(".")[2] for name in imports(network / "definition.py")}
    assert known <= {"extent", "layers"}, known
