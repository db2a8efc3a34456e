"""`smnet serve`: a page and an HTTP API on this machine."""

import argparse
import contextlib
import os
import webbrowser

from smnet_jax.errors import InputError
from smnet_jax.host import allocator

SUMMARY = "brighten photos in the browser, or over HTTP, on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8017, metavar="N", help="default: 8017; 0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1, this machine only")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name that others call it by"
    )
    parser.add_argument("--weights", metavar="W", help="bundled name, converted directory, .pth or .safetensors file")
    parser.add_argument("--max-megapixels", type=float, default=100.0, metavar="M", help="refuse larger photos")
    parser.add_argument("--max-megabytes", type=float, default=100.0, metavar="M", help="refuse larger files")
    parser.add_argument("--max-memory", metavar="SIZE", help="4G, 900M: what one photo may use (default: most of it)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    cache = parser.add_mutually_exclusive_group()
    cache.add_argument("--cache-dir", metavar="DIR", help="of compiled programs (default: ~/.cache/smnet-jax)")
    cache.add_argument("--no-cache", action="store_true", help="keep no compiled programs")


def run(args: argparse.Namespace) -> int:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError("serve: starlette and uvicorn are not installed; pip install 'smnet-jax[serve]'") from error
    if not (args.max_megapixels > 0 and args.max_megabytes > 0):
        raise InputError("--max-megapixels, --max-megabytes: must be positive")
    if not 0 <= args.port <= 65535:
        raise InputError(f"--port {args.port}: must lie between 0 and 65535")

    from smnet_jax.cli.enhance import memory_size
    from smnet_jax.serve import server

    max_memory = memory_size(args.max_memory)
    listening = server.listen(args.host, args.port)
    with listening:
        allocator.keep_freed_memory()
        from smnet_jax.checkpoints.weights import DEFAULT
        from smnet_jax.enhancement import buckets, encoded, memory, photo
        from smnet_jax.host import compile_cache
        from smnet_jax.serve.app import Limits, make_app
        from smnet_jax.serve.guard import LOCAL

        if args.no_cache or args.cache_dir or "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            compile_cache.use(None if args.no_cache else args.cache_dir or compile_cache.default_folder())
        weights = photo.open_weights(args.weights)
        shapes = buckets.for_model(weights[0])
        kept = memory.kept_between_pictures(max_memory)
        size = int(args.max_megabytes * (1 << 20))
        limits = Limits(photo_bytes=size, megapixels=args.max_megapixels, held_bytes=4 * size)

        def enhance(data, options):
            how = {"max_memory": max_memory, "max_megapixels": args.max_megapixels}
            try:
                return encoded.encode_enhanced(data, weights, name="this photo", buckets=shapes, **how, **options)
            finally:
                allocator.return_too_much(kept)

        app = make_app(
            enhance,
            weights=args.weights or DEFAULT,
            limits=limits,
            names={*LOCAL, args.host, *args.allow_host},
            any_address=server.is_every_address(args.host),
        )
        shown = f"[{args.host}]" if ":" in args.host else args.host
        address = f"http://{shown}:{listening.getsockname()[1]}/"

        print(f"smnet: photos are brightened at {address} (Ctrl-C ends it)", flush=True)
        if args.open:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it, not an accident
            server.make_server(app).run(sockets=[listening])
    return 0
