"""Brighten a bucket or a folder of any size with Ray Data, on one machine or many.

pip install 'smnet-jax[ray]'
python examples/enhance_with_ray.py PHOTOS OUT [--actors N] [--threads N] [--weights W]

PHOTOS and OUT are folders or URIs that Arrow reads and writes (s3://, gs://, hdfs://). Results keep their place below
PHOTOS, their format and metadata. OUT/manifest-TIME.jsonl has a row for each photo of this run; one that cannot be read
is a row with its error, and the job goes on. Given again, the job does what has no result yet. Each actor computes with
its own threads, or has an accelerator of its own where the cluster has some.
"""

import argparse
import json
import os
import posixpath
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told of the photos

import ray
from pyarrow import fs


class Enhancer:
    """One actor: rows of `path`, below PHOTOS, to rows of the manifest."""

    def __init__(self, photos: str, out: str, weights: str | None, threads: int):
        # Before JAX starts: as many threads as this actor has cores, or all actors would fight for all of them.
        os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"] = str(threads)
        import smnet_jax

        self.photos, self.out = place(photos), place(out)
        self.options: dict[str, Any] = {} if weights is None else {"weights": smnet_jax.load(weights)}

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        result, error = "", ""
        try:
            result = self.enhance(row["path"])
        except Exception as problem:  # whatever is wrong with one photo must not end the job
            error = " ".join(f"{type(problem).__name__}: {problem}".split())[:500]
        return {"path": row["path"], "result": result, "error": error, "seconds": time.perf_counter() - started}

    def enhance(self, path: str) -> str:
        from smnet_jax.enhancement.encoded import encode_enhanced

        (filesystem, base), (out, target) = self.photos, self.out
        with filesystem.open_input_stream(posixpath.join(base, path), compression=None) as stream:
            data = stream.read()
        encoded = encode_enhanced(data, name=path, **self.options)
        same = posixpath.splitext(path)[1].lower() in (
            encoded.suffix,
            {".jpg": ".jpeg", ".tiff": ".tif"}.get(encoded.suffix),
        )
        result = path if same else path + encoded.suffix  # photo.heic.jpg
        whole = posixpath.join(target, result)
        out.create_dir(posixpath.dirname(whole), recursive=True)
        if isinstance(out, fs.LocalFileSystem):  # buckets show an object only when it is whole
            partial = posixpath.join(posixpath.dirname(whole), f".{posixpath.basename(whole)}.part")
            Path(partial).write_bytes(encoded.data)
            Path(partial).replace(whole)
        else:
            with out.open_output_stream(whole, compression=None) as stream:
                stream.write(encoded.data)
        return result


def place(where: str) -> tuple[fs.FileSystem, str]:
    """The file system of a folder or URI, and the path in it."""
    return fs.FileSystem.from_uri(where if "://" in where else Path(where).absolute().as_posix())


def files_below(where: str) -> list[str]:
    """Paths below a folder, none where it does not exist; names that begin with a dot are nobody's photos."""
    filesystem, base = place(where)
    found = filesystem.get_file_info(fs.FileSelector(base, recursive=True, allow_not_found=True))
    paths = (posixpath.relpath(info.path, base) for info in found if info.type == fs.FileType.File)
    return sorted(path for path in paths if not posixpath.basename(path).startswith("."))


def main() -> int:
    from smnet_jax.data.decoding import SUFFIXES

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("out")
    parser.add_argument("--actors", type=int, help="default: one an accelerator, or as many as the cores hold")
    parser.add_argument("--threads", type=int, default=2, help="cores of each actor (default: 2)")
    parser.add_argument("--weights", help="what `smnet enhance --weights` takes, seen by every machine")
    args = parser.parse_args()

    done = set(files_below(args.out))
    done |= {posixpath.splitext(path)[0] for path in done}  # of photo.heic.jpg
    photos = [path for path in files_below(args.photos) if posixpath.splitext(path)[1].lower() in SUFFIXES]
    todo = [path for path in photos if path not in done]
    print(f"{len(photos)} photos, {len(photos) - len(todo)} have a result")
    if not todo:
        return 0

    ray.init()
    accelerators = int(ray.cluster_resources().get("GPU", 0))
    cores = int(ray.cluster_resources().get("CPU", 1))
    threads = min(args.threads, cores)
    actors = min(args.actors or accelerators or max(1, cores // threads), len(todo))
    rows = ray.data.from_items([{"path": path} for path in todo], override_num_blocks=min(len(todo), 20 * actors)).map(
        Enhancer,
        fn_constructor_args=(args.photos, args.out, args.weights, threads),
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=0 if accelerators else threads,
        num_gpus=1 if accelerators else None,
    )
    filesystem, base = place(args.out)
    filesystem.create_dir(base, recursive=True)
    started, broken = time.perf_counter(), 0
    manifest = posixpath.join(base, time.strftime("manifest-%Y%m%dT%H%M%S.jsonl"))
    with filesystem.open_output_stream(manifest) as stream:
        for row in rows.iter_rows():
            stream.write((json.dumps(row) + "\n").encode())
            broken += bool(row["error"])
    hours = (time.perf_counter() - started) / 3600
    print(f"{len(todo) - broken} enhanced, {broken} broken, {len(todo) / hours:.0f} photos an hour; {manifest}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
