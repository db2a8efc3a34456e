"""`python -m smnet_jax.data.tfds_prepare {lol,fivek} PICTURES DATA_DIR`: folders to array_record files, once."""

import argparse
import sys
from collections.abc import Sequence

from smnet_jax.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare and print where the data set lies; 2 for input that cannot be used or a missing extra."""
    parser = argparse.ArgumentParser(prog="python -m smnet_jax.data.tfds_prepare", description=__doc__)
    parser.add_argument("name", choices=["fivek", "lol"])
    parser.add_argument("pictures", help="lol: the unpacked archive; fivek: a folder with low and high")
    parser.add_argument("data_dir", help="folder to write to, then: smnet train ... --data tfds:DATA_DIR/NAME")
    args = parser.parse_args(arguments)
    try:
        from smnet_jax.data.tfds_records import Lol, MitAdobeFivek, prepare  # needs the extra `tfds`

        builder_class = {"fivek": MitAdobeFivek, "lol": Lol}[args.name]
        builder = prepare(builder_class, args.pictures, args.data_dir, progress=True)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{builder.data_path}: " + ", ".join(f"{n} {s.num_examples} pairs" for n, s in builder.info.splits.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
