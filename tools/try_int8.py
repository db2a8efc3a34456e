"""What 8 bits would do: SMNet with its convolutions between features in int8, against float32, in time and quality.

An experiment, not a part of the package. Activations get one scale for each tensor, from its largest value; kernels one
for each output channel; products are summed in int32, everything between convolutions stays float32.

    python tools/try_int8.py --width 64                                      # time; untrained, random picture
    python tools/try_int8.py --low DIR --high DIR --pictures 8               # quality; the bundled weights
"""

import argparse
import statistics
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.checkpoints import untrained
from smnet_jax.enhancement.photo import open_weights
from smnet_jax.host import allocator
from smnet_jax.images import pictures
from smnet_jax.images.padding import crop, pad
from smnet_jax.network import layers
from smnet_jax.network.cpu import network as cpu

LARGEST = 127
NARROWEST = 8  # channels: stem and head, with fewer, stay float32


def quantised(x, axes):
    """(int8, scale): x is nearly their product; one scale for all that `axes` span."""
    scale = jnp.maximum(jnp.max(jnp.abs(x), axes, keepdims=True), 1e-20) / LARGEST
    return jnp.round(x / scale).astype(jnp.int8), scale


def in_int8(convolve, otherwise):
    """The layer (x, kernel, bias) with its product in int8."""

    def layer(x, kernel, bias, precision):
        own = kernel.ndim == 5  # a kernel for each picture, as GFRM has it
        if min(kernel.shape[-2:]) < NARROWEST or (own and kernel.shape[0] > 1):
            return otherwise(x, kernel, bias, precision)
        small, scale = quantised(x, None)
        kernel, scales = quantised(kernel[0] if own else kernel, (0, 1, 2))
        y = convolve(small, kernel).astype(jnp.float32) * (scale.reshape(()) * scales.reshape(-1))
        return y if bias is None else y + bias

    return layer


def conv3x3(x, kernel):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=layers.LAYOUT, preferred_element_type=jnp.int32
    )


def conv1x1(x, kernel):
    return jnp.einsum("nhwi,io->nhwo", x, kernel[0, 0], preferred_element_type=jnp.int32)


@contextmanager
def int8_layers():
    originals = cpu.conv3x3, cpu.conv1x1
    cpu.conv3x3, cpu.conv1x1 = in_int8(conv3x3, originals[0]), in_int8(conv1x1, originals[1])
    try:
        yield
    finally:
        cpu.conv3x3, cpu.conv1x1 = originals


def compiled(model, variables, low):
    return jax.jit(lambda variables, low: model.apply(variables, low)).lower(variables, low).compile()


def both(model, variables, low):
    """The network compiled in float32 and in int8."""
    exact = compiled(model, variables, low)
    with int8_layers():
        return exact, compiled(model, variables, low)


def measure_time(width, height, image_width, repeats):
    model, variables = untrained.make(width)
    low = np.random.default_rng(0).random((1, height, image_width, 3), np.float32) * np.float32(0.3)
    programs = both(model.clone(scan=True), variables, low)
    clocks = [[], []]
    for turn in range(repeats + 1):
        for program, times in zip(programs, clocks, strict=True):
            clock, cpu = time.perf_counter(), time.process_time()
            program(variables, low).block_until_ready()
            if turn:
                times.append((time.perf_counter() - clock, time.process_time() - cpu))
    exact, small = ([statistics.median(column) for column in zip(*times, strict=True)] for times in clocks)
    print(f"width {width}, {image_width}x{height}: float32 {exact[0]:.2f} s ({exact[1]:.2f} CPU s), "
          f"int8 {small[0]:.2f} s ({small[1]:.2f}): {exact[0] / small[0]:.2f} times as fast")  # fmt: skip


def measure_quality(weights, low_folder, high_folder, limit):
    model, variables = open_weights(weights)
    programs, rows = {}, []
    for path in sorted(low_folder.iterdir())[:limit]:
        low = pictures.read(path).rgb
        high = pictures.read(high_folder / path.name).rgb
        padded = pad(low)[None]
        if padded.shape not in programs:
            programs[padded.shape] = both(model.clone(scan=True), variables, padded)
        results = [np.asarray(program(variables, padded))[0] for program in programs[padded.shape]]
        exact, small = (np.clip(crop(result, *low.shape[:2]), 0, 1) for result in results)
        rows.append((psnr(exact, high), psnr(small, high), psnr(small, exact), np.abs(small - exact).max()))
    means = np.mean(rows, 0)
    print(f"{len(rows)} pictures: PSNR to the target {means[0]:.2f} dB in float32, {means[1]:.2f} in int8; "
          f"int8 to float32 {means[2]:.1f} dB, at most {max(row[3] for row in rows) * 255:.0f} of 255 off")  # fmt: skip


def psnr(a, b):
    return -10 * np.log10(np.mean((a - b) ** 2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64, metavar="C", help="untrained network to time (default: 64)")
    parser.add_argument("--size", default="600x400", metavar="WxH")
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--weights", metavar="W", help="for quality (default: the bundled ones)")
    parser.add_argument("--low", type=Path, metavar="DIR", help="measure quality on these pictures")
    parser.add_argument("--high", type=Path, metavar="DIR", help="and their targets, of the same names")
    parser.add_argument("--pictures", type=int, metavar="N", help="only the first ones")
    args = parser.parse_args()
    if (args.low is None) != (args.high is None):
        sys.exit("try_int8: --low and --high go together")
    allocator.keep_freed_memory()
    if args.low:
        measure_quality(args.weights, args.low, args.high, args.pictures)
    else:
        image_width, height = map(int, args.size.split("x"))
        measure_time(args.width, height, image_width, args.repeats)


if __name__ == "__main__":
    main()
