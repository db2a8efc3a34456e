"""What `--data` may say."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from smnet_jax import InputError
from smnet_jax.training.config import Config, Stage
from smnet_jax.training.inputs import open_data, open_loader, split_data, stage_seed
from smnet_jax.training.schedule import plan

CONFIG = Config(crop=12, batch=2, width=4)


@pytest.fixture
def folder(tmp_path, rng):
    for split, count in (("train", 4), ("test", 2)):
        for side in ("low", "high"):
            (tmp_path / split / side).mkdir(parents=True)
            for i in range(count):
                picture = rng.integers(0, 255, (16, 20, 3), np.uint8)
                Image.fromarray(picture).save(tmp_path / split / side / f"{i}.png")
    return tmp_path


def open_(data, **changes):
    opened = open_data(dataclasses.replace(CONFIG, data=str(data), **changes))
    return opened.training, opened.evaluation


def notes_of(data, **changes):
    return " | ".join(open_data(dataclasses.replace(CONFIG, data=str(data), **changes)).notes)


def test_a_folder_with_a_test_split_evaluates_on_it(folder):
    training, evaluation = open_(folder, holdout=0.5)
    assert (len(training), len(evaluation or [])) == (4, 2)


def test_without_test_split_pairs_are_held_out_on_request(folder):
    assert [len(part or []) for part in open_("dummy:8", holdout=0.25)] == [6, 2]
    assert open_("dummy:8")[1] is None


def test_several_sources_are_joined_and_repeated(folder):
    training, evaluation = open_(f"{folder}, dummy:3*4")
    assert len(training) == 4 + 12
    assert len(evaluation or []) == 2


def test_ordinary_photos_are_darkened(folder):
    training, _ = open_(f"synthetic:{folder / 'train' / 'high'}")
    example = training[0]
    assert example["low"].mean() < example["high"].mean()


@pytest.mark.parametrize(
    ("data", "told"),
    [("nowhere", "no such folder"), ("dummy:x", "dummy:N"), ("dummy:0", "dummy:N"), ("synthetic:nowhere", "nowhere")],
)
def test_what_cannot_be_opened_is_told(data, told):
    with pytest.raises(InputError, match=told):
        open_(data)


def test_pairs_are_held_out_of_all_sources_together_and_trained_on_nowhere(folder, tmp_path):
    training, evaluation = open_("dummy:8,dummy:8,dummy:4", holdout=0.3)  # dummy:4 repeats the first four of dummy:8
    held, kept = (set(part.high_hashes) for part in (evaluation, training))
    assert held and not held & kept
    assert len(training) + len(evaluation) == 20


def test_all_test_pairs_are_evaluated(folder, tmp_path):
    assert len(open_(f"{folder},{folder}")[1] or []) == 4


def test_a_target_on_both_sides_is_an_error_or_told(folder):
    for side in ("low", "high"):
        shutil.copy(folder / "train" / side / "3.png", folder / "test" / side / "9.png")
    with pytest.raises(InputError, match=r"training pair 3\.png and .*test pair 9\.png: what is scored"):
        open_(folder)
    assert "what is scored" in notes_of(folder, on_leak="tell")


def test_what_deserves_a_line_gets_one(folder):
    assert "nothing is evaluated; --holdout" in notes_of("dummy:8")
    assert "holdout 0.5: changes nothing" in notes_of(folder, holdout=0.5)
    for name in ("0", "1"):
        Image.new("RGB", (20, 16), (200,) * 3).save(folder / "test" / "low" / f"{name}.png")
        Image.new("RGB", (20, 16), (9, 9, int(name))).save(folder / "test" / "high" / f"{name}.png")
    assert "in 2 of 2 pairs low is brighter than high" in notes_of(folder)


def test_test_pictures_are_checked_before_the_first_step(folder):
    for side in ("low", "high"):
        Image.new("RGB", (9, 12)).save(folder / "test" / side / "1.png")
    with pytest.raises(InputError, match=r"test/low/1\.png is 9x12, smaller than SSIM's window of 11"):
        open_(folder)


def test_a_crop_that_the_stages_replace_bounds_nothing(folder):
    stages = (Stage(steps=1, crop=12, batch=1, resize=16),)
    assert len(open_(folder, crop=128, stages=stages)[0]) == 4


def test_commas_stars_and_the_home_folder_in_paths(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    odd = tmp_path / "a, b*3"
    shutil.copytree(folder / "train", odd / "train")
    assert split_data(f"dummy:3*2, {odd}, {odd}*2") == [("dummy:3", 2), (str(odd), 1), (str(odd), 2)]
    assert len(open_("~/a, b*3")[0]) == 4
    with pytest.raises(InputError, match="at least once"):
        split_data("dummy:3*0")


def test_other_schemes_than_gs_are_refused_in_a_line():
    with pytest.raises(InputError, match="s3://bucket/lol: only folders of this machine and gs://"):
        open_("s3://bucket/lol")


def test_pictures_smaller_than_the_crop_stop_the_run_by_name(folder):
    with pytest.raises(InputError, match=r"0\.png"):
        open_(folder, crop=32)


def test_processes_get_disjoint_parts_of_the_same_batch():
    training, _ = open_("dummy:8")
    config = dataclasses.replace(CONFIG, batch=4, steps=2, noise=0.1, gain=1.0)
    spans = plan(config, len(training))
    whole = next(open_loader(config, training, spans, spans[0], 0, 1))
    parts = [next(open_loader(config, training, spans, spans[0], process, 2)) for process in (0, 1)]
    for name in ("low", "high", "index"):
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), whole[name])


def test_no_stage_draws_what_another_runs_stage_draws():
    assert [stage_seed(123, 0), stage_seed(2**40, 0)] == [123, 2**40]  # the recipe's one stage: as ever
    assert len({stage_seed(seed, stage) for seed in range(100, 140) for stage in range(5)}) == 200
    assert stage_seed(123, 1) == stage_seed(123, 1)

    def order(seed, stage):
        config = dataclasses.replace(CONFIG, seed=seed, stages=(Stage(4, 12, 8), Stage(4, 12, 8)))
        spans = plan(config, len(training))
        return next(open_loader(config, training, spans, spans[stage], 0, 1))["low"]

    training, _ = open_("dummy:8")
    assert not np.array_equal(order(123, 1), order(124, 0))
    assert not np.array_equal(order(123, 1), order(123, 0))
    np.testing.assert_array_equal(order(123, 1), order(123, 1))
