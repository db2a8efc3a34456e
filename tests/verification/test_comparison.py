"""Differences are what they say, and nothing odd passes for small."""

import math

import numpy as np
import pytest

from smnet_jax.verification import comparison


def test_largest_difference_over_largest_magnitude():
    found = comparison.difference("x", np.array([1.0, -3.5, 0.0]), np.array([1.0, -4.0, 0.1]), 0.2)
    assert (found.absolute, found.relative, found.within) == (0.5, 0.125, True)
    assert not comparison.difference("x", np.array([1.0]), np.array([2.0]), 0.2).within


@pytest.mark.parametrize(
    "ours", [np.array([math.nan, 1.0]), np.array([math.inf, 1.0]), np.array([1.0]), np.array([[1.0, 1.0]])]
)
def test_what_cannot_be_compared_is_infinitely_far(ours):
    found = comparison.difference("x", ours, np.array([1.0, 1.0]), 1e9)
    assert found.relative == math.inf and not found.within


def test_zero_reference():
    zero = np.zeros(2)
    assert comparison.difference("x", zero, zero, 0.1).within
    assert not comparison.difference("x", zero + 1e-30, zero, 0.1).within


def test_first_outside_is_first_in_order():
    reference = {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)}
    ours = {"c": 9 * np.ones(2), "b": 1.5 * np.ones(2), "a": np.ones(2)}
    found = comparison.first_outside(comparison.stage_by_stage(ours, reference, 0.1))
    assert found is not None and (found.stage, found.relative) == ("b", 0.5)
    del ours["a"]
    missing = comparison.first_outside(comparison.stage_by_stage(ours, reference, 0.1))
    assert missing is not None and missing.stage == "a"


def test_groups_cover_every_parameter():
    from smnet_jax.checkpoints.architecture import VARIANTS
    from smnet_jax.checkpoints.torch_layout import layout

    for variant in VARIANTS:
        paths = [entry.path for entry in layout(variant, 8) if entry.path]
        assert all(any(path.startswith(f"{group}/") for group in comparison.GRADIENT_GROUPS) for path in paths)


def test_group_is_its_worst_tensor():
    reference = {"stem/a": np.ones(2), "stem/b": np.ones(2)}
    ours = {"stem/a": np.full(2, 1.1), "stem/b": np.full(2, 1.5)}
    (group,) = comparison.by_group(ours, reference, 0.1, prefix="gradient/")
    assert (group.stage, group.where, group.relative) == ("gradient/stem", "stem/b", 0.5)


def test_levels_are_those_of_8_bits():
    assert comparison.levels(np.array([0.5, 7.0]), np.array([0.5 + 2 / 255, 1.0])) == 2
