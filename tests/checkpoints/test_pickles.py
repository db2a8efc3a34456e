"""The pickle reader on honest files; the hostile ones are in test_hostile_checkpoints."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from smnet_jax.checkpoints import pickles


def load(value, protocol=2):
    return pickles.load(io.BytesIO(pickle.dumps(value, protocol)))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_containers(protocol):
    value = {"a": [1, -2, 2**40, 0.5, None, True, ("x", (), {"ö": b"bytes"})], 7: {}, "shared": ["twice"] * 3}
    assert load(value, protocol) == value


@pytest.mark.parametrize("protocol", [2, 4])
def test_ordered_dicts_keep_their_order_and_lose_their_attributes(protocol):
    value = OrderedDict(b=1, a=2)
    value._metadata = OrderedDict(version=1)  # type: ignore[attr-defined]
    result = load(value, protocol)
    assert type(result) is dict
    assert list(result.items()) == [("b", 1), ("a", 2)]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "i8", "u1", "?"])
def test_numpy_arrays(protocol, dtype, rng):
    array = (rng.normal(size=(3, 4, 2)) * 9).astype(dtype)
    for value in (array, np.asfortranarray(array), array[:, 1:], array[:0], array[0, 0, 0]):
        result = load({"x": value}, protocol)["x"].numpy()
        assert result.dtype == value.dtype
        np.testing.assert_array_equal(result, value)


@pytest.mark.parametrize("value", [np.array([None]), np.array(["text"]), np.array([1j]), {1, 2}, print, 2**60, 1.5])
def test_what_is_no_number_in_a_plain_container_is_refused(value):
    with pytest.raises(pickles.Refused):
        load({value: 1} if isinstance(value, int | float) else value)


def test_a_length_that_contradicts_the_shape_is_refused():
    with pytest.raises(pickles.Refused, match="bytes"):
        pickles.Array((2, 2), np.dtype("f4"), b"1234").numpy()


@pytest.mark.parametrize("content", [b"\x80\x02}(K\x01NK\x01Nu.", b"\x80\x02}K\x01NsK\x01Ns."])
def test_one_key_twice_is_refused(content):
    with pytest.raises(pickles.Refused, match="twice"):
        pickles.load(io.BytesIO(content))


def test_the_stream_is_left_behind_the_pickle():
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps(2) + b"rest")
    assert [pickles.load(stream), pickles.load(stream), stream.read()] == [1, 2, b"rest"]
