"""Which pairs make up the batch of a step."""

import dataclasses
import functools

import numpy as np

ORDER, CUT = 0, 1  # the two independent streams of random numbers of one seed


@dataclasses.dataclass(frozen=True)
class Order:
    """Step -> the numbers of its pairs. An epoch is a permutation of all pairs; its ragged rest is dropped."""

    pairs: int
    batch: int
    """Pairs of a step, over all processes."""
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        return self.pairs // self.batch

    def epoch(self, step: int) -> int:
        """The epoch that `step` (both from 0) belongs to."""
        return step // self.steps_per_epoch

    def __call__(self, step: int) -> np.ndarray:
        """(batch,) int64."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        first = step_of_epoch * self.batch
        return _permutation(self.seed, epoch, self.pairs)[first : first + self.batch]


@functools.lru_cache(maxsize=4)  # threads may work on both sides of an epoch's end
def _permutation(seed: int, epoch: int, pairs: int) -> np.ndarray:
    permutation = np.random.default_rng((seed, ORDER, epoch)).permutation(pairs)
    permutation.setflags(write=False)
    return permutation
