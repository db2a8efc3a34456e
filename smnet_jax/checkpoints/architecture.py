"""Which network a checkpoint is of."""

from dataclasses import dataclass

VARIANTS = ("lol", "fivek")
BLOCKS = 3  # the published network's; its blocks share their weights, so that no file shows their number


@dataclass(frozen=True)
class Architecture:
    """What a checkpoint is of. `SMNet` has the same fields, so that it can stand in for one."""

    variant: str = "lol"
    width: int = 64
    blocks: int = BLOCKS
