"""The clock of a run, with the time made up."""

import pytest

from smnet_jax.training import timing


@pytest.fixture
def now(monkeypatch):
    """The time, which a test moves."""
    time = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: time[0])
    return time


def spend(clock, now, part, seconds):
    with clock.part(part):
        now[0] += seconds


def test_rates_are_over_the_training_time_alone(now):
    clock = timing.Clock()
    clock.work(batch=10, flops=600, peak=400.0)
    spend(clock, now, "compile", 100.0)
    for _ in range(2):
        spend(clock, now, "input", 1.0)
        spend(clock, now, "step", 1.5)
        clock.step()
    spend(clock, now, "evaluation", 50.0)
    now[0] += 1.0  # what nobody named
    rates = clock.rates()
    assert rates["images_per_second"] == pytest.approx(20 / 6)
    assert rates["step_seconds"] == pytest.approx(3)
    assert rates["input_wait"] == pytest.approx(2 / 6)
    assert rates["model_flops_per_second"] == pytest.approx(200) and rates["mfu"] == pytest.approx(0.5)
    assert rates["seconds_compile"] == 100 and rates["seconds_evaluation"] == 50
    assert rates["seconds_other"] == pytest.approx(1)


def test_each_call_begins_anew_and_the_totals_stay(now):
    clock = timing.Clock()
    clock.work(1, 1, None)
    spend(clock, now, "step", 3.0)
    clock.step()
    assert "mfu" not in clock.rates()
    spend(clock, now, "input", 1.0)
    assert clock.rates()["images_per_second"] == 0
    spend(clock, now, "checkpoint", 4.0)
    assert clock.told() == "8 s: checkpoint 50 %, step 38 %, input 12 %, other 0 %"


def test_a_part_counts_even_if_it_fails(now):
    clock = timing.Clock()
    with pytest.raises(KeyError), clock.part("input"):
        now[0] += 2.0
        raise KeyError
    assert clock.rates()["seconds_input"] == 2
