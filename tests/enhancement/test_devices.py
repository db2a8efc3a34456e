"""Rows over several devices: in a process of its own, because the number of devices is fixed when JAX starts."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import jax, numpy as np
from jax.sharding import AxisType
from smnet_jax.enhancement.devices import enhance_in_rows
from tests.support import tolerances
from tests.support.golden_case import relative_error
from tests.support.networks import network

assert jax.device_count() == 4
rng = np.random.default_rng(0)
cases = ("lol", 196, 4, "cpu"), ("fivek", 184, 3, "tpu"), ("lol", 64, 2, "gpu")
for variant, height, count, implementation in cases:
    model, variables = network(variant, implementation)
    low = rng.random((height, 20, 3), np.float32) * np.linspace(0.1, 1, height, dtype=np.float32)[:, None, None]
    mesh = jax.make_mesh((count,), ("rows",), axis_types=(AxisType.Auto,), devices=jax.devices()[:count])
    whole = np.asarray(jax.jit(model.apply)(variables, low[None]))[0]
    error = relative_error(enhance_in_rows(model, variables, low, mesh), whole)
    assert error < tolerances.forward(variant, 8), (variant, implementation, error)
full = jax.make_mesh((4,), ("rows",), axis_types=(AxisType.Auto,))
try:
    enhance_in_rows(model, variables, np.tile(low, (2, 1, 1))[:100], full)
except ValueError as error:
    assert "too few" in str(error)
else:
    raise AssertionError("100 rows over 4 devices were not refused")
"""


def test_rows_over_devices_equal_one_device():
    flags = "--xla_force_host_platform_device_count=4"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
