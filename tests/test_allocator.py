import subprocess
import sys

import pytest

from smnet_jax import allocator
from smnet_jax.allocator import keep_freed_memory

pytestmark = pytest.mark.skipif(allocator._glibc() is None, reason="there is nothing to set without glibc")

PROGRAM = """
import resource
import numpy as np
from smnet_jax import allocator
from smnet_jax.allocator import keep_freed_memory
from smnet_jax.bench.machine import _anonymous

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(25 << 20)  # 200 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults(), faults())
print(allocator.keep_freed_memory())
print(faults(), faults(), _anonymous())
allocator.return_freed_memory()
print(_anonymous())
"""


def test_what_was_freed_is_used_again_and_given_back_when_asked():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env={})
    plain, kept, (first, again, held), (after,) = (line.split() for line in done.stdout.splitlines())
    assert min(map(int, plain)) > 100
    assert kept == ["True"]
    assert int(first) > 100 > int(again)
    assert int(held) - int(after) > 190 << 20


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_who_chose_another_way_keeps_it(name):
    assert not keep_freed_memory({name: "1"})
