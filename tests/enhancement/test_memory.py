import math

import numpy as np
import pytest

from smnet_jax.enhancement import memory
from smnet_jax.enhancement.memory import (
    available_memory,
    bytes_needed,
    choose_tile,
    kept_between_pictures,
    largest_tile,
)
from smnet_jax.enhancement.tiles import programs_for
from smnet_jax.errors import InputError
from smnet_jax.network.halo import spans
from smnet_jax.network.model import SMNet

OPTIMISED = True  # what the compiler plans

GIB = 1 << 30


@pytest.mark.parametrize("variant", ["lol", "fivek"])
def test_the_estimate_covers_what_the_compiler_plans(variant):
    """And is not more than twice of it, or tiles would be smaller than they need to be."""
    model = SMNet(variant, 16)
    shape = (64, 96)
    analysis = programs_for(model, shape, shape).local.compiled.memory_analysis()
    planned = analysis.temp_size_in_bytes + analysis.output_size_in_bytes + 4 * math.prod(shape) * 16
    assert planned < bytes_needed(*shape, model) < 2 * planned


def test_a_small_picture_is_whole_and_a_large_one_is_cut():
    model = SMNet(width=64)
    assert choose_tile(400, 600, model, 2 * GIB) is None
    tile = choose_tile(4000, 6000, model, 4 * GIB)
    assert tile is not None
    rows, columns = tile
    cut_rows, cut_columns = spans(4000, rows), spans(6000, columns)
    needed = bytes_needed(cut_rows[0].size, cut_columns[0].size, model, tile=True)
    assert needed + 24e6 * 48 < 4 * GIB
    computed = len(cut_rows) * len(cut_columns) * cut_rows[0].size * cut_columns[0].size
    assert computed < 1.2 * 24e6


def test_the_plan_leaves_memory_to_files_where_it_cuts(monkeypatch):
    model = SMNet(width=64)
    monkeypatch.setattr(memory, "available_memory", lambda: 20 * GIB)
    assert largest_tile(1000, 2000, model) is None
    assert largest_tile(4000, 6000, model) == choose_tile(4000, 6000, model, 8 * GIB)
    assert largest_tile(4000, 6000, model, 3 * GIB) == choose_tile(4000, 6000, model, 3 * GIB)
    monkeypatch.setattr(memory, "available_memory", lambda: 2.5 * GIB)
    assert largest_tile(4000, 6000, model) == choose_tile(4000, 6000, model, 2 * GIB)
    with pytest.raises(InputError, match="MiB are enough"):
        largest_tile(20000, 20000, model)


def test_the_choice_is_the_best_of_all(height=400, width=640):
    model = SMNet(width=16)
    budget = 600 << 20

    def work(tile):
        rows, columns = spans(height, tile[0]), spans(width, tile[1])
        pixels = rows[0].size * columns[0].size
        fits = bytes_needed(1, 1, model, tile=True) * pixels + 48 * height * width + (500 << 20) <= budget
        return len(rows) * len(columns) * pixels if fits else np.inf

    best = min(work((r, c)) for r in range(32, height + 1, 8) for c in range(32, width + 1, 8))
    assert work(choose_tile(height, width, model, budget)) <= best


def test_too_little_memory_is_told():
    with pytest.raises(InputError, match="MiB are enough"):
        choose_tile(4000, 6000, SMNet(width=64), GIB)


def test_this_machine_has_memory():
    assert 1 << 26 < available_memory() < 1 << 50


def test_a_little_may_be_kept_between_pictures(monkeypatch):
    assert kept_between_pictures(4 * GIB) == GIB // 4
    monkeypatch.setattr(memory, "free_of_machine", lambda: 10 * GIB)
    monkeypatch.setattr(memory, "free_of_container", lambda: 5 * GIB)
    assert kept_between_pictures() == pytest.approx(GIB / 2)
