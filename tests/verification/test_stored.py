"""The stored numbers are PyTorch's, and ours agree with them."""

import numpy as np
import pytest

from smnet_jax.verification import check, comparison, stored, torch_stages
from tests.support import tolerances


@pytest.mark.parametrize("variant", ["lol", "fivek"])
def test_torch_still_computes_them(variant, frozen):
    architecture, params, reference, training = stored.read(variant)
    net = torch_stages.network(params, architecture)
    forward = torch_stages.forward(net, reference.low)
    found = comparison.stage_by_stage(forward, reference.forward, tolerances.forward(variant, stored.WIDTH))
    assert comparison.first_outside(found) is None and len(found) == 23
    again = torch_stages.training(net, training.low, training.high, frozen)
    for name, value in training.training.loss.items():
        np.testing.assert_allclose(again.loss[name], value, rtol=tolerances.LOSS, err_msg=name)
    gradients = comparison.by_group(again.gradients, training.training.gradients, 1e-4, prefix="")
    assert comparison.first_outside(gradients) is None


def test_every_mode_passes_and_differs_as_it_should():
    architecture, params, reference, _ = stored.read("lol")
    heard: list[check.Outcome] = []
    outcomes = check.check_forward(architecture, params, [reference], done=heard.append)
    assert outcomes == heard
    assert all(outcome.within for outcome in outcomes)
    by_name = {o.mode.name: max(d.relative for d in o.differences) for o in outcomes}
    assert list(by_name) == ["float32 gpu", "float32 cpu", "float32 tpu", "default", "bfloat16"]
    bound = tolerances.forward("lol", stored.WIDTH)
    assert 0 < by_name["float32 gpu"] < bound < 1e-3 < by_name["bfloat16"]
    for name in ("float32 cpu", "float32 tpu"):
        assert by_name[name] != by_name["float32 gpu"] and by_name[name] < bound


def test_files_are_small():
    assert all(path.stat().st_size < 200_000 for path in stored.FOLDER.glob("*.npz"))
