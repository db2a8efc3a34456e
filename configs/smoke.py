"""Seconds on a laptop's CPU, with dummy pairs drawn on the spot: does everything work here?

smnet train smoke --workdir runs/smoke
"""

import dataclasses

from smnet_jax.configs.lol import config as lol

config = dataclasses.replace(
    lol,
    width=4,
    blocks=2,
    data="dummy:8",
    loss="l1_ssim",
    crop=32,
    batch=4,
    epochs=10,
    log_steps=2,
    holdout=0.25,
    threads=1,
    learning_rate=2e-3,
    schedule="cosine",
)
