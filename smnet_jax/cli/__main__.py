import sys

from smnet_jax.cli import main

sys.exit(main())
