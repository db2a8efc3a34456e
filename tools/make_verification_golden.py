"""Make the numbers that `smnet verify` compares with where there is no PyTorch: smnet_jax/verification/golden/*.npz.

    python tools/make_verification_golden.py

Needs the extras torch and train. The networks are random, of width 4. Seeds are tried until the gradient is smooth
around the point: where the input of an activation sits on a non-smooth point, rounding alone would change it.
"""

import numpy as np
import torch

from smnet_jax import vgg16
from smnet_jax.checkpoints.architecture import VARIANTS, Architecture
from smnet_jax.checkpoints.trees import flatten, unflatten
from smnet_jax.host.atomic_files import replacing
from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet
from smnet_jax.verification import comparison, inputs, stored, torch_losses, torch_stages
from smnet_jax.verification.stages import Arrays, Training

SIZE = (12, 16)
PROBES, NUDGE = 6, 1e-6  # relative; rounding moves features by less


def main() -> None:
    torch.manual_seed(0)
    vgg = torch_losses.vgg16_weights(vgg16.load_vgg16())
    for variant in VARIANTS:
        architecture = Architecture(variant, stored.WIDTH)
        for seed in range(200):
            rng = np.random.default_rng(seed)
            params = draw(architecture, rng)
            low = scene(rng)
            training = train(architecture, params, low, vgg)
            if is_alive(training) and is_smooth(architecture, params, low, training, vgg, rng):
                break
        else:
            raise SystemExit(f"{variant}: no smooth point found; try more seeds")
        forward = torch_stages.forward(torch_stages.network(unflatten(params), architecture), low)
        packed = stored.pack(params, low, inputs.target(low), forward, training)
        with replacing(stored.FOLDER / f"{variant}.npz") as path:
            np.savez_compressed(path, **packed)  # type: ignore[arg-type]
        print(f"{variant}: seed {seed}, {(stored.FOLDER / f'{variant}.npz').stat().st_size / 1e3:.0f} kB")


def draw(architecture: Architecture, rng: np.random.Generator) -> Arrays:
    """Torch's initial weights, and slopes that all differ."""
    params = flatten(initialise(SMNet(**vars(architecture)), int(rng.integers(1 << 31)))["params"])
    return {
        path: np.array(rng.uniform(0.05, 0.6), np.float32) if path.endswith("slope") else array
        for path, array in params.items()
    }


def scene(rng: np.random.Generator) -> np.ndarray:
    """A dark gradient with noise, (1,12,16,3)."""
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] / max(SIZE)
    ramp = rng.uniform(0.05, 0.3, 3) * (rows + 0.5 * columns)[..., None]
    return np.clip(ramp + rng.normal(0.05, 0.03, (*SIZE, 3)), 0.001, 1)[None].astype(np.float32)


def train(architecture: Architecture, params: Arrays, low: np.ndarray, vgg: torch_losses.Vgg) -> Training:
    net = torch_stages.network(unflatten(params), architecture)
    return torch_stages.training(net, low, inputs.target(low), vgg)


def is_alive(training: Training) -> bool:
    """Every tensor has a gradient: GFRM's ReLU, at this width a single one, may be dead.

    So may a slope that acts on a single channel, where all is positive; there are enough others.
    """
    return all(g.any() for path, g in training.gradients.items() if not path.endswith("reduce_act/slope"))


def is_smooth(
    architecture: Architecture,
    params: Arrays,
    low: np.ndarray,
    training: Training,
    vgg: torch_losses.Vgg,
    rng: np.random.Generator,
) -> bool:
    """Nudged parameters give a nudged gradient, not one that jumps."""
    for _ in range(PROBES):
        nudged = {
            path: (array * (1 + NUDGE * rng.choice([-1, 1], array.shape))).astype(np.float32)
            for path, array in params.items()
        }
        found = train(architecture, nudged, low, vgg)
        if max(d.relative for d in comparison.by_group(found.gradients, training.gradients, 1, prefix="")) > 1e-4:
            return False
    return True


if __name__ == "__main__":
    main()
