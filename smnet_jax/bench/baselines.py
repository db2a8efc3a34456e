"""One network in every runtime at hand, with the same weights and the same picture.

PyTorch's is `smnet_jax.verification.torch_model`: the published network written anew, layer for layer, with the
published names; "eager" runs it as the published code is run (NCHW, default settings, without gradients); "bfloat16" is
its autocast, on channels_last.
"""

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

TORCH = ("PyTorch eager", "PyTorch channels_last", "PyTorch compiled")
BFLOAT16 = ("smnet-jax bfloat16", "PyTorch bfloat16")  # another precision, so compared only with each other
NAMES = ("smnet-jax", *TORCH, "ONNX Runtime", *BFLOAT16)


@dataclass(frozen=True)
class Contender:
    """`run` computes the picture (1,H,W,3); `operations` are the floating-point operations that takes, if known."""

    run: Callable[[], np.ndarray]
    operations: float | None = None


class Missing(Exception):
    """This runtime is not here; says why."""


def build(name: str, variant: str, width: int, height: int, image_width: int) -> Contender:
    """Prepare and compile; the picture is `height` x `image_width`. Raises Missing."""
    model, variables, low = _case(variant, width, height, image_width)
    if name == "smnet-jax":
        return _ours(model, variables, low)
    if name == "smnet-jax bfloat16":
        return _ours(model.clone(dtype="bfloat16"), variables, low)
    if name == "ONNX Runtime":
        return _onnx(model, variables, low)
    return _torch(name, model, variables, low)


def _case(variant: str, width: int, height: int, image_width: int) -> tuple[Any, Any, np.ndarray]:
    from smnet_jax.network.initialisation import initialise
    from smnet_jax.network.model import SMNet

    model = SMNet("fivek" if variant == "fivek" else "lol", width)
    low = np.random.default_rng(1).random((1, height, image_width, 3), np.float32)
    return model, initialise(model, seed=0), low


def _ours(model: Any, variables: Any, low: np.ndarray) -> Contender:
    import jax

    variables, low = jax.device_put((variables, low))
    whole = jax.jit(model.apply).lower(variables, low).cost_analysis() or {}  # of a loop it counts one turn
    compiled = jax.jit(model.for_inference(*low.shape[:2]).apply).lower(variables, low).compile()
    return Contender(lambda: np.asarray(compiled(variables, low)), whole.get("flops"))


def _torch(name: str, model: Any, variables: Any, low: np.ndarray) -> Contender:
    try:
        import torch
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError:
        raise Missing("torch is not installed") from None
    from smnet_jax.checkpoints.torch_names import to_torch
    from smnet_jax.verification.torch_model import TorchSMNet

    net: Any = TorchSMNet(model.variant, model.width, model.blocks).eval()
    state = {k.removeprefix("module."): torch.tensor(v) for k, v in to_torch(variables, model).items()}
    net.load_state_dict(state)
    x = torch.tensor(low).permute(0, 3, 1, 2).contiguous()
    guard: Any = torch.no_grad if name == "PyTorch eager" else torch.inference_mode
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(x[:, :, :32, :32])
    operations = counter.get_total_flops() * low.shape[1] * low.shape[2] / 32**2
    if name != "PyTorch eager":
        net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    if name == "PyTorch compiled":
        if shutil.which("g++") is None and shutil.which("clang++") is None:
            raise Missing("torch.compile needs a C++ compiler")
        net = torch.compile(net)

    def run() -> np.ndarray:
        with guard(), torch.autocast("cpu", torch.bfloat16, enabled=name == "PyTorch bfloat16"):
            return net(x).float().permute(0, 2, 3, 1).numpy()

    with warnings.catch_warnings():  # torch.compile imports what is deprecated
        warnings.simplefilter("ignore")
        run()
    return Contender(run, operations)


def _onnx(model: Any, variables: Any, low: np.ndarray) -> Contender:
    try:
        import onnxruntime

        from smnet_jax.export.onnx_graph import to_onnx

        graph = to_onnx(model, variables["params"])
    except ImportError:
        raise Missing("onnxruntime is not installed") from None
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return Contender(lambda: session.run(None, {session.get_inputs()[0].name: low})[0])
