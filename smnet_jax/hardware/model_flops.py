"""How many floating-point operations SMNet is, counted from its layers as published: the numerator of MFU.

The count depends on the network alone, never on how we compute it: implementations that need fewer operations, or more,
are compared by the same numerator. Products and sums of convolutions and linear layers count, 2 for each multiplication
with its addition; activations, pooling and bilinear interpolation do not. `tests/hardware/test_model_flops.py` holds
the count against PyTorch's own of the published network, and against the published totals.
"""

from collections.abc import Iterator

from smnet_jax.vgg16 import BLOCKS as VGG_BLOCKS


def layers(variant: str, width: int, blocks: int, height: int, image_width: int) -> Iterator[tuple[str, int]]:
    """(part, multiplications) of one picture (height, image_width, 3), parts of a block `blocks` times over."""
    c, pixels = width, height * image_width
    half, quarter = pixels // 4, pixels // 16
    yield "stem", pixels * 9 * 4 * c + _fem(c, pixels)
    yield "down", blocks * (_down(c, pixels) + _down(2 * c, half))
    yield "fem", blocks * (_fem(4 * c, quarter) + _fem(2 * c, half) + _fem(c, pixels))
    yield "up", blocks * (_up(4 * c, quarter) + 2 * _up(2 * c, half))
    yield "gfrm", blocks * _gfrm(3 * c, pixels, gated=variant == "lol")
    yield "fuse", blocks * pixels * 9 * 3 * c * c
    yield "head", _head(c, pixels)


def forward(
    height: int, image_width: int, *, variant: str = "lol", width: int = 64, blocks: int = 3, outputs: int = 1
) -> int:
    """FLOPs of one picture through the network; `outputs` is how many blocks' outputs go through the head."""
    body = sum(count for _, count in layers(variant, width, blocks, height, image_width))
    return 2 * (body + (outputs - 1) * _head(width, height * image_width))


def vgg(height: int, image_width: int) -> int:
    """FLOPs of one picture through the ten convolutions of VGG16 that the perceptual loss has."""
    total = 0
    for block in VGG_BLOCKS:
        total += sum(9 * inputs * outputs for _, inputs, outputs in block) * height * image_width
        height, image_width = height // 2, image_width // 2
    return 2 * total


def training_step(
    batch: int,
    crop: tuple[int, int],
    *,
    variant: str = "lol",
    width: int = 64,
    blocks: int = 3,
    loss: str = "recipe",
    deep_supervision: bool = False,
) -> int:
    """FLOPs of a step on `batch` crops of (height, width) = `crop`: three times the forward pass (the gradient needs
    one such pass for the features and one for the weights), and for the recipe's loss VGG16 on target and output
    forward and back to the output: three times as well, its weights being frozen. Optimiser and the other losses are
    left out."""
    outputs = blocks if deep_supervision else 1
    network = forward(*crop, variant=variant, width=width, blocks=blocks, outputs=outputs)
    perceptual = (1 + 2 * outputs) * vgg(*crop) if loss == "recipe" else 0
    return batch * (3 * network + perceptual)


def _fem(k: int, pixels: int) -> int:
    return pixels * (2 * 9 * k * k + 2 * k * (k // 4))


def _down(k: int, pixels: int) -> int:
    """From `pixels` of k channels: 3x3, then at a quarter of the pixels the blur and the 1x1 to 2k."""
    return pixels * 9 * k * k + pixels // 4 * (9 * k + 2 * k * k)


def _up(k: int, pixels: int) -> int:
    """From `pixels` of k channels: 1x1 and transposed 3x3, then at four times the pixels two 1x1 to k/2."""
    return pixels * (k * k + 9 * k * k) + 4 * pixels * 2 * k * (k // 2)


def _gfrm(k: int, pixels: int, *, gated: bool) -> int:
    squeezed = max(1, k // 16)
    return pixels * k * k + 2 * 2 * k * squeezed + (k * k if gated else 0)


def _head(c: int, pixels: int) -> int:
    return pixels * (9 * c * 4 + 4 * 3)
