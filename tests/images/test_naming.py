import os
from pathlib import Path

import pytest

from smnet_jax.errors import InputError
from smnet_jax.images import formats, naming
from smnet_jax.images.naming import Job


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """Pictures, and what lies between pictures."""
    for name in (
        "a.jpg",
        "a.png",
        "B.JPEG",
        "notes.txt",
        ".hidden.jpg",
        "deep/c.webp",
        "deep/er/d.tiff",
        ".git/e.png",
        "__MACOSX/f.png",
    ):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def places(inputs, out="out") -> list[str]:
    return [str(place) for _, place in naming.find(inputs, outside=Path(out))]


def test_folders_are_searched_to_the_bottom_in_order(tree):
    assert places(["in"]) == ["B.JPEG", "a.jpg", "a.png", "deep/c.webp", "deep/er/d.tiff"]
    assert places([str(tree / "in" / "deep")]) == ["c.webp", "er/d.tiff"]


def test_results_of_an_earlier_run_inside_the_folder_are_not_inputs(tree):
    assert places(["in"], out="in/deep") == ["B.JPEG", "a.jpg", "a.png"]
    assert len(places(["in"], out="in")) == 5


def test_patterns_keep_the_structure_below_their_fixed_part(tree):
    assert places(["in/*.jpg"]) == ["a.jpg"]
    assert places(["in/**/*.tiff"]) == ["deep/er/d.tiff"]
    assert places(["in/d*"]) == ["deep/c.webp", "deep/er/d.tiff"]
    assert places([str(tree / "in" / "*.p?g")]) == ["a.png"]


def test_files_named_outright_are_taken_as_they_are_and_each_once(tree):
    assert places(["in/notes.txt", "in/.hidden.jpg"]) == ["notes.txt", ".hidden.jpg"]
    assert places(["in/a.jpg", "in/a.jpg", "in/deep/../a.jpg", "in"])[:2] == ["a.jpg", "B.JPEG"]
    (tree / "in" / "odd[1].jpg").write_bytes(b"x")
    assert places(["in/odd[1].jpg"]) == ["odd[1].jpg"]


@pytest.mark.parametrize("name", ["nothing.jpg", "in/*.gif", "in/*.txt", "empty", "nowhere/*"])
def test_what_is_not_there_is_an_error(tree, name):
    (tree / "empty").mkdir()
    with pytest.raises(InputError, match=name.replace("*", r"\*")):
        places([name])


def targets(found, **options) -> list[str]:
    pairs = [(Path(name), Path(name)) if isinstance(name, str) else name for name in found]
    return [str(job.target) for job in naming.plan(pairs, Path("out"), **options)]


def test_results_are_named_after_their_inputs():
    assert targets(["x/a.jpg", "b.PNG"]) == ["out/x/a.jpg", "out/b.PNG"]
    assert targets(["a.jpg"], suffix="_bright") == ["out/a_bright.jpg"]
    assert targets(["scan"]) == ["out/scan.png"]
    assert targets(["a.jpg"], kind="webp") == ["out/a.webp"]


def test_clashes_are_resolved():
    assert targets(["a.jpg", "a.png", "a.bmp"], kind="png") == ["out/a.png", "out/a_png.png", "out/a_bmp.png"]
    twice = [(Path("x/a.jpg"), Path("a.jpg")), (Path("y/a.jpg"), Path("a.jpg")), (Path("z/A.JPG"), Path("A.JPG"))]
    assert targets(twice) == ["out/a.jpg", "out/a_2.jpg", "out/A_3.JPG"]
    assert targets(["a.jpg", "a_2.jpg", (Path("y/a.jpg"), Path("a.jpg"))]) == [
        "out/a.jpg",
        "out/a_2.jpg",
        "out/a_3.jpg",
    ]


def test_comparisons_have_names_of_their_own():
    found = [(Path("a.jpg"), Path("a.jpg")), (Path("a_compare.jpg"), Path("a_compare.jpg"))]
    jobs = naming.plan(found, Path("out"), compare=True)
    names = [str(path) for job in jobs for path in (job.target, job.comparison)]
    assert len(set(names)) == 4 and names[:2] == ["out/a.jpg", "out/a_compare.jpg"]


def test_existing_files_are_protected(tree):
    job = Job(Path("in/a.jpg"), Path("in/a.jpg"))
    for skip in (False, True):
        with pytest.raises(InputError, match="is an input"):
            naming.protect([job], overwrite=False, skip=skip)
    assert naming.protect([job], overwrite=True, skip=False) == [job]

    crossed = Job(Path("in/a.jpg"), Path("in/deep/../a.png"))
    with pytest.raises(InputError, match="is an input"):
        naming.protect([crossed, Job(Path("in/a.png"), Path("new.png"))], overwrite=False, skip=False)
    with pytest.raises(InputError, match="already there"):
        naming.protect([crossed], overwrite=False, skip=False)
    fresh = Job(Path("in/a.png"), Path("new.png"))
    assert naming.protect([crossed, fresh], overwrite=False, skip=True) == [fresh]


# Folders as they come


def test_photos_that_need_an_extra_are_named_with_the_remedy(tree, monkeypatch):
    for name in ("IMG_1.HEIC", "shot.NEF", "film.mp4", "b.jxl", "c.avif"):
        (tree / "in" / name).write_bytes(b"x")
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    passed: list[Path] = []
    found = naming.find(["in"], outside=Path("out"), passed=passed)
    assert "c.avif" in [place.name for _, place in found] and len(found) == 6
    sentence = formats.passed_over(passed)
    assert sentence.startswith("passed over 5 files: ") and "\n" not in sentence
    assert "1 .heic, 1 .nef (to read them: pip install 'smnet-jax[photos]')" in sentence
    assert "1 .mp4 (films: extract" in sentence and "1 .jxl (convert" in sentence and "1 .txt (no pictures)" in sentence
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: object())
    assert len(naming.find(["in"], outside=Path("out"))) == 8


def test_a_folder_of_nothing_else_says_why(tree, monkeypatch):
    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    (tree / "phone").mkdir()
    (tree / "phone" / "IMG_1.HEIC").write_bytes(b"x")
    for name in ("phone", "phone/*"):
        with pytest.raises(InputError, match=r"photos"):
            naming.find([name], outside=Path("out"))


def test_pipes_looping_links_and_closed_folders_do_not_stop_the_others(tree):
    os.mkfifo(tree / "in" / "pipe.jpg")
    (tree / "in" / "loop.jpg").symlink_to("loop.jpg")
    (tree / "in" / "round").symlink_to("round")
    passed: list[Path] = []
    assert len(naming.find(["in"], outside=Path("out"), passed=passed)) == 5
    assert {"pipe.jpg", "loop.jpg"} <= {path.name for path in passed}
    assert "2 .jpg (pipes, or links that lead nowhere)" in formats.passed_over(passed)
    for name in ("in/loop.jpg", "in/round"):
        with pytest.raises(InputError, match="cannot be read"):
            naming.find([name], outside=Path("out"))


def test_a_folder_that_cannot_be_listed_is_passed_over_by_name(tree, monkeypatch):
    real = os.scandir

    def scandir(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    passed: list[Path] = []
    assert len(naming.find(["in"], outside=Path("out"), passed=passed)) == 3
    assert Path("in/deep") in passed


def test_nothing_to_be_listed_is_said_as_such(tree, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match=r"^in: no picture in this folder that may be read: in cannot be listed; "):
        naming.find(["in"], outside=Path("out"))
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != "in/deep")
    with pytest.raises(InputError, match=r"^in/deep/\*\.gif: matches no picture that may be read: in/deep cannot be l"):
        naming.find(["in/deep/*.gif"], outside=Path("out"))


def test_results_among_the_inputs_are_not_inputs(tree):
    for name in ("a_x.jpg", "a_x_compare.jpg", "other_x.jpg"):
        (tree / "in" / name).write_bytes(b"x")
    found = naming.find(["in"], outside=Path("in"))
    jobs = naming.plan(found, Path("in"), suffix="_x", compare=True)
    assert sorted(p.name for p in naming.without_results(found, ["in"], jobs)) == ["a_x.jpg", "a_x_compare.jpg"]
    assert naming.without_results(found, ["in", "in/a_x.jpg"], jobs) == [Path("in/a_x_compare.jpg")]
    elsewhere = naming.plan(found, Path("out"), suffix="_x", compare=True)
    assert naming.without_results(found, ["in"], elsewhere) == []


def test_brackets_in_names_that_exist_are_no_patterns(tree):
    (tree / "[2024] trip").mkdir()
    (tree / "[2024] trip" / "a.jpg").write_bytes(b"x")
    assert places(["[2024] trip/*.jpg"]) == ["a.jpg"]
    assert places(["[i]n/*.jpg"]) == ["in/a.jpg"]


def test_long_names_are_cut_in_bytes_and_stay_apart():
    long = "😀" * 62
    jobs = naming.plan([(Path(f"{long}.jpg"), Path(f"{long}.jpg"))], Path("out"), suffix="_x", compare=True)
    names = [path.name for path in (jobs[0].target, jobs[0].comparison) if path]
    assert all(len(os.fsencode(name)) <= 255 for name in names) and len(set(names)) == 2
    assert names[0].endswith("_x.jpg") and names[1].endswith("_compare.jpg")


def test_shards_are_all_of_it_once_whatever_the_order():
    found = [(Path(f"in/{i}.jpg"), Path(f"{i}.jpg")) for i in range(200)]
    jobs = naming.plan(found, Path("out"))
    parts = [naming.shard(jobs, Path("out"), part, 3) for part in (1, 2, 3)]
    assert sorted(job.target for part in parts for job in part) == sorted(job.target for job in jobs)
    assert all(40 < len(part) < 95 for part in parts)
    names = [{job.target.name for job in part} for part in parts]
    backwards = naming.plan(found[::-1], Path("elsewhere"))
    assert {job.target.name for job in naming.shard(backwards, Path("elsewhere"), 2, 3)} == names[1]
    fewer = naming.plan(found[::2], Path("out"))
    assert {job.target.name for job in naming.shard(fewer, Path("out"), 2, 3)} <= names[1]
    assert naming.shard(jobs, Path("out"), 1, 1) == jobs
