"""A run with traced steps, read back."""

import dataclasses
import json

import jax
import pytest

from smnet_jax import InputError
from smnet_jax.cli import main
from smnet_jax.hardware import trace
from smnet_jax.training import config as configs
from smnet_jax.training import profile
from smnet_jax.training.loop import train
from tests.training.test_loop import CONFIG


@pytest.fixture(autouse=True)
def _for_this_test_only():
    name = "jax_compilation_cache_include_metadata_in_key"
    before = getattr(jax.config, name)
    yield
    jax.config.update(name, before)


def test_the_compile_cache_keeps_programs_of_other_names_apart(tmp_path):
    """The test of a run failed once: the cache had the program of a checkout whose layers had other names."""
    names_in_key = lambda: getattr(jax.config, "jax_compilation_cache_include_metadata_in_key")  # noqa: E731, B009
    assert not names_in_key()
    profile.Profile("", tmp_path)
    assert not names_in_key()
    profile.Profile("1:3", tmp_path)
    assert names_in_key()


def test_steps_as_asked_for():
    assert list(profile.parse("10:13")) == [10, 11, 12] and not profile.parse("")


@pytest.mark.parametrize("steps", ["10", "13:10", "5:5", "a:b", "-1:3", "1:2:3"])
def test_other_words_are_refused(steps):
    with pytest.raises(InputError, match=r"profile .* must be START:STOP"):
        configs.check(configs.Config(profile=steps))


def test_a_run_traces_the_chosen_steps_and_reads_them_back(tmp_path, capfd):
    config = dataclasses.replace(CONFIG, steps=6, evaluate_epochs=100, checkpoint_steps=0, profile="1:3")
    assert train(config, tmp_path).finished
    assert "profile of the steps 1:3" in capfd.readouterr().err
    found = trace.read(tmp_path / "profile")
    assert list(found.steps) == [1, 2] and all(seconds > 0 for seconds in found.steps.values())
    # Computing is most of a step, and is found under the network's layers, in both directions.
    assert 0 < sum(found.operations.values()) < 2 * sum(found.steps.values())
    named = {key for key, seconds in found.parts.items() if seconds > 0}
    assert {("block/fem_full", "forward"), ("block/fem_full", "backward"), ("loss", "forward")} <= named
    assert (
        main(["bench", "trace", str(tmp_path / "profile"), "--json", str(tmp_path / "trace.json"), "--top", "3"]) == 0
    )
    said = capfd.readouterr().out
    assert "backward" in said and len(said.splitlines()) == 10
    assert json.loads((tmp_path / "trace.json").read_text())["steps"].keys() == {"1", "2"}


def test_a_folder_without_a_trace_is_refused(tmp_path, capsys):
    assert main(["bench", "trace", str(tmp_path)]) == 2
    assert "--profile" in capsys.readouterr().err
    (tmp_path / "a.xplane.pb").write_bytes(b"\xff\xff not a trace")
    assert main(["bench", "trace", str(tmp_path)]) == 2
