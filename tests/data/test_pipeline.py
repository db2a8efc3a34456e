"""The promise of the loader: seed and step give the batch, whatever the threads, processes and restarts."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from smnet_jax.data.augmentation import LowGain, LowNoise
from smnet_jax.data.paired import PairedFolder
from smnet_jax.data.pipeline import make_loader
from smnet_jax.errors import InputError


@pytest.fixture
def load():
    """make_loader, closed at the end."""
    loaders = []

    def make(source, **arguments):
        loaders.append(make_loader(source, **{"batch": 5, "crop": (16, 16), "seed": 7, "threads": 0, **arguments}))
        return loaders[-1]

    yield make
    for loader in loaders:
        loader.close()


def take(loader, count):
    return [next(loader) for _ in range(count)]


def assert_equal(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.keys() == other.keys() == {"low", "high", "index"}
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_batches_are_float_pairs_with_their_index(load, coordinates):
    loader = load(coordinates(23))
    for batch in take(loader, 6):
        assert batch["low"].shape == batch["high"].shape == (5, 16, 16, 3)
        assert batch["low"].dtype == batch["high"].dtype == np.float32
        assert batch["index"].dtype == np.int32
        np.testing.assert_allclose(batch["low"], 1 - batch["high"], atol=1e-6)  # the pair never drifts apart
        np.testing.assert_array_equal(np.rint(batch["high"][:, 0, 0, 2] * 255), batch["index"])
        assert loader.names(batch) == [f"{i}.png" for i in batch["index"]]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_thread_count_changes_nothing(load, coordinates, threads):
    transforms = (LowNoise(0.1), LowGain(0.5))
    assert_equal(
        take(load(coordinates(23), threads=threads, transforms=transforms), 12),
        take(load(coordinates(23), threads=0, transforms=transforms), 12),
    )


def test_seed_changes_everything(load, coordinates):
    a, b = (next(load(coordinates(23), seed=seed)) for seed in (1, 2))
    assert (a["index"] != b["index"]).any()
    one = [next(load(coordinates(1), batch=1, seed=seed))["high"] for seed in range(6)]
    assert len({picture.tobytes() for picture in one}) > 3


def test_an_epoch_is_a_permutation_without_its_ragged_end(load, coordinates):
    loader = load(coordinates(23))
    assert loader.steps_per_epoch == 4
    epochs = [np.concatenate([batch["index"] for batch in take(loader, 4)]) for _ in range(40)]
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 20
    assert len({tuple(epoch) for epoch in epochs}) == 40
    dropped = np.array([len(epochs) - sum(i in epoch for epoch in epochs) for i in range(23)])
    assert (dropped < 15).all()  # the 3 dropped of each epoch are not always the same: 5.2 times each on average


def test_recipe_has_48_steps(load, coordinates):
    assert load(coordinates(485), batch=10).steps_per_epoch == 48


def test_crops_differ_from_epoch_to_epoch(load, coordinates):
    loader = load(coordinates(5))
    corners = {batch["high"][batch["index"] == 0].tobytes() for batch in take(loader, 8)}
    assert len(corners) > 6


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("stop", [0, 3, 4, 9])
def test_restart_continues_bit_for_bit(load, coordinates, threads, stop):
    """In the middle of an epoch (4 steps), at its end, and from the start; other threads after the restart."""
    whole = take(load(coordinates(23)), 14)
    first = load(coordinates(23), threads=threads)
    take(first, stop)
    second = load(coordinates(23), threads=2 - threads)
    next(second)  # prefetching has begun when the step is told
    second.seek(stop)
    assert_equal(take(second, 14 - stop), whole[stop:])


def test_seek_goes_both_ways(load, coordinates):
    loader = load(coordinates(23), threads=2)
    whole = take(loader, 10)
    for step in (6, 0, 9, 3):
        assert_equal([next(loader.seek(step))], [whole[step]])


def test_far_steps_are_reached_at_once(load, coordinates):
    assert next(load(coordinates(23)).seek(10_000_000))["index"].shape == (5,)


def test_another_python_process_gives_the_same_batches(load, make_pairs):
    root = make_pairs(7)
    program = (
        "import hashlib, sys\n"
        "from smnet_jax.data.paired import PairedFolder\n"
        "from smnet_jax.data.pipeline import make_loader\n"
        "loader = make_loader(PairedFolder(sys.argv[1]), batch=3, crop=(12, 12), seed=7, threads=2).seek(3)\n"
        "batches = [next(loader) for _ in range(3)]\n"
        "parts = [batch[key].tobytes() for batch in batches for key in ('low', 'high', 'index')]\n"
        "print(hashlib.sha256(b''.join(parts)).hexdigest())\n"
    )
    batches = take(load(PairedFolder(root), batch=3, crop=(12, 12)), 6)[3:]
    parts = [batch[key].tobytes() for batch in batches for key in ("low", "high", "index")]
    run = subprocess.run(
        [sys.executable, "-c", program, root],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "5"},
    )
    assert run.stdout.strip() == hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("processes", [2, 3, 6])
def test_processes_share_the_same_global_batch(load, coordinates, processes):
    single = take(load(coordinates(23), batch=6), 9)
    shares = [
        take(load(coordinates(23), batch=6, process_index=p, process_count=processes, threads=p % 2), 9)
        for p in range(processes)
    ]
    for step, whole in enumerate(single):
        parts = [share[step] for share in shares]
        assert all(len(part["index"]) == 6 // processes for part in parts)
        assert_equal([{key: np.concatenate([part[key] for part in parts]) for key in whole}], [whole])


def test_resize_comes_before_the_crop(load, coordinates):
    """Whole small pictures: both axes halved, nothing cut off."""
    batch = next(load(coordinates(23, 24, 40), crop=(12, 12), resize_to=(12, 12)))
    xs, ys = np.sort(batch["high"][0, 6, :, 0]) * 255, np.sort(batch["high"][0, :, 6, 1]) * 255  # flips undone
    assert xs[0] < 3 and xs[-1] > 36 and ys[0] < 2 and ys[-1] > 21


def test_thinning_comes_before_the_crop(load, coordinates):
    """A crop of 12 then spans 23 pixels of its picture."""
    batch = next(load(coordinates(23, 24, 40), crop=(12, 12), thin=2))
    xs, ys = np.sort(batch["high"][0, 6, :, 0]) * 255, np.sort(batch["high"][0, :, 6, 1]) * 255  # flips undone
    np.testing.assert_allclose(np.diff(xs), 2, atol=1e-3)
    np.testing.assert_allclose(np.diff(ys), 2, atol=1e-3)


def test_a_crop_may_be_a_whole_picture_that_is_no_square(load, coordinates):
    batch = next(load(coordinates(23, 24, 40), crop=(24, 40)))
    assert batch["low"].shape == (5, 24, 40, 3)
    xs, ys = np.sort(batch["high"][0, 6, :, 0]) * 255, np.sort(batch["high"][0, :, 6, 1]) * 255  # flips undone
    np.testing.assert_allclose(xs, np.arange(40), atol=1e-3)
    np.testing.assert_allclose(ys, np.arange(24), atol=1e-3)


def test_transforms_touch_low_only(load, coordinates):
    plain, noisy = (next(load(coordinates(23), transforms=t)) for t in ((), (LowNoise(0.1),)))
    np.testing.assert_array_equal(plain["high"], noisy["high"])
    assert (plain["low"] != noisy["low"]).mean() > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 24}, "batch 24: the data has only 23 pairs"),
        ({"batch": 5, "process_count": 2}, "batch 5: must be a multiple of the 2 processes"),
        ({"batch": 0}, "batch 0"),
        ({"crop": (28, 28)}, "crop 28: 23 of 23 pictures are smaller, the first is 40x24"),
        ({"crop": (24, 44)}, "crop 44x24: 23 of 23 pictures are smaller, the first is 40x24"),
        ({"crop": (16, 16), "thin": 2}, "crop 16: 23 of 23 pictures are smaller, the first is 20x12"),
        ({"crop": (16, 16), "resize_to": (12, 20)}, "crop 16: 1 of 1 pictures are smaller, the first is 20x12"),
    ],
)
def test_what_cannot_work_is_refused_at_once(coordinates, arguments, message):
    with pytest.raises(InputError, match=message):
        make_loader(coordinates(23), **{"batch": 5, "crop": (16, 16), "seed": 0, **arguments})


def test_a_file_that_vanishes_is_named(load, make_pairs):
    root = make_pairs(4)
    loader = load(PairedFolder(root, memory_bytes=0), batch=4, threads=2)
    (root / "train" / "high" / "2.png").unlink()
    with pytest.raises(InputError, match=r"high/2\.png: cannot be decoded \(no such file"):
        take(loader, 2)
