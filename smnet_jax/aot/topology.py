"""TPUs that are not there: descriptions of their topologies, for which XLA compiles ahead of time.

`libtpu` (the extra `tpu`) contains the whole compiler and runs on any Linux machine.
"""

import dataclasses
import importlib.util
import math
import os
import re
from typing import Any

from smnet_jax.errors import InputError

KINDS = ("v4", "v5e", "v5p", "v6e")
EXAMPLES = "v4:2x2x1, v5e:2x2, v5e:4x4, v5p:2x2x1, v6e:16x16"
MOST_CHIPS = 256


@dataclasses.dataclass(frozen=True)
class Topology:
    """Chips joined by links."""

    name: str
    chips: int
    devices: tuple[Any, ...]  # JAX's; on v4 two a chip, elsewhere one

    @property
    def devices_a_chip(self) -> int:
        return len(self.devices) // self.chips

    @property
    def device_kind(self) -> str:
        return self.devices[0].device_kind


def missing() -> str | None:
    """Why nothing can be compiled for TPU here; None where it can."""
    if importlib.util.find_spec("libtpu") is None:
        return "the TPU compiler (libtpu, for Linux) is not installed; pip install 'smnet-jax[tpu]'"
    return None


def describe(name: str) -> Topology:
    """The topology called KIND:AxB or KIND:AxBxC, from the compiler.

    JAX must not have used a TPU in this process: programs for a described topology do not run. Raises InputError where
    the compiler is missing or knows no such topology.
    """
    match = re.fullmatch(r"(v\d\w*):(\d+(?:x\d+){1,2})", name)
    if not match or match[1] not in KINDS:
        raise InputError(f"--topology {name}: must be {', '.join(KINDS)} with its shape, as {EXAMPLES}")
    chips = math.prod(int(side) for side in match[2].split("x"))
    if not 1 <= chips <= MOST_CHIPS:
        raise InputError(f"--topology {name}: has {chips} chips; from 1 to {MOST_CHIPS} are compiled for")
    if reason := missing():
        raise InputError(f"bench tpu: {reason}")
    # Without these libtpu asks the network what machine this is, and lets one process only load it.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5litepod-4")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    from jax.experimental import topologies

    try:
        devices = topologies.get_topology_desc(name, platform="tpu").devices
    except Exception as error:  # JAX has no one type for it
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"--topology {name}: the compiler refuses it ({reason}); there are {EXAMPLES}") from error
    return Topology(name, chips, tuple(devices))
