"""PyTorch on the device that JAX runs on, so that both are measured on the same one."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from typing import Any

from smnet_jax.bench import machine


class Missing(Exception):
    """This runtime is not here; says why."""


@dataclasses.dataclass(frozen=True)
class TorchDevice:
    """`name` is PyTorch's: cuda or cpu."""

    name: str

    def wait(self) -> None:
        """Until everything asked for is done: a GPU works on after its calls have returned."""
        if self.name == "cuda":
            import torch

            torch.cuda.synchronize()

    def put(self, x: Any, *, channels_last: bool = False) -> Any:
        """A tensor or a module on the device."""
        import torch

        x = x.to(self.name)
        return x.to(memory_format=torch.channels_last) if channels_last else x

    def autocast(self, enabled: bool) -> Any:
        """The context of bfloat16's automatic casts."""
        import torch

        return torch.autocast(self.name, torch.bfloat16, enabled=enabled)

    def compile(self, function: Callable[..., Any], *, graphs: bool = False) -> Callable[..., Any]:
        """torch.compile; `graphs`: on a GPU with CUDA graphs. Raises Missing without a compiler."""
        import torch

        if shutil.which("g++") is None and shutil.which("clang++") is None:
            raise Missing("torch.compile needs a C++ compiler")
        return torch.compile(function, mode="reduce-overhead" if graphs and self.name == "cuda" else None)


def beside_jax() -> TorchDevice:
    """cuda where JAX is on a GPU and PyTorch sees one too, else the CPU. Raises Missing without PyTorch, and where
    JAX is on an accelerator that PyTorch cannot use."""
    try:
        import torch
    except ImportError:
        raise Missing("torch is not installed") from None
    import jax

    platform = jax.default_backend()
    if platform == "cpu":
        return TorchDevice("cpu")
    if platform != "gpu" or not torch.cuda.is_available():
        raise Missing(f"torch {torch.__version__} has no device here beside JAX's {platform}")
    torch.backends.cudnn.benchmark = True  # chooses the fastest convolutions in the first run, which is not timed
    return TorchDevice("cuda")


def use_tf32(allowed: bool) -> None:
    """Whether PyTorch may round the inputs of float32 products to TF32, in convolutions and matrices alike; as it
    comes, it does in the former only."""
    import torch

    torch.backends.cudnn.allow_tf32 = allowed
    torch.backends.cuda.matmul.allow_tf32 = allowed


def share_the_card() -> None:
    """Before JAX starts: let it take memory as it needs it, which leaves some for PyTorch and for other processes."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def peak_memory(name: str) -> int:
    """Bytes that the runtime `name`, alone in this process, has held at most: of the GPU where it ran on one, as
    its framework's allocator counts them; else of the process."""
    import jax

    if jax.default_backend() == "gpu":
        if name.startswith("smnet-jax"):
            return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
        if name.startswith("PyTorch"):
            import torch

            return torch.cuda.max_memory_allocated()
    return machine.peak_memory()
