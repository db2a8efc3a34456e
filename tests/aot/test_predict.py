"""The model of links and limits, against numbers worked out by hand; and the command, from made files."""

import dataclasses
import json

import pytest

from smnet_jax import InputError
from smnet_jax.aot import predict
from smnet_jax.cli import main
from smnet_jax.hardware import specs

V5E = "TPU v5 lite"


def compiled(chips: int, batch: int, seconds: float, sent: int = 12_000_000) -> dict:
    """As `smnet bench tpu --only train --json` writes it."""
    return {
        "device_kind": V5E, "chips": chips, "devices_a_chip": 1,
        "train": {
            "images_a_chip": batch, "seconds": seconds, "mfu": 0.3, "flops": 1e12, "bytes": 4e10, "hbm_bytes": 1e10,
            "title": f"a step, batch {batch}",
            "collectives": [{"kind": "all-reduce", "bytes": sent}] if chips > 1 else [],
        },
    }  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """One chip at two batch sizes, and four chips."""
    made = {"one": compiled(1, 4, 0.030), "more": compiled(1, 16, 0.090), "four": compiled(4, 16, 0.091)}
    for name, content in made.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return [str(tmp_path / f"{name}.json") for name in made]


def point(batch: float, seconds: float) -> predict.Point:
    return predict.Point(V5E, 1, batch, seconds, 0, 2e11, 0.0, False, 0, "")


def model(gradient: int = 12_000_000, **settings) -> predict.Model:
    chip = specs.of(V5E)
    assert chip
    return predict.Model(chip, (point(4, 0.030), point(16, 0.090)), gradient, **settings)


def test_all_reduce_by_hand():
    v5e, v4, h100 = (specs.of(kind) for kind in (V5E, "TPU v4", "NVIDIA H100 80GB HBM3"))
    assert v5e and v4 and h100
    assert predict.all_reduce(10**7, 1, v5e) == 0
    # 16x16: both axes are rings, so 4 x 45 GB/s; 30 hops there and back.
    whole = 2 * 255 / 256 * 1e7 / 180e9 + 60e-6
    assert predict.all_reduce(10**7, 256, v5e) == pytest.approx(whole)
    # 4x4: neither is, so half of that.
    assert predict.all_reduce(10**7, 16, v5e) == pytest.approx(2 * 15 / 16 * 1e7 / 90e9 + 12e-6)
    # 4x4x4 of a v4 are three rings.
    assert predict.all_reduce(10**7, 64, v4) == pytest.approx(2 * 63 / 64 * 1e7 / 270e9 + 18e-6)
    # Sixteen slices: each chip sends its 256th over the network, in four exchanges there and four back.
    assert predict.all_reduce(10**7, 4096, v5e) == pytest.approx(whole + 2 * 15 / 16 * 1e7 / 256 / 3.125e9 + 8 * 50e-6)
    assert predict.all_reduce(10**7, 8, h100) == pytest.approx(2 * 7 / 8 * 1e7 / 450e9 + 4e-6)


def test_shapes_of_slices():
    v5e, v4 = specs.of(V5E), specs.of("TPU v4")
    assert v5e and v4
    assert predict.slice_shape(32, v5e) == (4, 8)
    assert predict.slice_shape(4096, v4) == (16, 16, 16)


def test_an_unknown_bandwidth_is_not_guessed():
    l4 = specs.of("NVIDIA L4")
    assert l4
    with pytest.raises(InputError, match="L4: the bandwidth"):
        predict.all_reduce(1, 2, l4)


def test_compute_is_a_line_through_the_points():
    assert model().compute(16) == pytest.approx(0.090) and model().compute(10) == pytest.approx(0.060)
    assert model().compute(1) == pytest.approx(0.015)  # what a step costs before any picture stays
    assert model().best_rate == pytest.approx(16 / 0.090)


def test_a_line_through_nothing_does_not_make_small_batches_free():
    chip = specs.of(V5E)
    assert chip
    steep = predict.Model(chip, (point(4, 0.010), point(8, 0.040)), 1)
    assert steep.compute(2) == pytest.approx(0.005)


def test_nor_large_batches_better_than_any_known():
    assert model().compute(32) == pytest.approx(2 * 0.090)


def test_strong_scaling_ends_with_the_batch():
    rows = predict.strong(model(), [1, 4, 16, 64], 16)
    assert [row["batch_per_chip"] for row in rows] == [16, 4, 1, 0.25]
    assert rows[0]["efficiency"] == pytest.approx(1) and not rows[0]["limit"]
    assert rows[3]["images_per_second"] <= rows[2]["images_per_second"]
    assert rows[2]["limit"].startswith("batch: too few") and rows[3]["limit"] == "batch: 16 pictures for 64 chips"
    assert "stops at 16 chips" in predict.stops(rows) or "stops at 4 chips" in predict.stops(rows)


def test_more_pictures_than_a_chip_does_best_do_not_stop_strong_scaling():
    slow_with_many = dataclasses.replace(model(), points=(point(1, 0.02), point(8, 0.03), point(64, 0.5)))
    rows = predict.strong(slow_with_many, [1, 8, 64], 64)
    assert rows[0]["efficiency"] < 0.8 and not rows[0]["limit"] and not rows[1]["limit"]
    assert rows[2]["limit"].startswith("batch: too few")


def test_weak_scaling_is_flat_until_the_data_end():
    rows = predict.weak(model(pairs=1000), [1, 32, 64], 16)
    assert rows[1]["efficiency"] > 0.99 and not rows[1]["limit"]
    assert rows[2]["limit"] == "batch: 1024 of 1000 pairs"


def test_a_huge_gradient_is_what_stops():
    rows = predict.weak(model(gradient=10**10, pairs=10**9), [1, 256], 16)
    assert rows[1]["limit"] == "all-reduce"


def test_the_command(files, tmp_path, capsys):
    outputs = {"json": tmp_path / "out.json", "plot": tmp_path / "out.png"}
    options = [word for name, path in outputs.items() for word in (f"--{name}", str(path))]
    assert main(["bench", "predict", *files, "--chips", "512", *options]) == 0
    said = capsys.readouterr().out
    assert "an estimate" in said and "strong: stops at" in said and "check, 4 chips" in said
    assert said.startswith("a step; ")  # of points with several batches, so that of the first would mislead
    found = json.loads(outputs["json"].read_text())
    assert found["gradient_bytes"] == 12_000_000 and len(found["rows"]) == 2 * 10
    assert found["check"][0]["sent"] == found["check"][0]["sent_by_model"]
    assert found["points"][0]["bound"] == pytest.approx(1e10 / 819e9)
    assert outputs["plot"].read_bytes().startswith(b"\x89PNG")


def test_bad_arguments(files, capsys):
    for words, says in (([], "nothing to predict from"), ([*files, "--batch", "0"], "--batch 0")):
        assert main(["bench", "predict", *words]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "says"),
    [("{}", "holds no training step"), ("[", "holds no training step"),
     (json.dumps(compiled(1, 4, 0.1)), "bytes of the all-reduce"),
     (json.dumps(compiled(2, 4, 0.1) | {"device_kind": "abacus"}), "nothing is known of the links of abacus")],
)  # fmt: skip
def test_files_that_will_not_do(content, says, tmp_path, capsys):
    (tmp_path / "a.json").write_text(content)
    assert main(["bench", "predict", str(tmp_path / "a.json")]) == 2
    assert says in capsys.readouterr().err


def test_files_of_different_chips_are_not_mixed(files, tmp_path, capsys):
    (tmp_path / "v4.json").write_text(json.dumps(compiled(1, 4, 0.1) | {"device_kind": "TPU v4"}))
    assert main(["bench", "predict", *files, str(tmp_path / "v4.json")]) == 2
    assert "one kind" in capsys.readouterr().err
