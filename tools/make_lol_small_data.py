"""Lay out the pairs that `lol-small` was trained on, from LOL at 256x256 and a few native pictures of it.

    python tools/make_lol_small_data.py SHRUNK NATIVE FOLDER
    smnet train lol_small --workdir runs/lol_small --data "FOLDER/main,FOLDER/native*8"

SHRUNK/{low,high} holds LOL-v1's 485 training pairs at 256x256, NATIVE/{low,high} the pairs 50 to 61 at 600x400. Whoever
has LOL itself can give `--data` that folder alone, with a `test` folder in it.

FOLDER/main/train gets the shrunk pairs, stretched back to LOL's aspect (384x256); FOLDER/main/test the held-out pairs:
native ones of two scenes that nothing else shows, and 20 shrunk ones; FOLDER/native/train the other native pairs.
No held-out target occurs in training, under any name.
"""

import hashlib
import sys
from pathlib import Path

from PIL import Image

HELD_OUT_NATIVE = ("50", "51", "57", "58")
HELD_OUT_SHRUNK = 20
MISALIGNED = ("79", "111", "735")  # reported by users of LOL


def main(shrunk: Path, native: Path, folder: Path) -> None:
    targets = {path.stem: _hash(path) for path in (shrunk / "high").glob("*.png")}
    order = sorted(targets, key=lambda name: hashlib.blake2b(name.encode()).digest())
    natives = {path.stem for path in (native / "high").glob("*.png")}
    chosen = [name for name in order if name not in natives and name not in MISALIGNED][:HELD_OUT_SHRUNK]
    held = {targets[name] for name in (*chosen, *HELD_OUT_NATIVE)}
    for kind in ("low", "high"):
        for name, target in targets.items():
            picture = Image.open(shrunk / kind / f"{name}.png").convert("RGB")
            if name in chosen:
                _save(picture, folder / "main" / "test" / kind / f"{name}.png")
            elif target not in held and name not in MISALIGNED and name not in natives:
                stretched = picture.resize((384, 256), Image.Resampling.BICUBIC)
                _save(stretched, folder / "main" / "train" / kind / f"{name}.png")
        for name in natives:
            where = folder / "main" / "test" if name in HELD_OUT_NATIVE else folder / "native" / "train"
            _save(Image.open(native / kind / f"{name}.png").convert("RGB"), where / kind / f"{name}.png")


def _hash(path: Path) -> str:
    return hashlib.blake2b(Image.open(path).convert("RGB").tobytes(), digest_size=16).hexdigest()


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
