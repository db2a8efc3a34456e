"""The recipes, and the refusal of settings that cannot work or do not match a checkpoint."""

import dataclasses
import json
from pathlib import Path

import pytest

from smnet_jax import InputError
from smnet_jax.training import config as configs
from smnet_jax.training.config import Config, Stage


def test_lol_is_the_published_recipe():
    lol = configs.load("lol")
    assert (lol.batch, lol.crop, lol.epochs, lol.seed) == (10, 128, 601, 123)
    assert (lol.learning_rate, lol.decay, lol.decay_epochs, lol.schedule) == (5e-4, 1.2, 50, "steps")
    assert (lol.width, lol.blocks, lol.variant, lol.loss, lol.evaluate_epochs) == (64, 3, "lol", "recipe", 5)
    assert (lol.clip, lol.ema, lol.warmup, lol.deep_supervision, lol.remat) == (0, 0, 0, 0, False)
    assert (lol.accumulate, lol.dtype, lol.noise, lol.gain) == (0, "float32", 0, 0)


@pytest.mark.parametrize("name", configs.names())
def test_every_config_is_sound_and_tells_its_command(name):
    configs.check(configs.load(name))
    module = __import__(f"smnet_jax.configs.{name}", fromlist=["config"])
    assert f"smnet train {name} --workdir" in str(module.__doc__)


def test_an_unknown_config_is_refused_with_those_that_exist():
    with pytest.raises(InputError, match="fivek, lol, lol_small, lol_tiny, smoke"):
        configs.load("loll")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"width": 6}, "width 6"),
        ({"crop": 30}, "crop 30"),
        ({"crop": 8}, "crop 8"),
        ({"stages": (Stage(steps=1, crop=34, batch=1),)}, "crop 34"),
        ({"stages": (Stage(steps=0, crop=32, batch=1),)}, "stages"),
        ({"epochs": 0}, "epochs 0"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"clip": -1.0}, "clip -1"),
        ({"holdout": 1.0}, "holdout 1.0"),
        ({"parallel": "pmap", "rows": 2}, "parallel pmap"),
        ({"processes": 2}, "coordinator"),
        ({"loss": "mse"}, "loss 'mse': must be 'recipe' or 'l1_ssim'"),
        ({"schedule": "constant"}, "schedule 'constant'"),
        ({"variant": "LOL"}, "variant 'LOL'"),
        ({"dtype": "float16"}, "dtype 'float16'"),
        ({"on_nan": "ignore"}, "on_nan 'ignore'"),
        ({"clip": float("nan")}, "clip nan"),
        ({"l1_weight": -1.0}, "l1_weight -1"),
        ({"final_learning_rate": -1e-5}, "final_learning_rate"),
        ({"epochs": 1.5}, "epochs 1.5: must be a whole number"),
        ({"width": "16"}, "width '16'"),
        ({"remat": 1}, "remat 1: must be True or False"),
        ({"data": Path("d")}, "data .*: must be text"),
        ({"stages": (Stage(steps=1, crop=32, batch=1, loss="mse"),)}, "stages: loss 'mse'"),  # type: ignore[arg-type]
        ({"stages": (Stage(steps=1, crop=64, batch=1, resize=32),)}, "crop of 64 does not fit"),
        ({"stages": (Stage(steps=1, crop=32, batch=1, wide=34),)}, "crop 34"),
        ({"stages": (Stage(steps=1, crop=32, batch=1, wide=64, resize=32),)}, "crop of 64 does not fit"),
        ({"stages": (Stage(steps=1, crop=32, batch=1, thin=0),)}, "thin must be at least 1"),
        ({"stages": (Stage(steps=1, crop=32, batch=1, thin=2, resize=64),)}, "thin must be at least 1, and 1 where"),
        ({"stages": [Stage(steps=1, crop=32, batch=1)]}, "tuple of Stage"),
        ({"stages": (Stage(steps=1, crop=32, batch=1),), "steps": 5}, "steps 5: the config's stages"),
        ({"loss": "l1_ssim", "l1_weight": 0.0, "ssim_weight": 0.0}, "nothing would be learnt"),
        ({"optimizer": "sgd"}, "optimizer 'sgd': must be 'adam' or"),
        ({"optimizer": "prodigy"}, "add --learning-rate 1"),
        ({"optimizer": "schedule_free_adamw", "ema": 0.99}, "add --ema 0"),
        ({"processes": 2, "process": 2, "coordinator": "localhost:1"}, "process 2"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(change, told):
    with pytest.raises(InputError, match=told):
        configs.check(dataclasses.replace(Config(), **change))


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("lol_small", {"steps": 5}, "--steps: would change nothing: the config's stages"),
        ("lol_small", {"batch": 2}, "--batch"),
        ("lol_small", {"decay_epochs": 7}, "--decay-epochs: .* schedule is cosine"),
        ("smoke", {"steps": 5, "epochs": 2}, "--epochs: .*--steps 5"),
        ("lol", {"final_learning_rate": 1e-6}, "--final-learning-rate: .* schedule is steps"),
        ("lol", {"ssim_weight": 0.5}, "--ssim-weight: .* loss is recipe"),
        ("lol", {"weight_decay": 0.1}, "--weight-decay: .* optimizer is adam"),
        ("lol", {"optimizer": "schedule_free_adamw", "decay": 2.0}, "--decay: .* no schedule"),
    ],
)
def test_a_setting_given_that_cannot_take_effect_is_refused_with_what_overrides_it(name, given, told):
    with pytest.raises(InputError, match=told):
        configs.change(configs.load(name), **given)


def test_a_setting_given_that_takes_effect_is_taken():
    assert configs.change(configs.load("smoke"), batch=2, epochs=3).batch == 2
    assert configs.change(configs.load("lol_small"), stages=(), batch=2, steps=7).batch == 2
    assert configs.change(configs.load("lol"), loss="l1_ssim", ssim_weight=0.5).ssim_weight == 0.5


def test_what_has_no_effect_may_differ_on_resume():
    stages = (Stage(steps=1, crop=32, batch=2),)
    configs.check_same(Config(stages=stages), configs.to_json(Config(stages=stages, epochs=3)), Path("w"))


def test_another_config_than_the_checkpoints_is_refused_with_the_differences():
    saved = configs.to_json(Config(batch=4, devices=2))
    with pytest.raises(InputError, match=r"batch 4 there, 10 here") as caught:
        configs.check_same(Config(), saved, Path("w"))
    assert "devices" not in str(caught.value)
    configs.check_same(Config(batch=4, devices=8, rows=2, threads=1), saved, Path("w"))


def test_settings_change_on_purpose_only():
    saved = configs.to_json(Config())
    with pytest.raises(InputError, match=r"on purpose with --resume-with epochs"):
        configs.check_same(Config(epochs=700), saved, Path("w"))
    assert configs.check_same(Config(epochs=700), saved, Path("w"), ["epochs"]) == ["epochs 601 there, 700 here"]
    with pytest.raises(InputError, match="--resume-with width: cannot change"):
        configs.check_same(Config(width=8), saved, Path("w"), ["width"])


def test_a_config_from_a_file_of_ones_own_and_from_a_run(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        '"""Mine."""\nfrom smnet_jax.training import config as c\nconfig = c.change(c.load("smoke"), batch=2)\n'
    )
    assert configs.load(str(own)).batch == 2 and configs.describe(str(own)) == "Mine."
    (tmp_path / "config.json").write_text(json.dumps(configs.to_json(configs.load("lol_small"))))
    assert configs.load(str(tmp_path / "config.json")) == configs.load("lol_small")
    for name, content, told in (
        ("a.py", "config = 1", "defines no `config`"),
        ("b.py", "1 / 0", "cannot be run .ZeroDivisionError"),
        ("c.json", "[]", "no config of a run"),
        ("d.json", '{"bach": 1}', "no config of a run"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=told):
            configs.load(str(tmp_path / name))
    with pytest.raises(InputError, match="no such config file"):
        configs.load(str(tmp_path / "none.py"))


def test_stages_survive_the_round_trip_through_json():
    config = Config(stages=(Stage(steps=1, crop=32, batch=2),))
    configs.check_same(config, configs.to_json(config), Path("w"))


def test_settings_added_by_a_later_version_count_as_their_default():
    saved = configs.to_json(Config())
    del saved["gain"]
    configs.check_same(Config(), saved, Path("w"))
    with pytest.raises(InputError, match="gain"):
        configs.check_same(Config(gain=1.0), saved, Path("w"))
    stages = (Stage(steps=1, crop=32, batch=2),)
    saved = configs.to_json(Config(stages=stages))
    del saved["stages"][0]["thin"]
    configs.check_same(Config(stages=stages), saved, Path("w"))
    with pytest.raises(InputError, match="stages"):
        configs.check_same(Config(stages=(dataclasses.replace(stages[0], thin=2),)), saved, Path("w"))
