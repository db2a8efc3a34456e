"""Scores during training: the published protocol's PSNR and SSIM on whole pictures, shared over all devices."""

import functools
from collections import deque
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.data.sources import Source
from smnet_jax.evaluation.protocol import truncated
from smnet_jax.images.padding import crop, pad
from smnet_jax.metrics import psnr, ssim
from smnet_jax.network.model import SMNet
from smnet_jax.training import hosts
from smnet_jax.training.pictures import ROWS

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


class Validation:
    """The evaluation pairs and the compiled network for them.

    Every process takes its share of the pairs and every device in turn one picture, so no collective is needed but
    the sum at the end. `SMNet` in its fastest implementation for one device serves whatever way the step was divided.
    """

    def __init__(self, model: SMNet, source: Source, limit: int = 0):
        count = min(limit or len(source), len(source))
        self._source = source
        self._mine = range(jax.process_index(), count, jax.process_count())
        self._enhance = _compiled(model)
        self._inputs: dict[str, float] = {}

    def __call__(self, params: Any) -> tuple[dict[str, float], list[Triple]]:
        """Mean `psnr` and `ssim` of the output and, as `input_psnr` and `input_ssim`, of the unenhanced input; and the
        first pictures as uint8 (low, output, target). `params` are replicated over the mesh."""
        devices = [shard.device for shard in jax.tree.leaves(params)[0].addressable_shards]
        local = {d: jax.tree.map(lambda x, d=d: _on(x, d), params) for d in devices}
        sums: list[np.ndarray] = []
        triples: list[Triple] = []
        flying: deque[tuple[dict[str, Any], jax.Array]] = deque()
        for turn, index in enumerate(self._mine):
            example = self._source[index]
            device = devices[turn % len(devices)]
            low = pad(example["low"][None].astype(np.float32) / np.float32(255))
            flying.append((example, self._enhance(local[device], jax.device_put(low, device))))
            if len(flying) == len(devices):
                sums.append(self._score(*flying.popleft(), triples))
        sums += [self._score(*waiting, triples) for waiting in flying]
        total = hosts.summed(np.sum([*sums, np.zeros(5)], axis=0))
        names = ("psnr", "ssim", "input_psnr", "input_ssim")
        return dict(zip(names, (total[:4] / total[4]).tolist(), strict=True)), triples

    def _score(self, example: dict[str, Any], output: jax.Array, triples: list[Triple]) -> np.ndarray:
        low, high = example["low"], example["high"]
        # The metrics run on the default device; only the network is worth spreading.
        enhanced = np.asarray(truncated(jnp.asarray(crop(np.asarray(output), *high.shape[:2]))))
        scores = [float(metric(image, high[None])[0]) for image in (enhanced, low[None]) for metric in (psnr, ssim)]
        if len(triples) < ROWS:
            triples.append((low, enhanced[0], high))
        return np.array([*scores, 1.0])


@functools.lru_cache(maxsize=4)  # another run of the same process has the same network
def _compiled(model: SMNet) -> Any:
    return jax.jit(lambda params, low: model.for_inference(*low.shape[:2]).apply({"params": params}, low))


def _on(replicated: jax.Array, device: jax.Device) -> jax.Array:
    return next(shard.data for shard in replicated.addressable_shards if shard.device == device)
