"""Lay out LOL's training pairs at their own size, with those held out that `lol-small` never saw.

    python tools/hold_out_lol.py LOL/train FOLDER
    smnet train lol_small --workdir runs/lol_small --data FOLDER

LOL/train holds `low` and `high`, 485 pairs at 600x400. FOLDER/test gets links to the held-out pairs, FOLDER/train to
the others, without three that users of LOL report as misaligned. Held out are 24 names, most of them chosen by a hash
before anything was trained, and every pair that shares a target with one of them: 27 pairs. These are the names of
`tools/make_lol_small_data.py`, so that the bundled weights may be a run's start and its scores still be honest.
"""

import hashlib
import sys
from pathlib import Path

MISALIGNED = ("79", "111", "735")
HELD_OUT = ("50", "51", "57", "58")  # two scenes, chosen by hand
BY_HASH = 20
NATIVE = tuple(str(number) for number in range(50, 62))  # not chosen from by hash; they once were a set of their own


def main(source: Path, folder: Path) -> None:
    lows, highs = ({path.stem: path for path in (source / side).iterdir()} for side in ("low", "high"))
    targets = {name: hashlib.blake2b(path.read_bytes()).digest() for name, path in highs.items()}
    order = sorted(highs, key=lambda name: hashlib.blake2b(name.encode()).digest())
    by_hash = [name for name in order if name not in MISALIGNED and name not in NATIVE][:BY_HASH]
    held_out = {targets[name] for name in (*by_hash, *HELD_OUT) if name in targets}
    for name in order:
        if name in MISALIGNED:
            continue
        part = folder / ("test" if targets[name] in held_out else "train")
        for side, paths in (("low", lows), ("high", highs)):
            link = part / side / paths[name].name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(paths[name].resolve())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
