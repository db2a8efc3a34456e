"""Train SMNet: `python train.py lol --workdir runs/lol` is `smnet train lol --workdir runs/lol`."""

import sys

from smnet_jax.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
