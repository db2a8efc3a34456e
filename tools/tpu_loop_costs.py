"""What the TPU compiler's estimate of a pass over features depends on: operands, and hardly anything else.

Compiles small passes over 25 million numbers for a TPU and prints the estimated cycles for each 1024 of them (a vector
register of float32), beside the cycles in which their bytes cross HBM. Nothing runs.

    python tools/tpu_loop_costs.py --topology v5e:2x2
"""

import argparse
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from smnet_jax.aot import topology
from smnet_jax.aot.traffic import main_memory_bytes
from smnet_jax.hardware import specs
from smnet_jax.hardware.hlo import Program

SHAPE = (65536, 384)


def chain(x):
    """A dozen operations on each number."""
    return jnp.maximum(jnp.maximum(x * 2 + 1, 0) * 3 - 2, x * x + x) * (x - 1) + x * 3


def sum_and_maximum(x):
    x = x.astype(jnp.float32)
    start = jnp.float32(0), jnp.float32(-jnp.inf)
    return lax.reduce((x, x), start, lambda a, b: (a[0] + b[0], jnp.maximum(a[1], b[1])), (0,))


PASSES = {
    "x + 1": (lambda x: x + 1, 1),
    "a dozen operations": (chain, 1),
    "x + y": (lambda x, y: x + y, 2),
    "sum in float32": (lambda x: x.astype(jnp.float32).sum(0), 1),
    "sum and maximum in float32": (sum_and_maximum, 1),
    "maximum": (lambda x: x.max(0), 1),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topology", default="v5e:2x2")
    args = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    described = topology.describe(args.topology)
    everywhere = NamedSharding(Mesh(np.array(described.devices[:1]), ("chip",)), PartitionSpec())
    peak = specs.of(described.device_kind)
    vectors = SHAPE[0] * SHAPE[1] / 1024
    print(f"{described.device_kind}; cycles for each 1024 numbers, estimated, and of their bytes at HBM's rate")
    for name, (function, operands) in PASSES.items():
        columns = []
        for dtype in ("bfloat16", "float32"):
            given = [jax.ShapeDtypeStruct(SHAPE, dtype)] * operands
            compiled = jax.jit(function, in_shardings=everywhere, out_shardings=everywhere).lower(*given).compile()
            program = Program(compiled.as_text())
            moved = main_memory_bytes(program) / peak.bandwidth * peak.clock
            columns.append(f"{dtype} {program.cycles / vectors:5.1f} ({moved / vectors:4.1f})")
        print(f"{name:28}" + "   ".join(columns), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
