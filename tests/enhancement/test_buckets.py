import random

import numpy as np
import pytest

from smnet_jax.enhancement import buckets, memory, photo
from smnet_jax.enhancement.buckets import Buckets
from smnet_jax.enhancement.plan import Plan, decide
from smnet_jax.exposure import ExposureNet
from smnet_jax.images import pictures
from tests.support import tolerances
from tests.support.networks import network

SIXTEEN = [(304 + 4 * i, 400 + 8 * i) for i in range(16)]


def test_sizes_announced_together_share_a_shape():
    some = Buckets(worth=1_000_000)
    some.announce(SIXTEEN)
    assert {some.shape(size) for size in SIXTEEN} == {SIXTEEN[-1]}


def test_sizes_far_apart_do_not_and_one_size_has_its_own():
    some = Buckets(worth=1_000_000)
    some.announce([(300, 400), (304, 400), (3000, 4000), (4000, 3000)])
    assert some.shape((300, 400)) == some.shape((304, 400)) == (304, 400)
    assert some.shape((3000, 4000)) is None and some.shape((4000, 3000)) is None
    alone = Buckets(worth=1_000_000)
    alone.announce([(300, 400)] * 50)
    assert alone.shape((300, 400)) is None


def test_many_pictures_of_a_size_are_worth_a_program():
    some = Buckets(worth=1_000_000)
    some.announce([(300, 400)] * 2 + [(600, 800)] * 2)
    assert some.shape((300, 400)) == (600, 800)
    many = Buckets(worth=1_000_000)
    many.announce([(300, 400)] * 20 + [(600, 800)] * 20)
    assert many.shape((300, 400)) is None


def test_what_is_announced_later_takes_the_room_there_is():
    some = Buckets(worth=1_000_000)
    some.announce(SIXTEEN)
    some.announce([(308, 444), (312, 440)])
    assert some.shape((308, 444)) == some.shape((312, 440)) == SIXTEEN[-1]


def test_unannounced_sizes_get_few_programs():
    """The first its own: a single photo is computed as ever. Then with room, so that growing sizes end somewhere."""
    for sizes, most in ((SIXTEEN, 8), (random.Random(0).sample(SIXTEEN, 16), 4), (SIXTEEN[::-1], 2)):
        some = Buckets(worth=1_000_000)
        shapes = {size: some.shape(size) for size in sizes}
        assert shapes[sizes[0]] is None and 1 < len(set(shapes.values())) <= most
    for size, shape in shapes.items():
        if shape is not None:
            assert shape[0] >= size[0] and shape[1] >= size[1] and shape[0] * shape[1] < 1.7 * size[0] * size[1]


def test_a_size_that_wastes_much_gets_a_program_at_last():
    some = Buckets(worth=100_000)
    some.shape((8, 8))
    some.shape((300, 400))
    large = some.shape((300, 400))
    found = [some.shape((100, 400)) for _ in range(4)]
    assert large in found and found[-1] != large and found[-1] == some.shape((100, 400))


@pytest.mark.parametrize("length", [4, 8, 12, 60, 64, 68, 100, 364, 4000])
def test_room_is_an_eighth_at_most(length):
    some = Buckets(worth=1_000_000)
    some.shape((8, 12))  # the first of all has its own
    shape = some.shape((length, 16))
    assert shape is not None and shape[0] % 4 == 0 and length <= shape[0] < length + max(4, length / 8)


def test_who_has_no_use_for_them_gets_none():
    model, _ = network("lol")
    assert buckets.for_model(ExposureNet()) is None
    assert buckets.for_model(model.clone(implementation="tpu")) is None
    assert buckets.for_model(model) is not None


def test_a_folders_pictures_come_out_as_alone_by_one_program(compilations):
    model, variables = network("lol")
    model = model.clone(blocks=1)
    sizes = [(29, 40), (40, 28)]
    some = Buckets(worth=1_000_000)
    some.announce([(height + -height % 4, width + -width % 4) for height, width in sizes])
    lows = [np.random.default_rng(i).random((*size, 3), np.float32) for i, size in enumerate(sizes)]
    found = []
    for low in lows:
        picture, plan = pictures.Picture(low), decide(model, low.shape, buckets=some)
        assert plan == Plan(None, (40, 40))
        photo.prepare(model, variables, picture, plan)
        found.append(photo.enhance_picture(model, variables, picture, plan).rgb)
    assert len(compilations) == 1
    for low, result in zip(lows, found, strict=True):
        alone = photo.enhance_picture(model, variables, pictures.Picture(low), decide(model, low.shape)).rgb
        assert result.shape == alone.shape and np.abs(result - alone).max() < tolerances.forward("lol", 8)


def test_a_shape_that_memory_does_not_hold_is_not_used(monkeypatch):
    model, _ = network("lol")
    some = Buckets(worth=10**9)
    some.announce([(200, 200), (400, 400)])
    monkeypatch.setattr(memory, "largest_tile", lambda h, w, *_: (64, 64) if h * w > 50_000 else None)
    assert decide(model, (200, 200, 3), buckets=some) == Plan(None)
