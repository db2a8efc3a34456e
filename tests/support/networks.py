"""The golden networks with a livelier gate: exactness across tiles hangs on it."""

from pathlib import Path

import numpy as np

from smnet_jax.checkpoints.weights import load

FOLDER = Path(__file__).parents[1] / "fixtures" / "golden"


def network(variant: str, implementation: str = "cpu"):
    """(model, variables) of width 8 whose channel weights follow the picture's statistics."""
    model, variables = load(FOLDER / f"{variant}_dim8.pth", implementation=implementation)
    gfrm = variables["params"]["block"]["gfrm"]
    gfrm["fc1"]["kernel"] = np.abs(np.asarray(gfrm["fc1"]["kernel"]))
    gfrm["fc2"]["kernel"] = 4 * np.asarray(gfrm["fc2"]["kernel"])
    return model, variables
