"""The paper's recipe on LOL: width 64, batch 10, 601 epochs of 48 steps, five-term loss.

smnet train lol --workdir runs/lol --data /path/to/LOL

where the folder has train/{low,high} (485 pairs) and test/{low,high} (15 pairs). Crops lie uniformly inside the
picture, as in the published code.
"""

from smnet_jax.training.config import Config

config = Config()
