"""The one input pipeline: source -> cut -> transforms -> batch, by grain's threads.

Every random decision follows from (seed, epoch, index of the pair), and the place of every row from its step, so the
same seed and step give the same batch for any number of threads or processes, and after any restart.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smnet_jax.data.augmentation import crop_and_flip, in_words, resize, thinned, to_float
from smnet_jax.data.order import CUT, Order
from smnet_jax.data.sources import Example, Source, cut_example, sizes
from smnet_jax.errors import InputError
from smnet_jax.host import root_logger

with root_logger.untouched():
    import grain

Transform = Callable[[Example, np.random.Generator], Example]

PREFETCH = 4  # batches


class Loader:
    """An endless iterator of batches; made by `make_loader`.

    Each batch is {"low": (b, crop, crop, 3) float32 in [0, 1], "high": the same, "index": (b,) int32}, where b is
    this process' share of the global batch and "index" the pairs' numbers in the source.
    """

    def __init__(
        self,
        read: Callable[[int], Example],
        rows: int,
        steps_per_epoch: int,
        source: Source,
        threads: int,
    ):
        self.steps_per_epoch = steps_per_epoch
        self._source = source
        dataset = grain.MapDataset.range(sys.maxsize).map(read).batch(rows, drop_remainder=True)
        # grain's default buffer holds 500 elements, which after the batching above are 500 batches.
        options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(PREFETCH, threads) if threads else 0)
        self._batches = iter(dataset.to_iter_dataset(options))

    def __iter__(self) -> "Loader":
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        return next(self._batches)

    def seek(self, step: int) -> "Loader":
        """Make the batch of `step` (from 0) the next one, at once, whatever came before."""
        grain.experimental.set_next_index(self._batches, step)
        return self

    def names(self, batch: dict[str, Any]) -> list[str]:
        """The file names of a batch's pairs (decodes them: for messages)."""
        return [self._source[int(index)]["name"] for index in batch["index"]]

    def close(self) -> None:
        """Stop the threads."""
        self._batches.close()


def check_fits(crop: tuple[int, int], known: Sequence[tuple[int, int]]) -> None:
    """Raise InputError where pictures of these sizes are smaller than the crop, all (height, width)."""
    if small := [size for size in known if size[0] < crop[0] or size[1] < crop[1]]:
        height, width = small[0]
        raise InputError(
            f"crop {in_words(crop)}: {len(small)} of {len(known)} pictures are smaller, the first is {width}x{height}; "
            "use a smaller crop"
        )


def make_loader(
    source: Source,
    *,
    batch: int,
    crop: tuple[int, int],
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = 2,
    resize_to: tuple[int, int] | None = None,
    thin: int = 1,
    transforms: Sequence[Transform] = (),
) -> Loader:
    """Batches of random crops, (height, width), of `source`, for ever; see `Loader` for what they hold.

    An epoch is a new permutation of the pairs cut into len(source) // batch steps; the ragged rest is dropped, so no
    batch straddles two epochs (48 steps on LOL's 485 pairs at batch 10, as the recipe has it). `batch` is the global
    batch: process p gets rows p*b..(p+1)*b of it, b = batch / process_count, the same rows whatever the count.
    `resize_to` (height, width) shrinks or stretches whole pictures before the crop, `thin` keeps every so many-th of
    their rows and columns; `transforms` get the float32 crop and a random generator. `threads` 0 reads in the caller.

    Raises InputError where the batch does not divide among the processes or exceeds the source, and where pictures are
    smaller than the crop.
    """
    if batch < 1 or batch % process_count:
        raise InputError(f"batch {batch}: must be a multiple of the {process_count} processes")
    if len(source) < batch:
        raise InputError(f"batch {batch}: the data has only {len(source)} pairs; use a smaller batch")
    known = [resize_to] if resize_to else [(h // thin, w // thin) for h, w in sizes(source) or []]
    check_fits(crop, known)

    order = Order(len(source), batch, seed)
    rows = batch // process_count

    def read(row: int) -> Example:
        """Row `row` of all the rows that this process will ever see."""
        step, offset = divmod(row, rows)
        epoch, index = order.epoch(step), int(order(step)[process_index * rows + offset])
        rng = np.random.default_rng((seed, CUT, epoch, index))

        def cut(example: Example) -> Example:
            if resize_to is not None:
                example = resize(example, resize_to)
            if thin > 1:
                example = thinned(example, thin, rng)
            return to_float(crop_and_flip(example, crop, rng))

        example = cut_example(source, index, cut, rng)
        for transform in transforms:
            example = transform(example, rng)
        return {"low": example["low"], "high": example["high"], "index": np.int32(index)}

    return Loader(read, rows, order.steps_per_epoch, source, threads)
