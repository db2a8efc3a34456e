import jax
import pytest

from smnet_jax.hardware import specs


def test_kinds_as_jax_names_them():
    assert specs.flops("TPU v5 lite", "bfloat16") == 197e12
    assert specs.flops("NVIDIA H100 80GB HBM3", "float32") == pytest.approx(494.7e12)
    assert specs.of("TPU v5") is not specs.of("TPU v5 lite")


def test_what_is_not_known_is_none_and_shown_so():
    kind = jax.devices("cpu")[0].device_kind
    assert specs.of(kind) is None and specs.flops(kind, "float32") is None
    assert specs.flops("Tesla T4", "bfloat16") is None
    assert specs.mfu(1e12, 1.0, None) is None and specs.show(None) == "n/a"


def test_utilisation():
    assert specs.mfu(2 * 197e12, 4.0, specs.flops("TPU v5e", "bfloat16"), devices=2) == pytest.approx(0.25)
    assert specs.show(0.25) == "25.0 %"


def test_highest_precision_costs_passes():
    by_default, highest = (specs.flops("TPU v4", "float32", p) for p in (None, "highest"))
    assert by_default and highest and by_default == pytest.approx(6 * highest)


@pytest.mark.parametrize("kind", ["TPU v4", "TPU v5 lite", "TPU v5", "TPU v6 lite"])
def test_clocks_make_a_whole_number_of_products_a_cycle(kind):
    found = specs.of(kind)
    assert found and found.clock
    units = found.flops["bfloat16"] / found.clock / (2 * 128 * 128)
    assert units == pytest.approx(round(units), rel=1e-3)
