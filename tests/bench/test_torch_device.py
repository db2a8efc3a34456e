"""Which device PyTorch is measured on, without having one."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import pytest

from smnet_jax.bench import torch_device
from smnet_jax.bench.torch_device import Missing, TorchDevice


@pytest.fixture
def torch_with(monkeypatch):
    """A module `torch` that has a card or not, and says what is asked of it."""

    def install(card: bool, platform: str) -> list[str]:
        asked: list[str] = []
        fake: Any = ModuleType("torch")
        fake.__version__, fake.bfloat16 = "2", "bf16"
        fake.channels_last = "NHWC"
        fake.cuda = SimpleNamespace(
            is_available=lambda: card,
            synchronize=lambda: asked.append("synchronize"),
            max_memory_allocated=lambda: 77,
        )
        fake.backends = SimpleNamespace(cudnn=SimpleNamespace(), cuda=SimpleNamespace(matmul=SimpleNamespace()))
        fake.autocast = lambda *args, **options: asked.append(f"autocast {args} {options}")
        fake.compile = lambda function, mode: asked.append(f"compile {mode}")
        monkeypatch.setitem(sys.modules, "torch", fake)
        monkeypatch.setattr(jax, "default_backend", lambda: platform)
        return asked

    return install


def test_the_card_where_both_see_one(torch_with):
    asked = torch_with(card=True, platform="gpu")
    device = torch_device.beside_jax()
    assert device == TorchDevice("cuda") and sys.modules["torch"].backends.cudnn.benchmark
    device.wait()
    device.autocast(True)
    device.compile(print, graphs=True)
    assert asked == ["synchronize", "autocast ('cuda', 'bf16') {'enabled': True}", "compile reduce-overhead"]
    assert torch_device.peak_memory("PyTorch eager") == 77


def test_the_cpu_where_jax_is_there(torch_with):
    asked = torch_with(card=True, platform="cpu")
    device = torch_device.beside_jax()
    device.wait()
    device.compile(print, graphs=True)
    assert device == TorchDevice("cpu") and asked == ["compile None"]


@pytest.mark.parametrize(("card", "platform"), [(False, "gpu"), (True, "tpu")])
def test_never_a_cpu_beside_an_accelerator(torch_with, card, platform):
    torch_with(card, platform)
    with pytest.raises(Missing, match=f"no device here beside JAX's {platform}"):
        torch_device.beside_jax()


@pytest.mark.parametrize("allowed", [True, False])
def test_tf32_is_one_switch(torch_with, allowed):
    torch_with(card=True, platform="gpu")
    torch_device.use_tf32(allowed)
    backends = sys.modules["torch"].backends
    assert backends.cudnn.allow_tf32 is backends.cuda.matmul.allow_tf32 is allowed
