"""A small network that a CPU can train: width 16, brightness on small whole pictures first, loss without VGG.

python tools/make_lol_small_data.py SHRUNK NATIVE FOLDER
smnet train lol_small --workdir runs/lol_small --data "FOLDER/main,FOLDER/native*8" --devices 2

FOLDER/main/train holds LOL's training pairs, here enlarged from 256x256 for want of the originals, FOLDER/native those
at hand at 600x400, FOLDER/main/test pairs that share no target with either; with LOL itself, its folder alone will do.
It took 63 minutes on a 2-core Intel Xeon (Sapphire Rapids) VM, busy with other work. The weights `lol-small` come of
this run and of six that continue it on native pairs: docs/model-card.md has commands, curves and scores. One device
per core is fastest on a CPU.
"""

import dataclasses

from smnet_jax.configs.lol import config as lol
from smnet_jax.training.config import Stage

config = dataclasses.replace(
    lol,
    width=16,
    colour_path=4.0,
    stages=(
        # Whole pictures first: what GFRM pools must look like what it will pool when the network is used.
        Stage(steps=1800, crop=64, batch=16, loss="l1_ssim", resize=64),
        Stage(steps=480, crop=128, batch=8, loss="l1_ssim", resize=128),
        # Then detail at the scale of use.
        Stage(steps=270, crop=208, batch=4, loss="l1_ssim"),
    ),
    loss="l1_ssim",
    ssim_weight=0.5,
    chroma_weight=1.0,
    noise=0.015,
    gain=0.3,
    daylight=0.06,
    learning_rate=2e-3,
    schedule="cosine",
    warmup=50,
    clip=1.0,
    ema=0.99,
    evaluate_epochs=10,
)
