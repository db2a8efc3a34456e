"""The table in docs/evaluation.md against the pictures that it is about."""

import re
from pathlib import Path

import pytest

from smnet_jax.evaluation import folders, runner
from smnet_jax.evaluation.columns import select

REPO = Path(__file__).parents[2]
NAMES = ["psnr", "psnr_gtmean_luma", "psnr_gtmean_rgb"]


def test_the_documented_numbers_are_the_computed_ones():
    text = (REPO / "docs" / "evaluation.md").read_text(encoding="utf-8")
    high = REPO / "tests" / "fixtures" / "samples_high"
    items = folders.check(folders.find({"image": REPO / "smnet_jax" / "samples", "high": high}))
    evaluation = runner.evaluate(items, select(NAMES, available=frozenset({"high"}), quantised=True))
    for column in evaluation.computed:
        mean, deviation, worst, best = re.findall(
            rf"^\| {re.escape(column.title)} \| {column.protocol} \| (\S+) \| (\S+) \| \S+ (\S+) \| \S+ (\S+) \|$",
            text,
            re.MULTILINE,
        )[0]
        summary = evaluation.summary(column)
        # Half a digit of the table, and as much again for other builds of the JPEG decoder.
        assert (summary.mean, summary.deviation) == pytest.approx((float(mean), float(deviation)), abs=0.01)
        assert summary.worst is not None
        assert summary.best is not None
        assert (summary.worst.name, summary.best.name) == (worst, best)
