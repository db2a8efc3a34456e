"""What `--data` may say."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from smnet_jax import InputError
from smnet_jax.training.config import Config, Stage
from smnet_jax.training.inputs import open_data, open_loader, stage_seed
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
    return open_data(dataclasses.replace(CONFIG, data=str(data), **changes))


def test_a_folder_with_a_test_split_evaluates_on_it(folder):
    training, evaluation = open_(folder, holdout=0.5)
    assert (len(training), len(evaluation or [])) == (4, 2)


def test_without_test_split_pairs_are_held_out_on_request(folder):
    assert [len(part or []) for part in open_("made:8", holdout=0.25)] == [6, 2]
    assert open_("made:8")[1] is None


def test_several_sources_are_joined_and_repeated(folder):
    training, evaluation = open_(f"{folder}, made:3*4")
    assert len(training) == 4 + 12
    assert len(evaluation or []) == 2


def test_ordinary_photos_are_darkened(folder):
    training, _ = open_(f"synthetic:{folder / 'train' / 'high'}")
    example = training[0]
    assert example["low"].mean() < example["high"].mean()


@pytest.mark.parametrize(
    ("data", "told"),
    [("nowhere", "no such folder"), ("made:x", "made:N"), ("made:0", "made:N"), ("synthetic:nowhere", "nowhere")],
)
def test_what_cannot_be_opened_is_told(data, told):
    with pytest.raises(InputError, match=told):
        open_(data)


def test_pictures_smaller_than_the_crop_stop_the_run_by_name(folder):
    with pytest.raises(InputError, match=r"0\.png"):
        open_(folder, crop=32)


def test_processes_get_disjoint_parts_of_the_same_batch():
    training, _ = open_("made:8")
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

    training, _ = open_("made:8")
    assert not np.array_equal(order(123, 1), order(124, 0))
    assert not np.array_equal(order(123, 1), order(123, 0))
    np.testing.assert_array_equal(order(123, 1), order(123, 1))
