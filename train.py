"""Train SMNet: `python train.py lol --workdir runs/lol` is `smnet train lol --workdir runs/lol`."""

import sys

from smnet_jax.cli import main
from smnet_jax.host import huge_pages

if __name__ == "__main__":
    huge_pages.ask()
    sys.exit(main(["train", *sys.argv[1:]]))
