"""`python -m smnet_jax`: the command line, where scripts are not on the path."""

import sys

from smnet_jax.cli import main

sys.exit(main())
