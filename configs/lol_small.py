"""A small network that a CPU can train: width 16, loss without VGG, on LOL shrunk to 256x256.

smnet train lol_small --workdir runs/lol_small --data /path/to/lol256 --devices 2
"""

import dataclasses

from smnet_jax.configs.lol import config as lol

config = dataclasses.replace(
    lol,
    width=16,
    loss="l1_ssim",
    batch=8,
    crop=96,
    epochs=100,
    holdout=0.05,
    learning_rate=1e-3,
    schedule="cosine",
    warmup=100,
    clip=1.0,
    ema=0.999,
    evaluate_epochs=5,
)
