import subprocess
import sys

import pytest

from smnet_jax.host import allocator
from smnet_jax.host.allocator import keep_freed_memory

pytestmark = pytest.mark.skipif(allocator._glibc() is None, reason="there is nothing to set without glibc")

PROGRAM = """
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from smnet_jax.host import allocator
from smnet_jax.host.process_memory import anonymous

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with ThreadPoolExecutor(1) as pool:  # XLA computes in threads, which would have heaps of their own
        pool.submit(lambda: np.ones(25 << 20).sum()).result()  # 200 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":  # before there are threads
    assert allocator.keep_freed_memory()
print(faults(), faults(), anonymous())
allocator.return_freed_memory()
print(anonymous())
"""


def run(how):
    """Page faults of a first and of a second use of memory; what is held then; what is held once it is returned."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, env={})
    return map(int, done.stdout.split())


def test_what_was_freed_is_used_again_and_given_back_when_asked():
    first, again, held, after = run("keep")
    assert first > 90 > 20 > again
    assert held - after > 190 << 20


def test_by_itself_it_goes_back_at_once():
    first, again, held, after = run("plain")
    assert min(first, again) > 90
    assert held - after < 50 << 20


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_who_chose_another_way_keeps_it(name):
    assert not keep_freed_memory({name: "1"})
