"""How far two computations of the same stages are apart."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np

# Backwards through the network, the way a wrong gradient spreads.
GRADIENT_GROUPS = (
    "head",
    "block/fuse",
    "block/gfrm",
    "block/fem_full",
    "block/up_half",
    "block/fem_half",
    "block/up_quarter",
    "block/fem_quarter",
    "block/down_half",
    "block/down_full",
    "block/act",
    "stem",
)


@dataclasses.dataclass(frozen=True)
class Difference:
    """The largest difference at one stage."""

    stage: str
    absolute: float
    """Of any element."""
    relative: float
    """`absolute` over the largest magnitude of the reference: single elements may well be zero."""
    tolerance: float
    """For `relative`."""
    where: str = ""
    """The tensor or the picture that has it, where the stage has several."""

    @property
    def within(self) -> bool:
        """False also for NaN."""
        return self.relative <= self.tolerance


def difference(stage: str, ours: np.ndarray, reference: np.ndarray, tolerance: float, where: str = "") -> Difference:
    """Compare two arrays of one stage. Another shape, NaN and infinity count as infinitely far."""
    if ours.shape != reference.shape or not (np.isfinite(ours).all() and np.isfinite(reference).all()):
        return Difference(stage, math.inf, math.inf, tolerance, where)
    absolute = float(np.max(np.abs(ours.astype(np.float64) - reference)))
    largest = float(np.max(np.abs(reference)))
    relative = absolute / largest if largest else (math.inf if absolute else 0.0)
    return Difference(stage, absolute, relative, tolerance, where)


def stage_by_stage(
    ours: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], tolerance: float, *, prefix: str = ""
) -> list[Difference]:
    """Compare arrays of the same names, in the reference's order. A missing one is infinitely far."""
    nothing = np.empty(0)
    return [difference(prefix + name, ours.get(name, nothing), reference[name], tolerance) for name in reference]


def by_group(
    ours: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], tolerance: float, *, prefix: str
) -> list[Difference]:
    """Compare parameter-shaped arrays, each group's worst tensor standing for it; backwards through the network."""
    groups: list[Difference] = []
    for group in GRADIENT_GROUPS:
        members = [path for path in reference if path.startswith(f"{group}/")]
        each = [difference(prefix + group, ours[path], reference[path], tolerance, path) for path in members]
        if each:
            groups.append(max(each, key=lambda d: d.relative))
    return groups


def worst(several: Iterable[list[Difference]]) -> list[Difference]:
    """Stage by stage the largest of several comparisons, of several pictures say."""
    columns = zip(*several, strict=True)
    return [max(same_stage, key=lambda d: d.relative) for same_stage in columns]


def first_outside(differences: Iterable[Difference]) -> Difference | None:
    """The first stage that leaves its tolerance: where to look for the error."""
    return next((d for d in differences if not d.within), None)


def levels(ours: np.ndarray, reference: np.ndarray) -> int:
    """The largest difference between two pictures once clipped and rounded to 8 bits: what a viewer could see."""
    eight_bits = (np.rint(np.clip(x, 0, 1) * 255).astype(int) for x in (ours, reference))
    return int(np.max(np.abs(np.subtract(*eight_bits))))
