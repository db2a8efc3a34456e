"""`smnet convert`: a PyTorch checkpoint to a small directory of weights, and back."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smnet_jax.errors import InputError

if TYPE_CHECKING:
    from smnet_jax.checkpoints.weights import Weights

SUMMARY = "turn a PyTorch checkpoint into weights for smnet, or weights back into a checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "SRC may be written by any PyTorch (the stream format from before 1.6, or zip) or be safetensors; with or "
        "without module. in front of the names, bare or under state_dict, model or params. PyTorch is not needed, and "
        "nothing in the file is run."
    )
    parser.add_argument("source", metavar="SRC", help="the checkpoint; with --to-torch: converted or bundled weights")
    parser.add_argument("target", metavar="DST", type=Path, help="the directory to write; with --to-torch: a file")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument(
        "--to-torch",
        action="store_true",
        help="write what the published code loads strictly: DST.pth, or DST.safetensors",
    )
    shape.add_argument(
        "--to-hub", action="store_true", help="make the folder DST ready for upload to the Hugging Face Hub: add a card"
    )
    parser.add_argument(
        "--blocks", type=int, metavar="N", help="how often the network runs its block (default: 3, as published)"
    )
    parser.add_argument(
        "--key", metavar="NAME", help="the state dict to take where there are several (default: the averaged one)"
    )
    parser.add_argument("--json", action="store_true", help="print the description as JSON instead of words")


def run(args: argparse.Namespace) -> int:
    """Read, check, write, and say what was found."""
    from smnet_jax.checkpoints import hub, weights

    if args.blocks is not None and not 1 <= args.blocks <= weights.MAX_BLOCKS:
        raise InputError(f"--blocks {args.blocks}: must lie between 1 and {weights.MAX_BLOCKS}")
    if not args.to_torch and args.target.suffix in (".pth", ".pt", ".safetensors"):
        raise InputError(f"{args.target}: weights are written as a folder; name one, or write a file with --to-torch")
    if args.to_hub and args.target.is_dir() and any(args.target.iterdir()):
        raise InputError(f"{args.target}: is not empty; --to-hub writes a new folder, so that no edited card is lost")
    found = weights.read(args.source, blocks=args.blocks, key=args.key)
    if args.to_torch:
        about = _write_torch(found, args.target)
    else:
        about = weights.save(args.target, found.architecture, found.params, found.about)
    if args.to_hub:
        hub.write_card(args.target, about)
    if args.json:
        print(json.dumps(about, indent=1))
    else:
        _print(args.source, args.target, about)
    return 0


def _write_torch(found: "Weights", target: Path) -> dict[str, Any]:
    from smnet_jax.checkpoints import formats, torch_layout, torch_names, trees, weights
    from smnet_jax.checkpoints.architecture import BLOCKS

    state = torch_names.to_torch({"params": found.params}, found.architecture)
    blocks = found.architecture.blocks
    if target.is_dir() or target.suffix not in (".pth", ".pt", ".safetensors"):
        raise InputError(f"{target}: --to-torch writes one file; let its name end in .pth or .safetensors")
    if target.suffix == ".safetensors":
        formats.write_safetensors(state, target, {"variant": found.architecture.variant, "blocks": str(blocks)})
    elif blocks != BLOCKS:
        raise InputError(
            f"{target}: the published code always runs {BLOCKS} blocks, these weights are of {blocks}, "
            "which a .pth cannot say; write .safetensors"
        )
    else:
        formats.write_state_dict(state, target)
    return {
        **vars(found.architecture),
        "parameters": sum(array.size for array in trees.flatten(found.params).values()),
        "tensors": len(state),
        "sha256": weights.sha256(target),
        "filled": [entry.name for entry in torch_layout.layout(found.architecture.variant, found.architecture.width)
                   if not entry.path],
    }  # fmt: skip


def _print(source: str, target: Path, about: dict[str, Any]) -> None:
    kind = f" ({about['source']['format']})" if "format" in about.get("source", {}) else ""
    known = f" ({about['blocks_known']})" if "blocks_known" in about else ""
    print(f"{source}{kind} -> {target}")
    print(f"recognised  variant {about['variant']}, width {about['width']}, {about['blocks']} blocks{known}")
    print(f"parameters  {about['parameters']:,}")
    for title, key in (("note", "notes"), ("dropped", "dropped"), ("unused", "unused"), ("filled", "filled")):
        meaning = {"dropped": " (the constant blur, checked)", "filled": " (nothing reads it)"}.get(key, "")
        for line in about.get(key, []):
            print(f"{title:10}  {line}{meaning}")
    print(f"sha256      {about['sha256']}")
