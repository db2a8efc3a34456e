"""Score a network or finished pictures: `python evaluate.py ...` is `smnet evaluate ...`."""

import sys

from smnet_jax.cli import main

sys.exit(main(["evaluate", *sys.argv[1:]]))
