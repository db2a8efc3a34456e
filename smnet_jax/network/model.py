"""SMNet, the module that everybody uses: the network of `definition`, implemented as a compiler likes it best."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn

from smnet_jax.network import definition, extent, gpu
from smnet_jax.network.cpu import network as cpu
from smnet_jax.network.definition import brightness, with_brightness
from smnet_jax.network.layers import Precision
from smnet_jax.network.tpu import network as tpu
from smnet_jax.network.tpu.lane_packing import pack, unpack
from smnet_jax.network.tpu.strips import Strips, choose

Implementation = Literal["auto", "reference", "cpu", "gpu", "tpu"]
"""How the same function of the same parameters is computed; "reference" is `definition` itself, "auto" the default
backend's own, and "gpu" the one that shards rows over devices."""


def implementation_for(wanted: Implementation = "auto", platform: str | None = None) -> Implementation:
    """The implementation that "auto" means on a platform (JAX's name; None: the default backend's), others unchanged.

    The only place that decides it: whoever compiles for devices asks here, and passes the answer on.
    Raises ValueError for a name that is none.
    """
    if wanted not in get_args(Implementation):
        raise ValueError(f"implementation {wanted!r}: there are {', '.join(get_args(Implementation))}")
    if wanted != "auto":
        return wanted
    by_platform: dict[str, Implementation] = {"cpu": "cpu", "tpu": "tpu"}
    return by_platform.get(platform or jax.default_backend(), "gpu")


class _Blocks(NamedTuple):
    """An implementation: its blocks, and how its features at full resolution are turned into plain ones and back."""

    Stem: type[definition.Stem]
    LGBlock: type[definition.LGBlock]
    Head: type[definition.Head]
    pack: Callable[[jax.Array], jax.Array] = lambda x: x
    unpack: Callable[[jax.Array], jax.Array] = lambda x: x
    pack_local: Callable[[jax.Array], Any] = lambda z: z
    unpack_local: Callable[[Any], jax.Array] = lambda z: z


_BLOCKS: dict[Implementation, _Blocks] = {
    "reference": _Blocks(definition.Stem, definition.LGBlock, definition.Head),
    "cpu": _Blocks(cpu.Stem, cpu.LGBlock, cpu.Head),
    "gpu": _Blocks(gpu.Stem, gpu.LGBlock, gpu.Head),
    "tpu": _Blocks(tpu.Stem, tpu.LGBlock, tpu.Head, pack, unpack, tpu.pack_concatenated, tpu.unpack_concatenated),
}


class SMNet(nn.Module):
    """Low-light RGB in [0, 1] to enhanced RGB, (N,H,W,3) -> (N,H,W,3) float32, not clipped; H and W multiples of 4.

    `variant` picks the released architecture ("lol" has 2,989,221 parameters at width 64, "fivek" 2,952,173); `width`
    is a multiple of 4. The other fields say how to compute, and change results only by rounding: `dtype` is that of
    activations, `precision` that of products; `implementation` is explained at its type; `remat` recomputes a block's
    activations in the gradient instead of keeping them; `scan` compiles the block once, as the body of a loop; `strips`
    cuts each picture's rows into so many and lays them side by side in the batch.

    The implementations for CPUs and TPUs bring gradients of their own, and with those only reverse mode: `jax.jvp` and
    `jax.linearize` want "gpu".
    """

    variant: definition.Variant = "lol"
    width: int = 64
    blocks: int = 3
    dtype: Any = jnp.float32
    precision: Precision = None
    implementation: Implementation = "auto"
    remat: bool = False
    scan: bool = False
    strips: int = 1

    def setup(self) -> None:
        if self.variant not in get_args(definition.Variant):
            raise ValueError(f"variant {self.variant!r}: there are 'lol' and 'fivek'")
        if self.width < 4 or self.width % 4:
            raise ValueError(f"width {self.width}: must be a positive multiple of 4")
        self.of = _BLOCKS[implementation_for(self.implementation)]
        block = nn.remat(self.of.LGBlock) if self.remat else self.of.LGBlock
        self.stem = self.of.Stem(self.width, self.variant, self.precision)
        self.block = block(self.width, self.variant, self.precision)
        self.head = self.of.Head(self.width, self.variant, self.precision)

    def for_inference(self, batch: int, height: int, platform: str | None = None) -> "SMNet":
        """This network as it is best compiled to enhance `batch` pictures of `height` rows on each device.

        The block is compiled once, which takes two thirds of the time and costs no speed where there is no gradient.
        platform: JAX's name for it, the default backend's if None.
        """
        return self.clone(
            implementation=implementation_for(self.implementation, platform),
            remat=False,
            scan=True,
            strips=choose(batch, height, platform),
        )

    def __call__(self, low: jax.Array, outputs: Literal["last", "all"] = "last", sizes: jax.Array | None = None) -> Any:
        """`outputs="all"` gives a tuple, last block first; for fivek that is the paper's (out3, out2, out1).

        sizes: (N,2) integers, multiples of 4: rows and columns of pictures that lie in the upper left corners of `low`.
        Each result is that of the picture alone; beyond it, it is not defined. All of `low` if None.

        Raises ValueError where `low` is not (N,H,W,3) with H and W multiples of 4, or H too small for the strips, and
        where it is of integers: 0 to 255 would be taken for 0 to 1. So it does for `sizes` with strips or on TPUs.
        """
        if sizes is None:
            return self._enhance(low, outputs)
        if not self.takes_sizes:
            raise ValueError("sizes: neither strips nor the implementation for TPUs take them")
        with extent.of(low.shape[1], low.shape[2], sizes):
            return self._enhance(extent.zero_beyond(low), outputs)

    @property
    def takes_sizes(self) -> bool:
        """Whether pictures may be smaller than their array."""
        return self.strips == 1 and implementation_for(self.implementation) != "tpu"

    def _enhance(self, low: jax.Array, outputs: Literal["last", "all"]) -> Any:
        if low.ndim != 4 or low.shape[3] != 3 or low.shape[1] % 4 or low.shape[2] % 4:
            raise ValueError(f"low is {low.shape}: must be (N,H,W,3) with H and W multiples of 4")
        if not jnp.issubdtype(low.dtype, jnp.floating):
            raise ValueError(f"low is {low.dtype}: must be floating point from 0 to 1; divide 8-bit values by 255")
        cut = Strips(low.shape[1], self.strips) if self.strips > 1 and not self.is_initializing() else None
        if cut is not None:
            low = cut.split(low)
        x = self._embed(low)
        if self.scan and outputs == "last" and not self.is_mutable_collection("intermediates"):
            results = [self._decode(self._scanned(x, cut), low)]
        else:
            results = []
            for number in range(self.blocks):
                x = self.block(x) if cut is None else cut.through(self.block, x)
                if outputs == "all" or number == self.blocks - 1:
                    results.append(self._decode(x, low))
        if cut is not None:
            results = [cut.join(result) for result in results]
        return tuple(reversed(results)) if outputs == "all" else results[-1]

    def _scanned(self, x: jax.Array, cut: Strips | None) -> jax.Array:
        if self.is_initializing():
            return self.block(x)
        block, variables = self.block.unbind()

        def once(x: jax.Array, _: None) -> tuple[Any, None]:
            if cut is None:
                return block.apply(variables, x), None
            return block.apply(variables, x, method=cut.through), None

        return jax.lax.scan(once, x, length=self.blocks)[0]

    def _embed(self, low: jax.Array) -> jax.Array:
        x = self.stem(with_brightness(low, self.dtype))
        self.sow("intermediates", "stem_features", self.of.unpack(x))
        return x

    def _decode(self, x: jax.Array, low: jax.Array) -> jax.Array:
        if self.variant == "lol":
            x = self.block.act(x)  # the published head borrows the block's PReLU
        return self.head(x, brightness(low))

    # The network in pieces, for who computes a picture in tiles: between them lie plain features, not packed.

    def embed(self, low: jax.Array) -> jax.Array:
        """The picture's first features, (N,H,W,3) -> (N,H,W,c)."""
        return self.of.unpack(self._embed(low))

    def local(self, x: jax.Array) -> jax.Array:
        """The block's features of all scales, (N,H,W,c) -> (N,H,W,3c); depends on neighbours only."""
        return self.of.unpack_local(self.block.local(self.of.pack(x)))

    def gate(self, mean: jax.Array, maximum: jax.Array) -> jax.Array:
        """Channel weights (N,3c) from the `statistics` of `local`'s result over the whole picture, (N,3c) each."""
        return self.block.gate(mean, maximum)

    def recalibrate(self, z: jax.Array, s: jax.Array, x: jax.Array) -> jax.Array:
        """The rest of the block: z (N,H,W,3c), channel weights s (N,3c), the block's input x (N,H,W,c) -> (N,H,W,c)."""
        return self.of.unpack(self.block.recalibrate(self.of.pack_local(z), s, self.of.pack(x)))

    def decode(self, x: jax.Array, low: jax.Array) -> jax.Array:
        """A block's features to a picture, (N,H,W,c) and (N,H,W,3) -> (N,H,W,3)."""
        return self._decode(self.of.pack(x), low)
