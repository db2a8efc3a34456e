import types

import numpy as np
import pytest

from smnet_jax.enhancement.scratch import Features, SpillCache
from smnet_jax.network.halo import spans


@pytest.mark.parametrize("tile", [(40, 40), (8, 400), (400, 20)])
def test_values_are_replaced_while_their_neighbours_are_read(tile, tmp_path):
    """Each sweep adds 1 to every pixel; a tile that met a new value too early would add 2."""
    rows, columns = spans(300, tile[0]), spans(120, tile[1])
    features = Features(300, 120, 2, np.float32, rows[0].size, tmp_path)
    start = np.random.default_rng(0).random((300, 120, 2), np.float32)
    features.write(slice(0, 300), slice(0, 120), start)
    for sweep in range(1, 5):
        features.turn()
        for row in features.order(rows):
            for column in columns:
                tile = features.read(row.with_halo, column.with_halo)
                assert np.abs(tile - start[row.with_halo, column.with_halo] - (sweep - 1)).max() < 1e-5
                features.write(row.interior, column.interior, tile[row.interior_in_tile, column.interior_in_tile] + 1)
    features.turn()
    assert np.abs(features.read(slice(0, 300), slice(0, 120)) - start - 4).max() < 1e-5


def test_the_file_has_one_tile_more_than_the_picture(tmp_path):
    assert Features(300, 120, 2, np.float32, 96, tmp_path).values.shape == (396, 120, 2)
    assert list(tmp_path.iterdir()) == []


def test_kept_arrays_come_back_until_they_are_void(tmp_path):
    kept = SpillCache(3, (4, 5), np.float32, tmp_path)
    for number in (0, 2):
        kept.offer(number, np.full((4, 5), number, np.float32), seconds=1)
    assert [None if (found := kept.get(number)) is None else found.max() for number in range(3)] == [0, None, 2]
    assert list(tmp_path.iterdir()) == []
    kept.forget()
    assert kept.get(0) is None
    kept.close()


def test_what_is_computed_faster_than_written_is_not_kept(tmp_path):
    kept = SpillCache(3, (4, 5), np.float32, tmp_path)
    for number in range(3):
        kept.offer(number, np.zeros((4, 5), np.float32), seconds=0)
    assert kept.numbers == {0}
    kept.close()


def test_no_more_is_kept_than_the_disk_has_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr("smnet_jax.enhancement.scratch.shutil.disk_usage", lambda _: types.SimpleNamespace(free=200))
    kept = SpillCache(3, (4, 5), np.float32, tmp_path)
    for number in range(3):
        kept.offer(number, np.zeros((4, 5), np.float32), seconds=1)
    assert kept.numbers == {0, 1}
    kept.close()
    assert SpillCache(3, (8, 8), np.float32, tmp_path).get(0) is None
