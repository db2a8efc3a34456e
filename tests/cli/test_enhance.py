"""`smnet enhance` as a user meets it: names, exit codes, what is printed, and what is left behind."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smnet_jax.checkpoints import untrained
from smnet_jax.cli import main
from smnet_jax.enhancement import photo
from smnet_jax.errors import InputError
from smnet_jax.host import allocator, compile_cache, process_memory
from smnet_jax.images import pictures, writing

WEIGHTS = ["--weights", untrained.NAME]


@pytest.fixture(scope="module", autouse=True)
def tiny():
    """A narrower untrained network: every test here would otherwise compute sixteen times as much."""
    with pytest.MonkeyPatch.context() as patch:
        weights = untrained.make(width=4)
        patch.setattr(untrained, "make", lambda: weights)
        photo.forget()
        yield weights
    photo.forget()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Three pictures of one size and a folder in the folder; the working directory is beside them."""
    dark = np.random.default_rng(0).integers(0, 60, (12, 16, 3), np.uint8)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "deep/a.webp"):
        Image.fromarray(dark).save(tmp_path / "in" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def pixels(name: str) -> np.ndarray:
    with Image.open(name) as image:
        return np.asarray(image)


def test_a_folder(folder, tiny, capsys):
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 0
    assert files(folder / "out") == ["a.png", "b.jpg", "deep/a.webp"]
    said = capsys.readouterr()
    assert said.out.startswith("3 pictures enhanced in ") and said.out.count("\n") == 1
    assert untrained.WARNING in said.err
    expected = photo.enhance(pixels("in/a.png"), tiny)
    assert np.array_equal(pixels("out/a.png"), expected)


def test_sizes_of_a_folder_share_a_program_and_pixels_stay(folder, tiny, monkeypatch):
    other = np.random.default_rng(1).integers(0, 60, (21, 18, 3), np.uint8)
    Image.fromarray(other).save("in/c.png")
    used, compiled = set(), photo.compiled

    def noting(model, variables, height, width, *, shared=False):
        used.add((height, width, shared))
        return compiled(model, variables, height, width, shared=shared)

    monkeypatch.setattr(photo, "compiled", noting)
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 0
    assert used == {(24, 20, True)}
    for name in ("a.png", "c.png"):
        alone = photo.enhance(pixels(f"in/{name}"), tiny)
        apart = np.abs(pixels(f"out/{name}").astype(int) - alone)
        assert apart.max() <= 1 and (apart > 0).mean() < 1e-2  # where rounding falls on the other side of a half


@pytest.mark.parametrize(("held", "times"), [(1 << 20, 0), (1 << 30, 3)])
def test_memory_goes_back_after_each_picture_where_it_is_much(folder, monkeypatch, held, times):
    """Sizes differ from picture to picture, and `--max-memory` has no room for many gaps between them."""
    returned = []
    monkeypatch.setattr(process_memory, "anonymous", lambda: held)
    monkeypatch.setattr(allocator, "return_freed_memory", lambda: returned.append(True))
    assert main(["enhance", "in", "-o", "out", "--max-memory", "4G", *WEIGHTS]) == 0
    assert len(returned) == times


def test_one_picture_to_a_file_and_the_same_bytes_twice(folder):
    for name in ("x/one.png", "x/two.png"):
        assert main(["enhance", "in/a.png", "-o", name, *WEIGHTS]) == 0
    assert (folder / "x/one.png").read_bytes() == (folder / "x/two.png").read_bytes()
    assert files(folder / "x") == ["one.png", "two.png"]


def test_shards_together_are_the_whole(folder, capsys):
    written = []
    for part in ("1/2", "2/2"):
        assert main(["enhance", "in", "-o", "out", "--shard", part, "--skip-existing", *WEIGHTS]) == 0
        written.append(int(capsys.readouterr().out.split()[0]))
    assert files(folder / "out") == ["a.png", "b.jpg", "deep/a.webp"] and sum(written) == 3


def test_several_inputs_clash_free_in_one_format(folder):
    Image.fromarray(pixels("in/b.jpg")).save("in/a.bmp")
    assert main(["enhance", "in/a.png", "in/*.bmp", "in/deep", "-o", "out/", "--format", "jpg", *WEIGHTS]) == 0
    assert files(folder / "out") == ["a.jpg", "a_bmp.jpg", "a_webp.jpg"]


def test_compare_suffix_and_strength(folder):
    assert main(["enhance", "in/a.png", "-o", "out", "--compare", "--suffix", "_x", "--strength", "0", *WEIGHTS]) == 0
    assert files(folder / "out") == ["a_x.png", "a_x_compare.png"]
    before = pixels("in/a.png")
    assert np.array_equal(pixels("out/a_x.png"), before)  # strength 0
    assert np.array_equal(pixels("out/a_x_compare.png"), np.hstack([before, before]))
    assert main(["enhance", "in/a.png", "-o", "out", "--compare", *WEIGHTS]) == 0
    both, after = (pixels(f"out/{name}.png") for name in ("a_compare", "a"))
    assert np.array_equal(both, np.hstack([before, after])) and not np.array_equal(before, after)


def test_inputs_and_earlier_results_are_protected(folder, capsys):
    original = (folder / "in/a.png").read_bytes()
    assert main(["enhance", "in/a.png", "-o", "in", *WEIGHTS]) == 2
    assert main(["enhance", "in/a.png", "-o", "in/a.png", *WEIGHTS]) == 2
    assert main(["enhance", "in", "-o", "in", "--skip-existing", *WEIGHTS]) == 2
    assert (folder / "in/a.png").read_bytes() == original
    assert "is an input" in capsys.readouterr().err

    (folder / "out").mkdir()
    (folder / "out/a.png").write_text("mine")
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 2
    assert files(folder / "out") == ["a.png"]
    assert main(["enhance", "in", "-o", "out", "--skip-existing", *WEIGHTS]) == 0
    assert (folder / "out/a.png").read_text() == "mine" and len(files(folder / "out")) == 3
    assert main(["enhance", "in", "-o", "out", "--overwrite", *WEIGHTS]) == 0
    assert pixels("out/a.png").shape == (12, 16, 3)
    assert main(["enhance", "in/a.png", "-o", "in", "--overwrite", *WEIGHTS]) == 0
    assert (folder / "in/a.png").read_bytes() != original


def test_an_unreadable_picture_is_named_and_the_others_come_out(folder, capsys):
    (folder / "in/aa.jpg").write_text("no picture")
    (folder / "in/half.png").write_bytes((folder / "in/a.png").read_bytes()[:200])
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 1
    assert files(folder / "out") == ["a.png", "b.jpg", "deep/a.webp"]
    said = capsys.readouterr()
    assert "in/aa.jpg: not a readable" in said.err and "in/half.png" in said.err
    assert "3 pictures enhanced" in said.out and "2 failed: in/aa.jpg, in/half.png" in said.out


def test_a_full_disk_is_named_too(folder, capsys, monkeypatch):
    real = writing.write

    def full(picture, path, **options):
        if path.name == "b.jpg":
            raise OSError(28, "No space left on device")
        return real(picture, path, **options)

    monkeypatch.setattr(writing, "write", full)
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 1
    assert "in/b.jpg" in capsys.readouterr().err and len(files(folder / "out")) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "no input"),
        (["nothing.jpg"], "nothing.jpg: no such file"),
        (["empty"], "empty: no picture"),
        (["in/*.gif"], "matches no picture"),
        (["in", "-o", "out.jpg"], "name a folder"),
        (["in/a.png", "-o", "out.gif"], "out.gif"),
        (["in/a.png", "-o", "out.jpg", "--format", "png"], "contradicts"),
        (["in/a.png", "-o", "in/b.jpg/x"], "in/b.jpg"),
        (["in/a.png", "--strength", "1.5"], "--strength 1.5"),
        (["in/a.png", "--strength", "nan"], "--strength nan"),
        (["in/a.png", "--tile", "big"], "--tile big"),
        (["in/a.png", "--tile", "0"], "--tile 0"),
        (["in/a.png", "--max-memory", "4"], "--max-memory 4"),
        (["in/a.png", "--quality", "0"], "--quality 0"),
        (["in/a.png", "--max-megapixels", "-1"], "--max-megapixels"),
        (["in/a.png", "--suffix", "../x"], "--suffix"),
        (["in", "--shard", "0/4"], "--shard 0/4"),
        (["in", "--shard", "5/4"], "--shard 5/4"),
        (["in", "--shard", "half"], "--shard half"),
        (["in/a.png", "--weights", "nowhere.pth"], "nowhere.pth"),
    ],
)
def test_bad_arguments_end_with_2_and_one_line(folder, capsys, arguments, says):
    (folder / "empty").mkdir()
    if "--weights" not in arguments:
        arguments = [*arguments, *WEIGHTS]
    assert main(["enhance", *arguments]) == 2
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not (folder / "enhanced").exists() and not list(folder.rglob(".*"))


def test_without_weights_the_way_to_get_some_is_told(folder, capsys, monkeypatch):
    from smnet_jax.checkpoints import weights

    monkeypatch.setattr(weights, "bundled", list)
    assert main(["enhance", "in/a.png"]) == 2
    assert "--weights FILE.pth" in capsys.readouterr().err


def test_json_is_all_that_stdout_gets(folder, capsys):
    (folder / "in/bad.png").write_text("no picture")
    assert main(["enhance", "in", "-o", "out", "--json", "--compare", *WEIGHTS]) == 1
    told = {entry["input"]: entry for entry in json.loads(capsys.readouterr().out)["pictures"]}
    assert told["in/a.png"] == {
        "input": "in/a.png",
        "output": "out/a.png",
        "comparison": "out/a_compare.png",
        "width": 16,
        "height": 12,
        "notes": [],
    }
    assert "not a readable" in told["in/bad.png"]["error"] and len(told) == 4


def test_notes_name_their_picture(folder, capsys):
    Image.new("RGBA", (16, 12)).save("in/[red]clear.png")
    assert main(["enhance", "in/[red]clear.png", "-o", "out", "--format", "jpg", *WEIGHTS]) == 0
    assert "in/[red]clear.png: JPEG has no transparency" in capsys.readouterr().err


def test_a_name_that_is_not_utf8(folder, capsys):
    name = os.fsdecode(b"in/\xff.png")
    Path("in/a.png").rename(name)
    (folder / os.fsdecode(b"in/\xfe.png")).write_text("no picture")
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 1
    assert Path(os.fsdecode(b"out/\xff.png")).exists()


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
def test_interrupted_it_leaves_finished_pictures_only(folder, capsys, monkeypatch, stage):
    calls = []

    def interrupting(real):
        def wrapped(*args, **kwargs):
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return real(*args, **kwargs)

        return wrapped

    if stage == "read":
        monkeypatch.setattr(pictures, "read", interrupting(pictures.read))
    elif stage == "compute":
        monkeypatch.setattr(photo, "enhance_picture", interrupting(photo.enhance_picture))
    else:
        monkeypatch.setattr(Image.Image, "save", interrupting(Image.Image.save))
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 130
    assert "interrupted" in capsys.readouterr().err
    left = files(folder / "out")
    assert set(left) <= {"a.png", "b.jpg", "deep/a.webp"} and len(left) < 3
    for name in left:
        pictures.read(folder / "out" / name)


def test_samples_come_with_the_package_and_are_dark():
    from smnet_jax.cli.enhance import samples
    from smnet_jax.images.naming import pictures_below

    found = list(pictures_below(samples()))
    assert 4 <= len(found) <= 6
    licences = (samples() / "README.md").read_text(encoding="utf-8")
    for path in found:
        assert path.stat().st_size < 62_000 and f"`{path.name}`" in licences
        assert pictures.read(path).rgb.mean() < 0.2


def test_samples_need_no_weights_but_say_so(folder, capsys, monkeypatch):
    """As `make demo` does it, on a tiny sample."""
    from smnet_jax.checkpoints import weights
    from smnet_jax.cli import enhance

    monkeypatch.setattr(enhance, "samples", lambda: folder / "in/deep")
    monkeypatch.setattr(weights, "bundled", list)
    assert main(["enhance", "--samples", "--compare", "-o", "demo"]) == 0
    assert files(folder / "demo") == ["a.webp", "a_compare.webp"]
    assert untrained.WARNING in capsys.readouterr().err


def test_list_weights(capsys):
    assert main(["enhance", "--list-weights"]) == 0
    assert untrained.NAME in capsys.readouterr().out


def test_a_real_checkpoint(folder, golden):
    checkpoint = golden / "small" / "lol_dim8.pth"
    if not checkpoint.exists():
        checkpoint = golden / "lol_dim16.pth"
    assert main(["enhance", "in/a.png", "-o", "out", "--weights", str(checkpoint)]) == 0


def test_as_a_program_with_a_cache_of_its_own(folder):
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-W", "error", "-m", "smnet_jax.cli", "enhance", "in/a.png", *WEIGHTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 picture enhanced") and files(folder / "enhanced") == ["a.png"]
    cached = [name for name in files(folder / "cache/smnet-jax") if name.endswith("-cache")]
    assert cached and (folder / "cache/smnet-jax").stat().st_mode & 0o077 == 0


def test_where_the_cache_is(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compile_cache.default_folder() == tmp_path / "smnet-jax"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # to be ignored, says the XDG specification
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compile_cache.default_folder() == tmp_path / ".cache" / "smnet-jax"


def test_unreadable_weights_folder_is_one_line(folder, capsys):
    assert main(["enhance", "in/a.png", "--weights", "in"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(InputError):
        photo.open_weights("in")


# What people's machines do to us


def test_what_was_passed_over_is_told_with_the_remedy(folder, capsys):
    (folder / "in/film.mp4").write_bytes(b"x")
    (folder / "in/b.jxl").write_bytes(b"x")
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("passed over 2 files: ") and "1 .jxl (convert them to png)" in last
    assert main(["enhance", "in", "-o", "out", "--json", "--overwrite", *WEIGHTS]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sorted(told["passed_over"]) == ["in/b.jxl", "in/film.mp4"] and "convert" in told["remedy"]


def test_a_second_run_in_place_does_nothing_more(folder, capsys):
    for _ in range(3):
        assert main(["enhance", "in", "-o", "in", "--suffix", "_x", "--compare", "--skip-existing", *WEIGHTS]) == 0
        assert len(files(folder / "in")) == 9
    assert "left out 6 results of an earlier run" in capsys.readouterr().out


def test_a_comparison_that_cannot_be_written_does_not_undo_its_picture(folder, capsys):
    Image.new("RGB", (8200, 8)).save("in/wide.webp", lossless=True)
    options = ["--compare", "--strength", "0", *WEIGHTS]
    assert main(["enhance", "in/wide.webp", "-o", "out", *options]) == 0
    assert "the comparison could not be written: result: 16400x8" in capsys.readouterr().err
    assert files(folder / "out") == ["wide.webp"]
    Image.new("RGB", (16384, 8)).save("in/wider.png")
    assert main(["enhance", "in", "-o", "out2", "--format", "webp", *options]) == 1
    assert "in/wider.png: result: 16384x8" in capsys.readouterr().err and "a.webp" in files(folder / "out2")


def test_the_same_note_is_printed_once(folder, capsys):
    for name in "xyz":
        Image.new("RGBA", (16, 12)).save(f"in/{name}.png")
    assert main(["enhance", *(f"in/{n}.png" for n in "xyz"), "-o", "out", "--format", "jpg", *WEIGHTS]) == 0
    said = capsys.readouterr().err
    assert said.count("JPEG has no transparency") == 2 and "for 2 more pictures: JPEG has no transparency" in said


def test_names_cannot_steer_the_terminal(folder, capsys):
    (folder / "in/two\nlines\x1b[31m.jpg").write_text("no picture")
    assert main(["enhance", "in", "-o", "out", *WEIGHTS]) == 1
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err and r"two\nlines\x1b[31m.jpg" in said.err


def test_a_terminal_that_lacks_a_letter_gets_its_number(folder):
    Path("in/a.png").rename("in/写真.png")
    command = [
        sys.executable,
        "-m",
        "smnet_jax.cli",
        "enhance",
        "in/写真.png",
        "-o",
        "出力",
        "--strength",
        "0",
        *WEIGHTS,
    ]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0 and rb"\u51fa\u529b" in done.stdout, done.stderr
    assert files(folder / "出力") == ["写真.png"]


def test_a_backend_that_is_not_there_is_one_line(folder):
    command = [sys.executable, "-m", "smnet_jax.cli", "enhance", "in/a.png", *WEIGHTS]
    done = subprocess.run(
        command, env=os.environ | {"JAX_PLATFORMS": "cuda"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "JAX_PLATFORMS=cuda" in done.stderr, done.stderr


class Pipe(io.TextIOWrapper):
    """Standard input or output that is no terminal."""

    def __init__(self, data: bytes = b""):
        super().__init__(io.BytesIO(data))


def test_from_standard_input_to_standard_output(folder, capsys, monkeypatch):
    assert main(["enhance", "in/a.png", "-o", "out", *WEIGHTS]) == 0
    capsys.readouterr()
    dark = (folder / "in/a.png").read_bytes()
    for arguments, source in ((["-", "-o", "-"], dark), (["-"], dark), (["in/a.png", "-o", "-"], b"")):
        out = Pipe()
        monkeypatch.setattr(sys, "stdin", Pipe(source))
        monkeypatch.setattr(sys, "stdout", out)
        assert main(["enhance", *arguments, *WEIGHTS]) == 0
        assert out.buffer.getvalue() == (folder / "out/a.png").read_bytes()  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stdin", Pipe(dark))
    assert main(["enhance", "-", "-o", "b.jpg", *WEIGHTS]) == 0
    options = ["--strength", "0.5", "--exposure", "0.5", *WEIGHTS]
    assert main(["enhance", "in/a.png", "-o", "c.png", *options]) == 0
    monkeypatch.setattr(sys, "stdin", Pipe(dark))
    assert main(["enhance", "-", "-o", "d.png", *options]) == 0
    assert np.array_equal(pixels("c.png"), pixels("d.png"))
    assert pixels("b.jpg").shape == (12, 16, 3)


@pytest.mark.parametrize("arguments", [["-", "in/a.png"], ["in", "-o", "-"], ["-", "--compare"], ["-", "-o", "x.gif"]])
def test_what_a_pipe_cannot_have_is_one_line(folder, capsys, monkeypatch, arguments):
    monkeypatch.setattr(sys, "stdin", Pipe(b"no picture"))
    assert main(["enhance", *arguments, *WEIGHTS]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_pipe_without_a_picture_is_one_line(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe(b"no picture"))
    monkeypatch.setattr(sys, "stdout", Pipe())
    assert main(["enhance", "-", *WEIGHTS]) == 2
    assert "standard input: not a readable" in capsys.readouterr().err


def test_only_dark_leaves_out_what_is_bright_enough(folder, capsys):
    Image.new("RGB", (16, 12), "white").save("in/white.png")
    assert main(["enhance", "in", "-o", "out", "--only-dark", *WEIGHTS]) == 0
    assert files(folder / "out") == ["a.png", "b.jpg", "deep/a.webp"]
    assert "3 pictures enhanced" in (said := capsys.readouterr().out) and "1 left out as bright enough" in said
