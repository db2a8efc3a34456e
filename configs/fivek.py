"""The FiveK variant of the network with the same loss on its last output (its training script was never published).

smnet train fivek --workdir runs/fivek --data /path/to/FiveK

where the folder has train/{low,high} (4500 pairs) and test/{low,high} (the first 500 ids), 512 px on the long side.
"""

import dataclasses

from smnet_jax.configs.lol import config as lol

config = dataclasses.replace(lol, variant="fivek", data="data/FiveK", epochs=100, decay_epochs=10)
