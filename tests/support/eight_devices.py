"""Run by test_parallel.py in a process of its own, with eight CPU devices: prints what it found as JSON."""

import dataclasses
import functools
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from smnet_jax.checkpoints import weights
from smnet_jax.checkpoints.trees import flatten
from smnet_jax.hardware.hlo import Program
from smnet_jax.network.initialisation import initialise
from smnet_jax.training import inputs, loop, parallel, resident
from smnet_jax.training import step as steps
from smnet_jax.training.augmentation import Augmentation
from smnet_jax.training.config import Config
from smnet_jax.training.schedule import learning_rate, plan
from tests.support import tolerances

CONFIG = Config(width=4, blocks=1, crop=16, batch=8, loss="l1_ssim", steps=20, ema=0.9, data="dummy:8", log_steps=1)
# With SMNet, whose implementations meet the sharding of their gradients and of their rows.
LAYOUTS: dict[str, dict[str, Any]] = {
    "jit": {"devices": 8},
    "rows": {"devices": 8, "rows": 2},
}
# With two convolutions, which compile in a fraction of the time: these are ways to call whatever network there is.
CALLS: dict[str, dict[str, Any]] = {
    "pmap": {"devices": 8, "parallel": "pmap"},
    "accumulated": {"devices": 4, "accumulate": 2},
    "accumulated under pmap": {"devices": 4, "accumulate": 2, "parallel": "pmap"},
}
RESIDENT: dict[str, dict[str, Any]] = {
    "resident, steps together": {"devices": 2, "steps_per_call": 4},
    "resident, rows": {"devices": 4, "rows": 2, "steps_per_call": 3},
}


class Small(nn.Module):
    """As far as a step looks at `SMNet`."""

    dtype: Any = np.float32
    implementation: str = "gpu"

    @nn.compact
    def __call__(self, low: jax.Array) -> jax.Array:
        return low + nn.Conv(3, (3, 3))(nn.tanh(nn.Conv(4, (3, 3))(low)))


SMALL: Any = Small()


def twenty_steps(config: Config, model: Any) -> tuple[list[dict[str, np.ndarray]], float, int]:
    """From the same start, on the same batches: parameters and their average before and after twenty steps, the last
    loss, and the bytes that a device puts into sums over devices in each step."""
    mesh = parallel.make_mesh(config)
    step = functools.partial(
        steps.train_step,
        loss=steps.make_loss(config, model, config.loss),
        optimizer=steps.make_optimizer(config),
        rate=learning_rate(config, plan(config, 8)),
        ema=config.ema,
        accumulate=steps.microbatches_for(config, model, 8 // mesh.shape["data"], "cpu"),
    )
    jitted: Any = parallel.compile_step(step, mesh, config.parallel)
    program: Any = None
    state = parallel.replicate(steps.init_state(config, initialise(model, 0)["params"]), mesh)
    seen = [by_path(state)]
    rng = np.random.default_rng(0)
    for _ in range(20):
        batch = {name: rng.random((8, 16, 16, 3), np.float32) for name in ("low", "high")}
        shared = parallel.share_batch(batch, mesh)
        program = program or jitted.lower(state, shared, {}).compile()
        # Called as it is: calling `jitted` would trace it once more. What pmap compiles takes arrays of another shape.
        state, scalars = (jitted if config.parallel == "pmap" else program)(state, shared, {})
    sums = Program(program.as_text()).collective_bytes().get("all-reduce", 0)
    return [*seen, by_path(state)], float(np.asarray(scalars["loss"])), sums


def by_path(state: steps.TrainState) -> dict[str, np.ndarray]:
    trees = {"params": state.params, "average": state.average}
    return {f"{tree}/{path}": array for tree in trees for path, array in flatten(jax.device_get(trees[tree])).items()}


def twenty_resident_steps(config: Config) -> list[dict[str, np.ndarray]]:
    """Parameters and their average before and after twenty steps on pairs that are on the devices."""
    mesh = parallel.make_mesh(config)
    spans = plan(config, 8)
    augmentation = Augmentation((config.crop, config.crop), config.seed, gain=1.0, noise=0.02, daylight=0.3)
    step = steps.make_step(config, mesh, spans[0].stage, learning_rate(config, spans), SMALL, augmentation)
    state = parallel.replicate(steps.init_state(config, initialise(step.model, 0)["params"]), mesh)
    fixed = {"pairs": resident.load(inputs.DummyPairs(8, size=24), mesh), "vgg": {}}
    start = by_path(state)
    done, most = 0, config.steps_per_call
    while done < 20:
        count = min(most, 20 - done)
        index = np.stack([np.random.default_rng(done + k).permutation(8) for k in range(count)], 1).astype(np.int32)
        index = np.pad(index, ((0, 0), (0, most - count)), constant_values=-1)
        state, _ = step.compiled(state, parallel.share_batch({"index": index}, mesh, parallel.BY_EXAMPLE), fixed)
        done += count
    return [start, by_path(state)]


def moved_between_device_counts(folder: Path) -> float:
    """How far the weights are apart: two steps on eight devices, then two on one, against all on one."""
    config = dataclasses.replace(CONFIG, steps=4)
    tell = loop.Run._tell

    def told(self: loop.Run, *args) -> None:
        tell(self, *args)
        if self.step == 2 and self.config.devices == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    loop.Run._tell = told  # type: ignore
    assert not loop.train(dataclasses.replace(config, devices=8), folder / "moved").finished
    for name in ("moved", "still"):
        assert loop.train(dataclasses.replace(config, devices=1), folder / name).finished
    moved, still = (weights.read(folder / name / "weights").params for name in ("moved", "still"))
    start = initialise(steps.make_model(config), config.seed)["params"]
    return tolerances.drift(*(flatten(jax.device_get(params)) for params in (moved, still, start)))


def main() -> None:
    parallel.prepare_cpu_devices(8)
    found: dict[str, Any] = {"summed": {}, "parameters": {}}
    for make, layouts in ((steps.make_model, LAYOUTS), (lambda _: SMALL, CALLS)):
        (start, one), loss, _ = twenty_steps(dataclasses.replace(CONFIG, devices=1), make(CONFIG))
        parameters = sum(array.nbytes for path, array in start.items() if path.startswith("params/"))
        for name, change in layouts.items():
            config = dataclasses.replace(CONFIG, **change)
            (_, other), its_loss, found["summed"][name] = twenty_steps(config, make(config))
            found[name] = tolerances.drift(other, one, start), abs(its_loss - loss) / loss
            found["parameters"][name] = parameters
    start, alone = twenty_resident_steps(dataclasses.replace(CONFIG, devices=1))
    for name, change in RESIDENT.items():
        _, shared = twenty_resident_steps(dataclasses.replace(CONFIG, **change))
        found[name] = tolerances.drift(shared, alone, start)
    with tempfile.TemporaryDirectory() as folder:
        found["moved"] = moved_between_device_counts(Path(folder))
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
