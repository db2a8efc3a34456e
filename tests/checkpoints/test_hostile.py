"""Nothing in a stranger's checkpoint runs, exhausts memory, or gets past the command line as anything but one line."""

import contextlib
import pickle
import tracemalloc
from pathlib import Path

import pytest

from smnet_jax.checkpoints import formats
from smnet_jax.cli import main
from smnet_jax.errors import InputError
from tests.support import hostile

RUNNERS = list(hostile.runners(Path("unused")))
OVERSIZED = hostile.oversized()


def refuse(path: Path, capsys) -> str:
    """Convert `path` on the command line, which must refuse it in one line, and give that line."""
    target = path.with_name("converted")
    assert main(["convert", str(path), str(target)]) == 2
    assert not target.exists()
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"smnet: {path}: ")
    assert output.err.count("\n") == 1
    return output.err


@pytest.mark.parametrize("name", RUNNERS)
def test_the_attacks_are_real(name, tmp_path):
    """Python's own unpickler falls for every one of them: the next test proves something."""
    sentinel = tmp_path / "sentinel"
    content = pickle.dumps(hostile.runners(sentinel)[name], 2)
    with contextlib.suppress(TypeError):  # an attack may fail after it has run
        pickle.loads(content)
    assert sentinel.exists()


@pytest.mark.parametrize("wrap", [hostile.stream, hostile.zipped], ids=["stream", "zip"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
@pytest.mark.parametrize("name", RUNNERS)
def test_nothing_runs(name, protocol, wrap, tmp_path, capsys):
    sentinel, path = tmp_path / "sentinel", tmp_path / "checkpoint.pth"
    path.write_bytes(wrap(pickle.dumps(hostile.runners(sentinel)[name], protocol)))
    refuse(path, capsys)
    assert not sentinel.exists()


@pytest.mark.parametrize("where", range(4))
def test_nothing_runs_in_the_other_pickles_of_a_stream(where, tmp_path, capsys):
    """The magic number, version, system and key list are pickles too."""
    sentinel, path = tmp_path / "sentinel", tmp_path / "checkpoint.pth"
    evil = pickle.dumps(hostile.runners(sentinel)["os.system"], 2)
    values: list = [0x1950A86A20F9469CFC6C, 1001, {}, {}, []]
    parts = [pickle.dumps(value, 2) for value in values]
    parts[where + 1] = evil
    path.write_bytes(b"".join(parts))
    refuse(path, capsys)
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x02(S'/'ios\nsystem\n.",  # INST
        b"\x80\x02(cos\nsystem\nX\x01\0\0\0/o.",  # OBJ
        b"\x80\x02cos\nsystem\nX\x01\0\0\0/\x85\x81.",  # NEWOBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93X\x01\0\0\0/\x85R.",  # STACK_GLOBAL
        b"\x80\x02X\x01\0\0\0aX\x01\0\0\0/\x85R.",  # a call of a string
        b"\x80\x02cnumpy\nndarray\n)R.",  # an admitted word that is no constructor
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02Pid\n.",  # PERSID
        b"\x80\x02ctorch.storage\n_load_from_bytes\nC\x01x\x85R.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R}b.",  # BUILD of a dict
        b"\x80\x02cnumpy\ndtype\nX\x02\0\0\0O8\x89\x88\x87R.",  # an array of objects
        b"\x80\x02]N]b.",  # BUILD on a list
        b"\x80\x02}]K\x01a.",  # append to a dict's neighbour, leaving rubbish on the stack
        b"\x80\x02a.", b"\x80\x02.", b"\x80\x02u.", b"\x80\x02h\x07.", b"\x80\x02Q.", b"\x80\x02R.", b"\x80\x02b.",
    ],
)  # fmt: skip
def test_odd_operations(content, tmp_path, capsys):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(hostile.stream(content))
    refuse(path, capsys)


@pytest.mark.parametrize("name", OVERSIZED)
def test_nothing_grows(name, tmp_path, capsys):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(OVERSIZED[name]())
    tracemalloc.start()
    try:
        refuse(path, capsys)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 80 << 20


@pytest.mark.parametrize("name", ["lol_dim8.pth", "fivek_dim8.pth"])
def test_truncated_anywhere(name, fixtures, tmp_path, capsys):
    whole = (fixtures / "golden" / name).read_bytes()
    path = tmp_path / "checkpoint.pth"
    for part in range(40):
        path.write_bytes(whole[: len(whole) * part // 40])
        refuse(path, capsys)
    path.write_bytes(whole[:-1])
    refuse(path, capsys)


@pytest.mark.parametrize("name", ["lol_dim8.pth", "fivek_dim8.pth"])
def test_damaged_anywhere(name, fixtures, tmp_path, rng):
    """A flipped byte is noticed, or harmless; it never ends in another exception."""
    whole = bytearray((fixtures / "golden" / name).read_bytes())
    path = tmp_path / "checkpoint.pth"
    refused = 0
    # Most of the file is numbers; the structure, where a flip can do harm, is at its start or its end.
    for place in [*rng.integers(0, 12_000, 100), *rng.integers(len(whole) - 12_000, len(whole), 50)]:
        damaged = whole.copy()
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            formats.read(path)
        except InputError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 50


def test_terminal_control_characters_are_not_passed_on(tmp_path, capsys):
    path = tmp_path / "checkpoint.pth"
    path.write_bytes(hostile.stream(b"\x80\x04\x8c\x06\x1b[2J\nx\x8c\x06system\x93."))
    assert "\x1b" not in refuse(path, capsys)
