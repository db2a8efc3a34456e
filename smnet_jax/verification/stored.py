"""Numbers that PyTorch computed, kept with the package: for machines without PyTorch.

`golden/{lol,fivek}.npz` are of random networks of width 4 with every bias and slope drawn too, so that a dropped one
shows. tools/make_verification_golden.py makes them. Names: `params/<our path>`, `low`, `high`, `forward/<stage>`,
`loss/<term>`, `gradients/<our path>`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.checkpoints.trees import unflatten
from smnet_jax.verification.check import Reference, TrainingReference
from smnet_jax.verification.stages import Arrays, Training

FOLDER = Path(__file__).parent / "golden"
WIDTH = 4
GFRM_BLOCK = 1  # the largest features are stored of this block only


def read(variant: str) -> tuple[Architecture, dict[str, Any], Reference, TrainingReference]:
    """A network, its parameters, and what PyTorch computed with them."""
    with np.load(FOLDER / f"{variant}.npz") as file:
        arrays = dict(file)

    def under(prefix: str) -> Arrays:
        return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}

    training = Training(under("loss/"), under("gradients/"), None)
    return (
        Architecture(variant, WIDTH),
        unflatten(under("params/")),
        Reference("stored", arrays["low"], under("forward/")),
        TrainingReference(arrays["low"], arrays["high"], training),
    )


def pack(params: Arrays, low: np.ndarray, high: np.ndarray, forward: Arrays, training: Training) -> Arrays:
    """The reference as one dict of arrays, for `numpy.savez_compressed`."""
    kept = {k: v for k, v in forward.items() if not k.endswith("/gfrm") or k == f"block{GFRM_BLOCK}/gfrm"}
    groups = {"params": params, "forward": kept, "loss": training.loss, "gradients": training.gradients}
    flat = {f"{group}/{name}": value for group, arrays in groups.items() for name, value in arrays.items()}
    return {"low": low, "high": high, **flat}
