"""The contact sheet and the curves."""

import numpy as np
from PIL import Image

from smnet_jax.training import pictures


def test_contact_sheet_shows_low_output_target_side_by_side():
    triple = tuple(np.full((20, 30, 3), value, np.uint8) for value in (10, 120, 240))
    sheet = pictures.contact_sheet([triple] * 8)  # type: ignore[list-item]
    height, width = sheet.shape[:2]
    assert height == pictures.ROWS * (pictures.TILE + 4)
    assert [int(sheet[50, width * i // 6, 0]) for i in (1, 3, 5)] == [10, 120, 240]


def test_rows_of_different_shapes_are_padded():
    wide, tall = (tuple(np.full((*size, 3), 9, np.uint8) for _ in range(3)) for size in ((10, 40), (40, 10)))
    assert pictures.contact_sheet([wide, tall]).shape[1] == 3 * (4 * pictures.TILE + 4)  # type: ignore[list-item]


def test_curves_are_drawn_also_from_a_run_without_evaluation(tmp_path):
    records: list[dict] = [{"kind": "train", "step": s, "loss": 1 / s, "learning_rate": 1e-3} for s in (1, 2, 3)]
    records.append({"kind": "train", "step": 4, "loss": None, "learning_rate": None})
    pictures.curves(tmp_path / "bare.png", records)
    scores = {"psnr": 20.0, "ssim": 0.8, "input_psnr": 8.0, "input_ssim": 0.2}
    pictures.curves(tmp_path / "full.png", [*records, {"kind": "evaluation", "step": 3, **scores}])
    bare, full = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")) for name in ("bare", "full"))
    assert bare.shape == full.shape and not np.array_equal(bare, full)
