"""What `smnet train` runs is what `smnet bench tpu` compiles."""

import argparse
import dataclasses
import functools
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from smnet_jax import losses
from smnet_jax.aot import tpu
from smnet_jax.configs.smoke import config as smoke
from smnet_jax.network.model import implementation_for
from smnet_jax.training import loop
from smnet_jax.training import step as steps


class Lowered(Exception):
    """Ends a run where its first step would be compiled."""


@pytest.fixture
def on_tpu(monkeypatch):
    """Devices are taken for TPUs where a step is made; VGG16 is left to what it is told."""
    monkeypatch.setattr(steps, "implementation_for", lambda wanted="auto", _=None: implementation_for(wanted, "tpu"))


def test_train_and_bench_tpu_lower_to_the_same_text(on_tpu, monkeypatch, tmp_path):
    config = dataclasses.replace(
        smoke, width=8, blocks=1, loss="recipe", batch=2, epochs=1, schedule="steps", decay_epochs=1000, devices=1
    )
    programs = []

    def make_step(*args):
        made = steps.make_step(*args)

        def lower(*arguments):
            # Of shapes, as the bench does: from arrays JAX writes two constants in another order.
            shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
            programs.append(made.compiled.lower(*shapes).as_text())
            raise Lowered

        return dataclasses.replace(made, compiled=lower)

    monkeypatch.setattr(loop, "make_step", make_step)
    with pytest.raises(Lowered):
        loop.train(config, tmp_path)
    topology: Any = SimpleNamespace(devices=tuple(jax.devices()[:1]), device_kind="cpu")

    def of_bench():
        compilable = tpu.training(config, topology, argparse.Namespace(implementation="auto"))
        assert compilable.implementation == "tpu"
        return compilable.function.lower(*compilable.arguments).as_text()

    assert of_bench() == programs[0]
    # VGG16, too, is implemented for TPUs in it: implemented otherwise, it makes another program.
    monkeypatch.setattr(losses, "vgg16_features", functools.partial(_for_cpu, losses.vgg16_features))
    assert of_bench() != programs[0]


def _for_cpu(features, *args, **options):
    return features(*args, **options | {"implementation": "cpu"})
