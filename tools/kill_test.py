"""Kill a training run at random moments, again and again, and compare its end with an undisturbed run's.

python tools/kill_test.py --kills 50

Checkpoints are written at every second step and only one is kept, so that most kills hit a save or a deletion. The
parameters of the end must be equal bit for bit.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = {
    "blocks": 1, "crop": 12, "batch": 4, "data": "dummy:8", "holdout": 0.25, "log-steps": 1, "evaluate-epochs": 20,
    "evaluate-pairs": 1, "checkpoint-minutes": 0, "schedule": "cosine", "ema": 0.9,
}  # fmt: skip


def command(workdir: Path, steps: int, checkpoint_steps: int) -> list[str]:
    """The same run for both: only its interruptions differ."""
    settings = {**SETTINGS, "steps": steps, "checkpoint-steps": checkpoint_steps, "keep": 1, "workdir": workdir}
    options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    return [sys.executable, "-m", "smnet_jax.cli", "train", "smoke", *options]


def run_killed(workdir: Path, steps: int, kills: int, rng: random.Random, checkpoint_steps: int = 2) -> list[str]:
    """Run to the end, killed `kills` times on the way; what the processes said, one entry each."""
    said = []
    for turn in range(kills + 1):
        process = subprocess.Popen(
            command(workdir, steps, checkpoint_steps), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if turn < kills:
            before = _last_step(workdir)
            # Wait until it has trained beyond the last kill (compiling takes most of the time), then a random while.
            while process.poll() is None and _last_step(workdir) <= before:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.6))
            process.kill()
        said.append(process.communicate()[1])
        if turn < kills and process.returncode == 0:
            raise SystemExit(f"finished after {turn} kills: give it more --steps")
        if process.returncode not in (0, -9):
            raise SystemExit(f"a continued run failed (kill {turn}):\n{said[-1]}")
    return said


def _last_step(workdir: Path) -> int:
    """The last step in the log, 0 before there is one."""
    try:
        *_, last = (workdir / "metrics.jsonl").read_text().splitlines()
        return json.loads(last)["step"]
    except (FileNotFoundError, ValueError):  # none yet, empty, or a line half written
        return 0


def main() -> int:
    """0 when the ends are identical."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{folder}/cache")
        killed, whole = Path(folder) / "killed", Path(folder) / "whole"
        said = run_killed(killed, args.steps, args.kills, random.Random(args.seed))
        subprocess.run(command(whole, args.steps, args.steps), check=True, stderr=subprocess.DEVNULL)
        same = all(
            (killed / name).read_bytes() == (whole / name).read_bytes() for name in ("weights/params.safetensors",)
        )
        unreadable = sum(text.count("checkpoint passed over") for text in said)
    print(f"{args.kills} kills, {unreadable} checkpoints left incomplete by them; end identical: {same}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
