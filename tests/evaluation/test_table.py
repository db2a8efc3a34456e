import io

import numpy as np
from rich.console import Console

from smnet_jax.evaluation import table
from smnet_jax.evaluation.columns import COLUMNS, STATISTICS
from smnet_jax.evaluation.results import Evaluation, Picture, Throughput

BY_NAME = {column.name: column for column in (*COLUMNS, *STATISTICS)}


def shown(names, pictures, **kwargs):
    evaluation = Evaluation(
        tuple(BY_NAME[name] for name in names), kwargs.pop("unavailable", {}), pictures,
        Throughput(len(pictures), 4.0, 0.5, 3.0, 9.0), {}, None, **kwargs,
    )  # fmt: skip
    stream = io.StringIO()
    table.show(evaluation, Console(file=stream, width=120))
    return stream.getvalue()


def test_rows_have_mean_deviation_and_named_extremes():
    pictures = tuple(Picture(n, 8, 8, {}, {"psnr": v, "psnr_rounded": v}) for n, v in (("a", 20.0), ("b", 24.0)))
    lines = shown(["psnr", "psnr_rounded"], pictures).splitlines()
    (row,) = (line for line in lines if line.strip().startswith("PSNR (dB) ↑"))
    assert row.split() == ["PSNR", "(dB)", "↑", "published", "22.00", "2.00", "20.00", "a", "24.00", "b"]
    assert any(line.startswith("rounded: output clipped") for line in lines)
    assert lines[-1] == "network 0.5 pictures/s, metrics 4 pictures/s, compiling 3.0 s, 9.0 s in all"


def test_reasons_and_notes():
    pictures = (Picture("a", 8, 8, {}, {"psnr": np.inf}),)
    text = shown(["psnr", "iw_ssim"], pictures, unavailable={"iw_ssim": "8x8 is too small"}, notes=("remember",))
    assert "n/a: IW-SSIM: 8x8 is too small" in text
    assert "note: remember" in text
    assert "∞" in text


def test_hostile_names_neither_style_nor_steer_the_terminal():
    pictures = (Picture("[red]a[/red]\x1b[2J\u202e", 8, 8, {}, {"psnr": 20.0}),)
    text = shown(["psnr"], pictures)
    assert "[red]a[/red]?[2J?" in text
    assert "\x1b" not in text
