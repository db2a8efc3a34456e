"""What the implementation for GPUs must not hand to their compiler. That it computes the definition is in
`test_implementations`; its layers against PyTorch's are in `test_layers`."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from smnet_jax.network.initialisation import initialise
from smnet_jax.network.model import SMNet


@pytest.mark.parametrize(("implementation", "fast"), [("gpu", True), ("reference", False)])
def test_no_convolution_is_dilated_or_grouped_forward_or_back(implementation, fast):
    """XLA does not find cuDNN's routine for the kernel gradient of a dilated one: 16 times the time of a step."""
    model = SMNet(width=4, blocks=1, implementation=implementation)
    low = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)

    def loss(variables: Any, low: Any) -> Any:
        pred: Any = model.apply(variables, low)
        return jnp.sum(pred**2)

    step = jax.jit(jax.grad(loss))
    convolutions = re.findall(r"stablehlo\.convolution.*", step.lower(initialise(model, 0), low).as_text())
    assert len(convolutions) > 40
    slow = [c for c in convolutions if not re.search("batch_group_count = 1 ", c) or "feature_group_count = 1 " not in c
            or re.search(r"[lr]hs_dilate = \[(?!1, 1\])", c)]  # fmt: skip
    assert (not slow) == fast, slow[:1]
