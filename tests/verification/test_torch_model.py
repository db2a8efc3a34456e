"""Our PyTorch model loads the published checkpoints strictly and computes the published numbers."""

import torch

from smnet_jax.verification.torch_model import TorchSMNet
from tests.support import tolerances
from tests.support.golden_case import relative_error


def test_published_checkpoint_and_numbers(golden_case):
    state = torch.load(golden_case.checkpoint, weights_only=True)
    net = TorchSMNet(golden_case.variant, golden_case.width)
    net.load_state_dict({name.removeprefix("module."): value for name, value in state.items()}, strict=True)
    expected, bound = golden_case.arrays("forward"), tolerances.forward(golden_case.variant, golden_case.width)
    taps: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        low = torch.tensor(expected["low"]).permute(0, 3, 1, 2)
        output = net(low)
        net.block(net.embed(low), taps)
    assert relative_error(output.permute(0, 2, 3, 1).numpy(), expected["output"]) < bound
    for name, value in taps.items():
        assert relative_error(value.permute(0, 2, 3, 1).numpy(), expected[f"block1/{name}"]) < bound, name
