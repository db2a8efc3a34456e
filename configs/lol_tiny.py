"""The smallest of the family, for phones and browsers: width 8, 47,461 parameters, taught by `lol-small` as well.

python tools/hold_out_lol.py LOL/train FOLDER
smnet enhance FOLDER/train/low -o TEACHER/train/high --weights lol-small --strength 1 --format webp --quality 100
ln -s "$PWD"/FOLDER/train/low TEACHER/train/low
smnet train lol_tiny --workdir runs/lol_tiny --data FOLDER,TEACHER --devices 2

Half of the examples have `lol-small`'s results for targets, on the guess that they are easier to fit; no run without
them was made to compare. The weights `lol-tiny` come of this run and of three that continue it: docs/lab/lol_tiny.md.
"""

import dataclasses

from smnet_jax.configs.lol_small import config as lol_small
from smnet_jax.training.config import Stage

config = dataclasses.replace(
    lol_small,
    width=8,
    stages=(
        Stage(steps=1200, crop=64, batch=16, loss="l1_ssim", resize=64),
        Stage(steps=2200, crop=128, batch=8, loss="l1_ssim", resize=128),
        Stage(steps=1000, crop=200, batch=4, loss="l1_ssim", thin=2),
        Stage(steps=800, crop=280, batch=2, loss="l1_ssim"),
    ),
    psnr_weight=0.1,
    noise=0.0,
    gain=0.0,
    daylight=0.0,
    learning_rate=3e-3,
    warmup=100,
    ema=0.995,
    evaluate_epochs=8,
)
