"""The same training on one device, on eight under jit and under pmap, and on four by two halves of the picture."""

import json
import subprocess
import sys
from typing import Any

import pytest

from smnet_jax import InputError
from smnet_jax.training import parallel
from smnet_jax.training.config import Config
from tests.support import tolerances

REPO = __file__.partition("/tests/")[0]


@pytest.fixture(scope="module")
def differences() -> dict[str, Any]:
    """How far each layout ends from one device; and what devices sum up in a step."""
    process = subprocess.run(
        [sys.executable, "-m", "tests.support.eight_devices"],
        cwd=REPO,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.parametrize(
    "layout",
    ["jit", "pmap", "rows", "accumulated", "accumulated under pmap"],
)
def test_twenty_steps_agree_with_one_device(differences, layout):
    drift, of_loss = differences[layout]
    print(f"{layout}: weights drift by {drift:.1e}, the loss by {of_loss:.1e}")
    assert drift <= tolerances.ADAM
    assert of_loss <= tolerances.ADAM  # it follows the weights, and moves less than they do


@pytest.mark.parametrize("layout", ["resident, steps together", "resident, rows"])
def test_pairs_on_the_devices_train_the_same_on_one_and_on_more(differences, layout):
    print(f"{layout}: weights drift by {differences[layout]:.1e}")
    assert differences[layout] <= tolerances.ADAM


@pytest.mark.parametrize("layout", ["jit", "pmap", "accumulated", "accumulated under pmap"])
def test_devices_sum_each_parameter_once(differences, layout):
    """Gradients in the parameters' own shapes, whatever the implementation, and once for all microbatches."""
    parameters, summed = differences["parameters"][layout], differences["summed"][layout]
    assert parameters <= summed <= parameters + 100  # and a few scalars


def test_a_checkpoint_continues_on_another_number_of_devices(differences):
    assert differences["moved"] <= tolerances.ADAM


@pytest.mark.parametrize(
    ("batch", "devices", "accumulate", "nearest"),
    [(10, 8, 1, "8 or 16"), (3, 8, 1, "nearest: 8"), (10, 2, 2, "8 or 12"), (0, 4, 1, "nearest: 4")],
)
def test_a_batch_that_does_not_divide_is_refused_with_the_nearest(batch, devices, accumulate, nearest):
    with pytest.raises(InputError, match=nearest):
        parallel.check_batch(batch, 128, {"data": devices, "rows": 1}, accumulate)


def test_a_batch_that_divides_passes():
    parallel.check_batch(16, 128, {"data": 4, "rows": 2}, 2)


def test_rows_need_a_crop_of_whole_fours():
    with pytest.raises(InputError, match="crop 20"):
        parallel.check_batch(8, 20, {"data": 4, "rows": 2}, 1)


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(InputError, match="devices 1000: there are"):
        parallel.make_mesh(Config(devices=1000))
