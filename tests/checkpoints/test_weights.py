"""Our directory: saved whole or not at all, loaded only if it is what it says."""

import json
import shutil

import jax
import numpy as np
import pytest

import smnet_jax
from smnet_jax.checkpoints import formats, torch_names, trees, weights
from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.errors import InputError


@pytest.fixture(scope="module")
def original(fixtures):
    return weights.read(fixtures / "golden" / "lol_dim8.pth")


@pytest.fixture
def saved(original, tmp_path):
    path = tmp_path / "photos"
    weights.save(path, original.architecture, original.params, original.about)
    return path


def assert_same(params, expected):
    params, expected = trees.flatten(params), trees.flatten(expected)
    assert params.keys() == expected.keys()
    for name, array in params.items():
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == np.float32


def test_round_trip(original, saved):
    result = weights.read(saved)
    assert result.architecture == original.architecture == Architecture("lol", 8, 3)
    assert_same(result.params, original.params)
    assert {path.name for path in saved.iterdir()} == {"params.safetensors", "smnet.json"}
    assert [path.name for path in saved.parent.iterdir()] == ["photos"]
    about = json.loads((saved / "smnet.json").read_text())
    assert about["source"]["name"] == "lol_dim8.pth"
    assert len(about["source"]["sha256"]) == 64
    assert about["parameters"] == 47461


def test_load(saved, fixtures):
    model, variables = smnet_jax.load(saved, implementation="gpu")
    assert (model.variant, model.width, model.blocks, model.implementation) == ("lol", 8, 3, "gpu")
    assert isinstance(variables["params"]["block"]["act"]["slope"], jax.Array)
    other, same = smnet_jax.load(fixtures / "golden" / "lol_dim8.pth", blocks=2, width=8)
    assert other.blocks == 2
    assert_same(variables["params"], same["params"])


def test_model_in_place_of_architecture(saved, tmp_path):
    model, variables = weights.load(saved, blocks=2)
    weights.save(tmp_path / "other", model, variables["params"])
    assert weights.read(tmp_path / "other").architecture.blocks == 2


def test_blocks_travel(original, tmp_path):
    """A .pth cannot say its number of blocks, our safetensors and our directory can."""
    state = torch_names.to_torch({"params": original.params}, original.architecture)
    formats.write_safetensors(state, tmp_path / "two.safetensors", {"blocks": "2"})
    assert weights.read(tmp_path / "two.safetensors").architecture.blocks == 2
    assert weights.read(tmp_path / "two.safetensors", blocks=5).architecture.blocks == 5
    for nonsense in ("0", "-1", "two", "9" * 5000, "65"):
        formats.write_safetensors(state, tmp_path / "bad.safetensors", {"blocks": nonsense})
        with pytest.raises(InputError, match="blocks"):
            weights.read(tmp_path / "bad.safetensors")


def test_bundled(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    assert weights.bundled() == ["photos"]
    assert weights.read("photos").architecture.width == 8
    with pytest.raises(InputError, match=r"nothing: .*bundled weights of this name \(photos\)"):
        weights.read("nothing")


@pytest.mark.parametrize(("name", "value"), [("variant", "fivek"), ("width", 64)])
def test_contradicting_fields(name, value, saved):
    with pytest.raises(InputError, match=f"is of {name}"):
        weights.load(saved, **{name: value})


def test_saving_replaces_weights_and_nothing_else(original, saved, tmp_path):
    changed = jax.tree.map(lambda array: array + 1, original.params)
    weights.save(saved, original.architecture, changed)
    assert_same(weights.read(saved).params, changed)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        weights.save(saved, original.architecture, original.params)
    assert_same(weights.read(saved).params, changed)
    with pytest.raises(InputError, match="is a file"):
        weights.save(saved / "notes.txt", original.architecture, original.params)


@pytest.mark.parametrize("what", ["write_safetensors", "_put_in_place", "rename"])
def test_a_failed_save_keeps_the_old_weights(what, original, saved, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    if what == "write_safetensors":
        monkeypatch.setattr(formats, what, fail)
    elif what == "_put_in_place":
        monkeypatch.setattr(weights, what, fail)
    else:  # the old weights have stepped aside and the new ones do not get in
        rename = weights.Path.rename
        monkeypatch.setattr(
            weights.Path, "rename", lambda a, b: fail() if b == saved and not a.name.endswith(".old") else rename(a, b)
        )
    with pytest.raises(InputError, match="No space left"):
        weights.save(saved, original.architecture, jax.tree.map(lambda array: array + 1, original.params))
    assert_same(weights.read(saved).params, original.params)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_wrong_parameters_are_not_saved(original, tmp_path):
    broken = jax.tree.map(lambda array: array * np.float32("nan"), original.params)
    for architecture, params in ((Architecture("fivek", 8), original.params), (original.architecture, broken)):
        with pytest.raises(InputError):
            weights.save(tmp_path / "photos", architecture, params)
    assert list(tmp_path.iterdir()) == []


def describe(saved, **changes):
    path = saved / "smnet.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"}, {"version": 2}, {"variant": "other"}, {"variant": ["lol"]}, {"variant": {}},
        {"width": 0}, {"width": 16}, {"width": 10**300}, {"width": "8"}, {"width": 8.0}, {"width": True},
        {"blocks": 0}, {"blocks": 10**9}, {"blocks": None}, {"sha256": "0" * 64}, {"sha256": 7}, {"sha256": ""},
    ],
)  # fmt: skip
def test_odd_descriptions(changes, saved):
    describe(saved, **changes)
    with pytest.raises(InputError):
        weights.read(saved)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, '{"width": ' + "9" * 10_000 + "}", "\xff", " " * (2 << 20)]
)
def test_broken_descriptions(text, saved):
    (saved / "smnet.json").write_bytes(text.encode("latin1"))
    with pytest.raises(InputError, match=r"smnet\.json") as caught:
        weights.read(saved)
    assert "\n" not in str(caught.value)


def test_exchanged_arrays(saved):
    arrays = saved / "params.safetensors"
    damaged = bytearray(arrays.read_bytes())
    damaged[-1] ^= 1
    arrays.write_bytes(damaged)
    with pytest.raises(InputError, match="sha256"):
        weights.read(saved)
    arrays.unlink()
    with pytest.raises(InputError, match="is missing"):
        weights.read(saved)
    shutil.rmtree(saved)
    saved.mkdir()
    with pytest.raises(InputError, match="no converted weights"):
        weights.read(saved)


def test_arrays_that_do_not_fit_the_description(saved):
    """The hash holds, the content is another network's."""
    formats.write_safetensors({"a": np.zeros(3, np.float32)}, saved / "params.safetensors")
    describe(saved, sha256=weights.sha256(saved / "params.safetensors"))
    with pytest.raises(InputError, match="arrays differ"):
        weights.read(saved)
