"""One network in every runtime at hand, with the same weights and the same picture.

PyTorch's is `smnet_jax.verification.torch_model`: the published network written anew, layer for layer, with the
published names; "eager" runs it as the published code is run (NCHW, default settings, without gradients); "bfloat16" is
its autocast, on channels_last. All run on the device that JAX runs on, and are done when `run` returns; results stay
there until they are fetched.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from smnet_jax.bench import torch_device
from smnet_jax.bench.torch_device import Missing

TORCH = ("PyTorch eager", "PyTorch channels_last", "PyTorch compiled")
BFLOAT16 = ("smnet-jax bfloat16", "PyTorch bfloat16")  # another precision, so compared only with each other
BFLOAT16_COMPILED = "PyTorch bfloat16 compiled"  # on GPUs
NAMES = ("smnet-jax", *TORCH, "ONNX Runtime", *BFLOAT16, BFLOAT16_COMPILED)


@dataclass(frozen=True)
class Runtime:
    """`run` computes the picture and waits for it, `fetch` makes what it gives (1,H,W,3) float32 here; `operations` are
    the floating-point operations that takes, if known."""

    run: Callable[[], Any]
    operations: float | None = None
    fetch: Callable[[Any], np.ndarray] = np.asarray


def build(name: str, variant: str, width: int, height: int, image_width: int, tf32: bool = False) -> Runtime:
    """Prepare and compile; the picture is `height` x `image_width`. `tf32`: on a GPU, let float32 products round their
    inputs to TF32. Raises Missing."""
    model, variables, low = _case(variant, width, height, image_width)
    if not tf32 and _on_gpu():
        model = model.clone(precision="highest")
    if name == "smnet-jax":
        return _ours(model, variables, low)
    if name == "smnet-jax bfloat16":
        return _ours(model.clone(dtype="bfloat16", precision=None), variables, low)
    if name == "ONNX Runtime":
        return _onnx(model, variables, low)
    return _torch(name, model, variables, low, tf32)


def _case(variant: str, width: int, height: int, image_width: int) -> tuple[Any, Any, np.ndarray]:
    from smnet_jax.network.initialisation import initialise
    from smnet_jax.network.model import SMNet

    model = SMNet("fivek" if variant == "fivek" else "lol", width)
    low = np.random.default_rng(1).random((1, height, image_width, 3), np.float32)
    return model, initialise(model, seed=0), low


def _ours(model: Any, variables: Any, low: np.ndarray) -> Runtime:
    import jax

    variables, low = jax.device_put((variables, low))
    whole = jax.jit(model.apply).lower(variables, low).cost_analysis() or {}  # of a loop it counts one turn
    compiled = jax.jit(model.for_inference(*low.shape[:2]).apply).lower(variables, low).compile()
    return Runtime(lambda: compiled(variables, low).block_until_ready(), whole.get("flops"))


def _on_gpu() -> bool:
    import jax

    return jax.default_backend() == "gpu"


def _torch(name: str, model: Any, variables: Any, low: np.ndarray, tf32: bool = False) -> Runtime:
    device = torch_device.beside_jax()
    if name == BFLOAT16_COMPILED and device.name == "cpu":
        raise Missing("is for GPUs")
    import torch
    from torch.utils.flop_counter import FlopCounterMode

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
    torch_device.use_tf32(tf32)
    net, x = (device.put(each, channels_last=name != "PyTorch eager") for each in (net, x))
    compiled = name in ("PyTorch compiled", BFLOAT16_COMPILED)
    if compiled:
        net = device.compile(net, graphs=True)

    def run() -> Any:
        with guard(), device.autocast("bfloat16" in name):
            found = net(x)
        device.wait()
        return found

    with warnings.catch_warnings():  # torch.compile imports what is deprecated
        warnings.simplefilter("ignore")
        try:
            for _ in range(3 if device.name == "cuda" else 1):  # CUDA graphs are recorded in the second run
                run()
        except Exception as error:
            if not compiled:
                raise
            raise Missing(f"torch.compile failed ({(str(error).splitlines() or [''])[0][:200]})") from error
    return Runtime(run, operations, lambda found: found.float().permute(0, 2, 3, 1).cpu().numpy())


def _onnx(model: Any, variables: Any, low: np.ndarray) -> Runtime:
    if _on_gpu():
        raise Missing("the onnxruntime of the extra `export` has no GPU")
    try:
        import onnxruntime

        from smnet_jax.export.onnx_graph import to_onnx

        graph = to_onnx(model, variables["params"])
    except ImportError:
        raise Missing("onnxruntime is not installed") from None
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return Runtime(lambda: session.run(None, {session.get_inputs()[0].name: low})[0])
