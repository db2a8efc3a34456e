"""Settings as words of the command line."""

import dataclasses

import pytest
import tyro

from smnet_jax.training.config import Config, Stage
from smnet_jax.training.options import REGISTRY, STAGE_IN_WORDS


def test_stages_on_the_command_line_are_the_configs():
    words = ["--stages", "steps=3,crop=32,batch=2", "steps=1,crop=16,batch=4,loss=l1_ssim"]
    config = tyro.cli(Config, args=words, registry=REGISTRY)
    assert config.stages == (Stage(3, 32, 2), Stage(1, 16, 4, "l1_ssim"))
    assert dataclasses.replace(config, stages=()) == Config()


def test_a_stage_in_words_is_the_stage():
    stage = Stage(steps=3, crop=32, batch=2, loss="l1_ssim", resize=64)
    assert STAGE_IN_WORDS.instance_from_str(STAGE_IN_WORDS.str_from_instance(stage)) == stage
    assert STAGE_IN_WORDS.instance_from_str(["steps=3,crop=32,batch=2"]) == Stage(steps=3, crop=32, batch=2)


@pytest.mark.parametrize(
    "words", ["steps=3,crop=32", "steps=3,crop=32,bach=2", "steps=x,crop=32,batch=2", "", "loss=l2"]
)
def test_a_stage_that_says_something_else_is_refused(words):
    with pytest.raises(ValueError):
        STAGE_IN_WORDS.instance_from_str([words])
