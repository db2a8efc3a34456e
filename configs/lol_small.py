"""A small network that a CPU can train: width 16, brightness on small whole pictures first, loss without VGG.

smnet train lol_small --workdir runs/lol_small --data FOLDER --devices 2

FOLDER/train holds LOL's training pairs shrunk to 256x256, FOLDER/test native ones that share no target with them.
The weights `lol-small` came from this recipe; docs/model-card.md has its hours, curve and scores. One device per core
is fastest on a CPU.
"""

import dataclasses

from smnet_jax.configs.lol import config as lol
from smnet_jax.training.config import Stage

config = dataclasses.replace(
    lol,
    width=16,
    stages=(
        # Whole pictures first: what GFRM pools must look like what it will pool when the network is used.
        Stage(steps=1000, crop=64, batch=16, loss="l1_ssim", resize=64),
        Stage(steps=520, crop=128, batch=8, loss="l1_ssim", resize=128),
        # Then detail at the scale of use.
        Stage(steps=260, crop=208, batch=4, loss="l1_ssim"),
    ),
    loss="l1_ssim",
    ssim_weight=0.5,
    noise=0.015,
    gain=0.3,
    daylight=0.06,
    learning_rate=2e-3,
    schedule="cosine",
    warmup=100,
    clip=1.0,
    ema=0.995,
    evaluate_epochs=10,
)
