"""The mean of several weights of one architecture, with shares: how `lol-small` was made of two runs.

    python tools/average_weights.py OUT WEIGHTS=SHARE WEIGHTS=SHARE ...

Between weights and what further training made of them the mean is often better than either ("model soups", Wortsman et
al., 2022). Shares are divided by their sum.
"""

import argparse
from pathlib import Path

import jax

from smnet_jax.checkpoints import weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", nargs="+", metavar="WEIGHTS=SHARE")
    args = parser.parse_args()
    sources, shares = zip(*(part.rpartition("=")[::2] for part in args.weights), strict=True)
    loaded = [weights.read(source) for source in sources]
    if any(each.architecture != loaded[0].architecture for each in loaded):
        parser.error("the weights are of different architectures")
    total = sum(map(float, shares))

    def mean(*arrays):
        return sum(float(share) / total * array for share, array in zip(shares, arrays, strict=True)).astype("float32")

    about = {"source": {"name": "tools/average_weights.py; see docs/model-card.md"}}
    weights.save(args.out, loaded[0].architecture, jax.tree.map(mean, *(each.params for each in loaded)), about)


if __name__ == "__main__":
    main()
