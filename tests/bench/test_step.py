import json

import pytest

from smnet_jax.bench import step, trainers
from smnet_jax.cli import main

SMALL = ["bench", "step", "--width", "4", "--crop", "12", "--batch", "2", "--loss", "l1_ssim", "--repeats", "1"]


def measured(names, tmp_path, *more):
    pytest.importorskip("torch")
    numbers = tmp_path / "numbers.json"
    assert main([*SMALL, "--only", *names, *more, "--json", str(numbers)]) == 0
    found = json.loads(numbers.read_text())
    assert list(found["rows"]) == names and found["what"]["width"] == 4
    return found, [found["rows"][name]["first_losses"] for name in names]


@pytest.mark.slow
def test_numbers_and_table(tmp_path, capsys):
    found, (ours, eager, _) = measured([trainers.OURS, *trainers.TORCH[:2]], tmp_path, "--parts")
    # The second loss is taken after Adam's first step: both frameworks took the same one.
    assert ours == pytest.approx(eager, rel=1e-4) and ours[0] != ours[1]
    assert all(low <= row["seconds"] <= high for row in found["rows"].values() for low, high in [row["quartiles"]])
    assert set(found["rows"][trainers.OURS]["parts"]) == {"forward", "forward and loss", "Adam"}
    assert "times as fast as PyTorch eager" in capsys.readouterr().out


@pytest.mark.slow
def test_bfloat16_is_what_is_timed(tmp_path):
    _, (eager, *rounded) = measured([trainers.TORCH[0], trainers.OURS_BFLOAT16, trainers.BFLOAT16[0]], tmp_path)
    for losses in rounded:
        assert losses == pytest.approx(eager, rel=3e-2) and losses != pytest.approx(eager, rel=1e-6)


def test_ratios_take_our_best():
    rows = {trainers.OURS: {"seconds": 3.0}, trainers.SHARED: {"seconds": 2.0}, "PyTorch eager": {"seconds": 5.0}}
    assert step.ratios({"rows": rows}) == {"PyTorch eager": 2.5}
    assert step.ratios({"rows": {"PyTorch eager": {"seconds": 5.0}}}) == {}
    rows |= {trainers.OURS_BFLOAT16: {"seconds": 1.0}, trainers.BFLOAT16[1]: {"seconds": 3.0}}
    assert step.ratios({"rows": rows}) == {"PyTorch eager": 2.5, trainers.BFLOAT16[1]: 3.0}


def test_another_training_is_not_timed(monkeypatch):
    losses = iter([1.0, 0.9, 1.0, 0.8])
    monkeypatch.setattr(trainers, "build", lambda *_: trainers.Trainer(lambda: next(losses), {}))
    case = trainers.make_case("lol", 4, 1, 12, "l1_ssim")
    with pytest.raises(RuntimeError, match="PyTorch eager trains something else"):
        step.measure(case, 1, (trainers.OURS, "PyTorch eager"))


def test_what_cannot_be_shared_is_named():
    case = trainers.make_case("lol", 4, 3, 12, "l1_ssim")
    with pytest.raises(trainers.Missing, match="3 pictures do not divide over 2"):
        trainers.build(trainers.SHARED, case, cores=2)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["--repeats", "0"], "--repeats"), (["--width", "6"], "--width"), (["--crop", "10"], "--crop"),
     (["--threads", "999"], "--threads")],
)  # fmt: skip
def test_bad_arguments(arguments, says, capsys):
    assert main([*SMALL, *arguments]) == 2
    assert says in capsys.readouterr().err
