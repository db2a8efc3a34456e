"""Convert a PyTorch checkpoint: `python convert_torch_weights.py SRC DST` is `smnet convert SRC DST`."""

import sys

from smnet_jax.cli import main

sys.exit(main(["convert", *sys.argv[1:]]))
