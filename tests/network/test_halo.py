import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.network.halo import AFTER, ALIGNMENT, BEFORE, HALO, REACH, evenly, inner, spans
from tests.support.networks import network


@pytest.mark.parametrize("tile", [1, 4, 17, 64, 100, 4000])
@pytest.mark.parametrize("length", [4, 56, 60, 64, 132, 400, 1348])
def test_tiles_give_every_pixel_once_and_are_deep_enough(length, tile):
    cut = spans(length, tile)
    assert [pixel for span in cut for pixel in range(span.first, span.last)] == list(range(length))
    assert len({span.size for span in cut}) == 1
    for span in cut:
        assert span.start % ALIGNMENT == 0 and span.size % ALIGNMENT == 0
        assert span.start >= 0 and span.start + span.size <= length
        assert span.start == 0 or span.first - span.start >= BEFORE
        assert span.start + span.size == length or span.start + span.size - span.last >= AFTER
    assert cut[0].size <= max(tile + ALIGNMENT - 1, 4) + HALO


@pytest.mark.parametrize("tile", [4, 64, 100, 4000])
@pytest.mark.parametrize("length", [4, 60, 132, 400, 1348])
def test_inner_tiles_lie_inside_and_hold_what_is_needed(length, tile):
    cut = spans(length, tile)
    inside = inner(cut)
    assert len({span.size for span in inside}) == 1
    for span, within in zip(cut, inside, strict=True):
        assert (within.first, within.last) == (span.first, span.last)
        assert span.start <= within.start and within.start + within.size <= span.start + span.size
        assert within.start == 0 or within.first - within.start >= REACH
        assert within.start + within.size == length or within.start + within.size - within.last >= REACH


def test_tiles_are_even():
    assert [span.size for span in spans(852, 400)] == [452, 452]
    assert [span.size for span in spans(856, 400)] == [320] * 3
    assert [(span.first, span.last) for span in evenly(852, 2)] == [(0, 428), (428, 852)]
    with pytest.raises(ValueError, match="cannot be cut"):
        evenly(56, 2)
    with pytest.raises(ValueError, match="multiple of 4"):
        evenly(61, 1)


@pytest.mark.parametrize("variant", ["lol", "fivek"])
def test_the_halo_is_what_the_network_sees_and_no_more(variant):
    """One pixel of a block's input is made NaN; where the picture then is NaN, it has been seen."""
    model, variables = network(variant)
    rows, middle = 88, 44

    @jax.jit
    def finish(x, low):
        z = model.apply(variables, x, method="local")
        y = model.apply(variables, z, jnp.zeros((x.shape[0], 24)), x, method="recalibrate")
        return y, model.apply(variables, y, low, method="decode")

    x = np.zeros((ALIGNMENT, rows, 4, 8), np.float32)
    for phase in range(ALIGNMENT):
        x[phase, middle + phase] = np.nan
    seen = [np.isnan(np.asarray(result)).any((2, 3)) for result in finish(x, np.zeros((ALIGNMENT, rows, 4, 3)))]
    # How far an interior sees before its first pixel and after its last; interiors begin and end at multiples of four.
    reach = [
        (
            max(p - middle - phase for phase in range(4) for p in range(0, rows, 4) if hit[phase, p]),
            max(middle + phase - p for phase in range(4) for p in range(3, rows, 4) if hit[phase, p]),
        )
        for hit in seen
    ]
    assert reach == [(26, 23), (26, 23)]
    assert [-(-distance // ALIGNMENT) * ALIGNMENT for distance in reach[1]] == [BEFORE, AFTER]
