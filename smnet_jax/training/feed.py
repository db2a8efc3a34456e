"""Where a step's batch comes from: threads of the host, or pairs that are on the devices already."""

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from smnet_jax.data.order import Order
from smnet_jax.data.pipeline import check_fits
from smnet_jax.data.sources import Source
from smnet_jax.training import inputs, parallel
from smnet_jax.training.augmentation import Augmentation
from smnet_jax.training.config import Config
from smnet_jax.training.resident import Pairs
from smnet_jax.training.schedule import Span


class Feed(Protocol):
    """What is fed to the calls of a compiled step, from the first step of a span on."""

    most: int
    """Steps a call at most."""
    augmentation: Augmentation | None
    """For `make_step`."""
    spec: PartitionSpec
    """How a batch is divided."""

    def read(self, step: int, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """This process's part of the batch for `count` steps from step `step` of the run on, and the numbers of the
        pairs in it, (count, N)."""
        ...

    def fixed(self, vgg: Any) -> Any:
        """The compiled step's last argument."""
        ...

    def close(self) -> None: ...


class FromHost:
    """Crops made by threads; a step a call."""

    most: int = 1
    augmentation: Augmentation | None = None
    spec: PartitionSpec = parallel.BY_EXAMPLE_AND_ROW

    def __init__(self, config: Config, source: Source, spans: Sequence[Span], span: Span, step: int):
        self._loader = inputs.open_loader(config, source, spans, span, jax.process_index(), jax.process_count())
        self._loader.seek(step - span.start)

    def read(self, step: int, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        batch = next(self._loader)
        return {name: batch[name] for name in ("low", "high")}, batch["index"][None]

    def fixed(self, vgg: Any) -> Any:
        return vgg

    def close(self) -> None:
        self._loader.close()


class FromDevice:
    """Only the pairs' numbers travel."""

    spec: PartitionSpec = parallel.BY_EXAMPLE

    def __init__(self, config: Config, pairs: Pairs, spans: Sequence[Span], span: Span):
        check_fits(span.stage.size, [(int(height), int(width)) for height, width in np.asarray(pairs.size)])
        self.most = config.steps_per_call
        seed = inputs.stage_seed(config.seed, spans.index(span))
        self.augmentation: Augmentation | None = Augmentation(
            span.stage.size, seed, config.gain, config.noise, config.daylight
        )
        self._pairs, self._start = pairs, span.start
        self._order = Order(len(pairs.row), span.stage.batch, seed)

    def read(self, step: int, count: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        index = np.stack([self._order(step + k - self._start) for k in range(count)])
        index = np.array_split(index, jax.process_count(), axis=1)[jax.process_index()].astype(np.int32)
        padded = np.pad(index.T, ((0, 0), (0, self.most - count)), constant_values=-1)
        return {"index": padded}, index

    def fixed(self, vgg: Any) -> Any:
        return {"pairs": self._pairs, "vgg": vgg}

    def close(self) -> None:
        pass


def place(feed: Feed, batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """The batch as the compiled step takes it."""
    return parallel.share_batch(batch, mesh, feed.spec)
