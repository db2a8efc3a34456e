"""A changed weight is found, and at the right stage; an unchanged network passes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.verification import check, comparison, modes, stages, stored, torch_stages


@pytest.fixture(scope="module")
def run():
    """Our stages at highest precision, compiled once per variant."""
    compiled = {}

    def forward(architecture, params, low):
        if architecture.variant not in compiled:
            exact = modes.all_modes("cpu")[0]
            compiled[architecture.variant] = modes.forward(exact, architecture)
        return compiled[architecture.variant]({"params": jax.tree.map(jnp.asarray, params)}, low)

    return forward


def first(run, architecture, params, reference):
    ours = run(architecture, params, reference.low)
    return comparison.first_outside(comparison.stage_by_stage(ours, reference.forward, modes.EXACT))


@pytest.mark.parametrize("variant", ["lol", "fivek"])
def test_the_same_weights_pass(run, tampered, variant):
    assert first(run, *tampered(variant, "block/fuse/kernel", 1.0)) is None


@pytest.mark.parametrize(
    ("variant", "path", "stage"),
    [
        ("lol", "stem/act/slope", "stem"),
        ("fivek", "block/down_full/expand/kernel", "block1/half"),
        ("lol", "block/down_half/conv/kernel", "block1/quarter"),
        ("lol", "block/fem_quarter/expand/bias", "block1/fem_quarter"),
        ("fivek", "block/fem_quarter/reduce_act/slope", "block1/fem_quarter"),
        ("lol", "block/up_quarter/up/kernel", "block1/quarter_up"),
        ("fivek", "block/fem_half/act2/slope", "block1/fem_half"),
        ("lol", "block/up_half/skip/kernel", "block1/fem_full"),
        ("lol", "block/gfrm/gate/bias", "block1/gfrm"),
        ("fivek", "block/gfrm/fc1/kernel", "block1/gfrm"),
        ("fivek", "block/fuse/bias", "block1/head"),
        ("lol", "head/out/bias", "block1/head"),
    ],
)
def test_a_changed_weight_is_named(run, tampered, variant, path, stage):
    outside = first(run, *tampered(variant, path, 1.01))
    assert outside is not None and outside.stage == stage


def test_names_are_all_there(run, tampered):
    architecture, params, reference = tampered("lol", "block/fuse/kernel", 1.0)
    assert list(run(architecture, params, reference.low)) == list(reference.forward) == stages.names(3)
    assert stages.output(3) == stages.names(3)[-1]


@pytest.mark.parametrize("variant", ["lol", "fivek"])
def test_one_training_step(variant, vgg, frozen):
    """Loss, gradients and update pass; with a loss term, a gradient and an update gone wrong, each is named."""
    _, params, _, reference = stored.read(variant)
    architecture = Architecture(variant, stored.WIDTH, blocks=1)  # compiles in a third of the time
    net = torch_stages.network(params, architecture)
    training = torch_stages.training(net, reference.low, reference.high, frozen)
    right = check.TrainingReference(reference.low, reference.high, training)
    differences = check.check_training(architecture, params, [right], vgg)
    assert comparison.first_outside(differences) is None
    assert [d.stage for d in differences[:6]] == [f"loss/{name}" for name in (*TERMS, "total")]
    assert differences[-1].stage == "update by Adam"

    training.loss["tv"] *= np.float32(1.001)
    training.gradients["block/up_half/up/kernel"] *= np.float32(1.001)
    assert training.updated is not None
    training.updated["head/out/bias"] += np.float32(1e-5)
    found = check.check_training(architecture, params, [right], vgg)
    assert [d.stage for d in found if not d.within] == ["loss/tv", "gradient/block/up_half", "update by Adam"]


TERMS = ("ssim", "perceptual", "smooth_l1", "inner", "tv")
