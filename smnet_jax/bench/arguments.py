"""What the command lines of several measurements have in common."""

from smnet_jax.errors import InputError


def picture_size(text: str) -> tuple[int, int]:
    """Width and height of "600x400"; raises InputError unless both are positive multiples of 4."""
    width, _, height = text.partition("x")
    if not all(side.isdecimal() and int(side) and int(side) % 4 == 0 for side in (width, height)):
        raise InputError(f"--size {text}: must be WIDTHxHEIGHT, both multiples of 4")
    return int(width), int(height)
