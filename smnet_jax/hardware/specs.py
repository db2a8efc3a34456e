"""What each kind of device could do at most: the denominators of MFU, and the constants of the paper model.

Per chip (JAX: per device; a v4 whose topology lists two devices a chip has half of everything on each). Sources:

- TPU products and memory: the "system architecture" pages of Cloud TPU's documentation (v4, v5e, v5p, v6e, TPU7x).
- TPU links and data-centre network: Austin et al., "How to Scale Your Model" (2025), part "TPUs"; about a tenth below
  the documentation's figures, which count what the wires carry.
- TPU clocks: peak over the operations of one cycle. The latter is (units x 128 x 128 x 2, or 256 x 256 on v6e); the
  TPU compiler's estimate of an 8192 or 4096 bfloat16 product agrees: 97 % of it on v5e, 96 % on v5p, 90 % on v4, 87 %
  on v6e (libtpu 0.0.42). A clock turns the compiler's estimated cycles into seconds.
- GPUs: the vendor's data sheets, dense (without sparsity); network as in the vendor's eight-GPU machines.

What is not known here is None, and is shown as "n/a", never guessed.
"""

import dataclasses
from collections.abc import Mapping

GB = 10**9
GIB = 2**30
TERA = 10**12


@dataclasses.dataclass(frozen=True)
class Specs:
    """One kind of device."""

    name: str
    flops: Mapping[str, float]
    """FLOP/s of products by the name of the inputs' type. "float32" is what JAX does by default: TPUs round the inputs
    to bfloat16, GPUs since Ampere to TF32. "float32 highest" is precision="highest"."""
    memory: int
    """Bytes of HBM."""
    bandwidth: float
    """Bytes/s of HBM."""
    clock: float | None = None
    """Hz of the units that multiply."""
    link: float | None = None
    """Bytes/s of one link to a neighbour, in one direction (ICI; NVLink, all of a GPU's together)."""
    axes: int = 1
    """Dimensions of the torus; two links each. 1: a switch."""
    slice: int = 1
    """Most chips that the links join; beyond, the data-centre network."""
    network: float | None = None
    """Bytes/s of the data-centre network for each chip, in one direction (DCN; InfiniBand)."""


def _tpu(name: str, bf16: float, **rest: float | int | None) -> Specs:
    # Six passes make a product of float32 inputs exact to float32.
    flops = {"bfloat16": bf16 * TERA, "float32": bf16 * TERA, "float32 highest": bf16 * TERA / 6}
    return Specs(name, flops, **rest)  # type: ignore[arg-type]


def _gpu(name: str, bf16: float | None, default: float, highest: float, **rest: float | int | None) -> Specs:
    flops = {"float32": default * TERA, "float32 highest": highest * TERA}
    return Specs(name, flops | ({"bfloat16": bf16 * TERA} if bf16 else {}), **rest)  # type: ignore[arg-type]


_V4 = _tpu("TPU v4", 275, memory=32 * GIB, bandwidth=1228 * GB, clock=1.049e9, link=45 * GB, axes=3, slice=4096,
           network=6.25 * GB)  # fmt: skip
_V5E = _tpu("TPU v5e", 197, memory=16 * GIB, bandwidth=819 * GB, clock=1.503e9, link=45 * GB, axes=2, slice=256,
            network=3.125 * GB)  # fmt: skip
_V5P = _tpu("TPU v5p", 459, memory=95 * GIB, bandwidth=2765 * GB, clock=1.751e9, link=90 * GB, axes=3, slice=8960,
            network=6.25 * GB)  # fmt: skip
_V6E = _tpu("TPU v6e", 918, memory=32 * GIB, bandwidth=1640 * GB, clock=1.751e9, link=90 * GB, axes=2, slice=256,
            network=12.5 * GB)  # fmt: skip
_V7 = _tpu("TPU7x", 2307, memory=192 * GIB, bandwidth=7380 * GB, link=90 * GB, axes=3, slice=9216,
           network=12.5 * GB)  # fmt: skip
_SWITCHED = {"slice": 8}
_H100 = _gpu("H100 SXM", 989.4, 494.7, 66.9, memory=80 * GIB, bandwidth=3350 * GB, link=450 * GB, network=50 * GB,
             **_SWITCHED)  # fmt: skip
_H200 = _gpu("H200 SXM", 989.4, 494.7, 66.9, memory=141 * GB, bandwidth=4800 * GB, link=450 * GB, network=50 * GB,
             **_SWITCHED)  # fmt: skip
_A100_40 = _gpu("A100 SXM 40GB", 312, 156, 19.5, memory=40 * GIB, bandwidth=1555 * GB, link=300 * GB, network=25 * GB,
                **_SWITCHED)  # fmt: skip
_A100_80 = dataclasses.replace(_A100_40, name="A100 SXM 80GB", memory=80 * GIB, bandwidth=2039 * GB)

# By `jax.Device.device_kind`, in lower case.
_BY_KIND: dict[str, Specs] = {
    "tpu v4": _V4,
    "tpu v5 lite": _V5E,
    "tpu v5e": _V5E,
    "tpu v5": _V5P,
    "tpu v5p": _V5P,
    "tpu v6 lite": _V6E,
    "tpu v6e": _V6E,
    "tpu7x": _V7,
    "nvidia h100 80gb hbm3": _H100,
    "nvidia h200": _H200,
    "nvidia a100-sxm4-40gb": _A100_40,
    "nvidia a100-sxm4-80gb": _A100_80,
    "nvidia a100 80gb pcie": dataclasses.replace(
        _A100_80, name="A100 PCIe 80GB", bandwidth=1935 * GB, link=None, slice=1
    ),
    "nvidia b200": _gpu("B200", 2250, 1125, 75, memory=180 * GB, bandwidth=7700 * GB, link=900 * GB, network=50 * GB,
                        **_SWITCHED),
    "nvidia l4": _gpu("L4", 121, 60, 30.3, memory=24 * GIB, bandwidth=300 * GB),
    "nvidia geforce rtx 4090": _gpu("RTX 4090", 165.2, 82.6, 82.6, memory=24 * GIB, bandwidth=1008 * GB),
    "nvidia geforce rtx 3090": _gpu("RTX 3090", 71, 35.6, 35.6, memory=24 * GIB, bandwidth=936 * GB),
    "tesla v100-sxm2-16gb": _gpu("V100 SXM2", None, 15.7, 15.7, memory=16 * GIB, bandwidth=900 * GB, link=150 * GB,
                                 **_SWITCHED),
    "tesla t4": _gpu("T4", None, 8.1, 8.1, memory=16 * GIB, bandwidth=320 * GB),
}  # fmt: skip


def of(kind: str) -> Specs | None:
    """The peaks of a `jax.Device.device_kind`; None where they are not known here (any CPU, for one)."""
    return _BY_KIND.get(kind.lower())


def flops(kind: str, dtype: str, precision: str | None = None) -> float | None:
    """Peak FLOP/s of one device for products of `dtype` at JAX's `precision`; None where not known."""
    found = of(kind)
    wanted = f"{dtype} highest" if dtype == "float32" and precision == "highest" else dtype
    return None if found is None else found.flops.get(wanted)


def mfu(model_flops: float, seconds: float, peak: float | None, devices: int = 1) -> float | None:
    """Model FLOPs utilisation (Chowdhery et al., 2022): the share of `devices` peaks that `model_flops` in `seconds`
    make; None where the peak is not known. Recomputation and whatever else a program adds do not count as work."""
    return None if peak is None else model_flops / (seconds * peak * devices)


def show(share: float | None) -> str:
    """ "37.2 %", or "n/a"."""
    return "n/a" if share is None else f"{share:.1%}".replace("%", " %")
