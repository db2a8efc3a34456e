import csv
import json

import numpy as np
import pytest

from smnet_jax.evaluation import results
from smnet_jax.evaluation.columns import COLUMNS, STATISTICS, Column

BY_NAME = {column.name: column for column in (*COLUMNS, *STATISTICS)}


@pytest.fixture
def evaluation():
    return make({"psnr": [20.0, 30.0, 25.0], "loe": [100.0, 300.0, 200.0], "luma_mean": [0.1, 0.2, 0.3]})


def ends(summary: results.Summary) -> tuple[str, str]:
    assert summary.worst is not None
    assert summary.best is not None
    return summary.worst.name, summary.best.name


def make(values: dict[str, list[float]], names=("a", "b", "c"), **kwargs) -> results.Evaluation:
    columns: tuple[Column, ...] = tuple(BY_NAME[name] for name in (*values, "iw_ssim"))
    pictures = tuple(
        results.Picture(name, 16, 24, {"low": f"low/{name}.png"}, {key: values[key][row] for key in values})
        for row, name in enumerate(names)
    )
    throughput = results.Throughput(len(names), model=1.0, metrics=0.5, compiling=2.0, wall=4.0)
    settings, weights = {"weights": "w.pth", "batch": None}, {"source": "w.pth", "sha256": "ab" * 32}
    return results.Evaluation(
        columns, {"iw_ssim": "too small"}, pictures, throughput, settings, weights, ("a note",), **kwargs
    )


def test_summary(evaluation):
    summary = evaluation.summary(BY_NAME["psnr"])
    assert summary.mean == 25
    assert ends(summary) == ("a", "b")
    assert summary.deviation == pytest.approx(np.std([20, 30, 25]))
    loe = evaluation.summary(BY_NAME["loe"])
    assert ends(loe) == ("b", "a"), "LOE: lower is better"
    assert evaluation.summary(BY_NAME["luma_mean"]).worst is None


def test_summary_of_infinite_and_missing_values():
    summary = make({"psnr": [np.inf, 30.0, np.inf]}).summary(BY_NAME["psnr"])
    assert summary.mean == np.inf
    assert np.isnan(summary.deviation)
    assert ends(summary) == ("b", "a")
    summary = make({"psnr": [np.nan, 30.0, 20.0]}).summary(BY_NAME["psnr"])
    assert np.isnan(summary.mean)
    assert ends(summary) == ("c", "b")
    assert make({"psnr": [np.nan] * 3}).summary(BY_NAME["psnr"]).worst is None


def test_json_has_every_documented_field(evaluation, tmp_path):
    results.write_json(evaluation, tmp_path / "scores.json")
    data = json.loads((tmp_path / "scores.json").read_text())
    assert set(data) == {
        "format", "format_version", "created", "versions", "devices", "settings", "weights", "protocols", "columns",
        "pictures", "throughput", "notes",
    }  # fmt: skip
    assert (data["format"], data["format_version"]) == ("smnet-evaluation", 1)
    psnr, loe, luma, iw_ssim = data["columns"]
    assert psnr["mean"] == 25
    assert psnr["worst"] == {"picture": "a", "value": 20}
    assert psnr["protocol"] == "published"
    assert loe["better"] == "lower"
    assert (luma["better"], luma["best"]) == (None, None)
    assert (iw_ssim["unavailable"], iw_ssim["mean"]) == ("too small", None)
    assert data["pictures"][1]["values"] == {"psnr": 30, "loe": 300, "luma_mean": 0.2}
    assert data["pictures"][1]["files"] == {"low": "low/b.png"}
    assert data["throughput"] == {"pictures": 3, "model": 1, "metrics": 0.5, "compiling": 2, "wall": 4}
    assert set(data["versions"]) == {"smnet_jax", "jax", "jaxlib", "numpy", "python"}
    assert list(data["protocols"]) == ["published"]


def test_json_is_strict_about_numbers_and_names(tmp_path):
    odd = make({"psnr": [np.inf, -np.inf, np.nan]}, names=("häuser", "\udcff", "c"))
    results.write_json(odd, tmp_path / "scores.json")

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    data = json.loads((tmp_path / "scores.json").read_bytes(), parse_constant=refuse)
    assert [picture["values"]["psnr"] for picture in data["pictures"]] == ["inf", "-inf", "nan"]
    assert [picture["name"] for picture in data["pictures"]] == ["häuser", "\udcff", "c"]
    assert [float(picture["values"]["psnr"]) for picture in data["pictures"][:2]] == [np.inf, -np.inf]


def test_csv(tmp_path):
    odd = make({"psnr": [20.123456789, np.inf, 1.0]}, names=("a,b", '=HYPERLINK("x")', "c"))
    results.write_csv(odd, tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["picture", "height", "width", "psnr"]
    assert rows[1] == ["a,b", "16", "24", "20.123456789"]
    assert rows[2][0] == '\'=HYPERLINK("x")'
    assert float(rows[2][3]) == np.inf
