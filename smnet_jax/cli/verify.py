"""`smnet verify`: stage by stage, is this the network that PyTorch computes?"""

import argparse
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smnet_jax.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from smnet_jax.checkpoints.weights import Weights
    from smnet_jax.verification.check import Reference, TrainingReference

SUMMARY = "compare this network with PyTorch's stage by stage, or an exported file with this network"

EXPORTED = (".onnx", ".stablehlo")
CROPS, CROP = 8, 16  # pictures and pixels for the gradients


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Exit code 0: everything within tolerance; 1: not; 2: unusable input. Without PyTorch, or without SRC, the "
        "comparison is with numbers of small networks that PyTorch computed and that ship with smnet."
    )
    parser.add_argument(
        "source",
        metavar="SRC",
        nargs="?",
        help="weights: a .pth or .safetensors file, converted directory or bundled name; or an exported file",
    )
    parser.add_argument("--weights", metavar="W", help="for an exported file: what it was made from")
    parser.add_argument("--images", metavar="DIR", type=Path, help="pictures to compare on (default: smnet's samples)")
    parser.add_argument(
        "--size", default="96x128", metavar="HxW", help="centre to cut from each, or: whole (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=0, metavar="N", help="also train N steps in both frameworks")
    parser.add_argument("--no-training", action="store_true", help="leave out loss, gradients and update")
    parser.add_argument("--stored", action="store_true", help="use the numbers that ship with smnet, even with PyTorch")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every number as JSON")
    parser.add_argument("--heatmap", metavar="FILE.png", type=Path, help="picture of where the worst output differs")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="with --steps: plot of the drift")


def run(args: argparse.Namespace) -> int:
    size = _checked(args)
    if args.source and Path(args.source).suffix.lower() in EXPORTED:
        return _verify_exported(args)
    if args.weights:
        raise InputError("--weights: says what an exported file was made from; name weights as SRC")

    from smnet_jax.checkpoints import weights

    found = weights.read(args.source) if args.source else None
    with_torch = importlib.util.find_spec("torch") is not None
    if args.steps and not (with_torch and found):
        raise InputError("--steps: needs SRC, and PyTorch to train beside; pip install 'smnet-jax[torch,train]'")

    from rich.console import Console

    from smnet_jax.verification import report

    say = Console(stderr=True)
    out = report.console()
    if found and with_torch and not args.stored:
        sections = [_against_torch(args, found, size, out, say)]
    else:
        if found:
            why = "as asked" if args.stored else "PyTorch is not installed"
            out.print(
                f"{args.source}: {found.architecture.variant}, width {found.architecture.width}: every tensor is "
                f"there, of the right shape and finite. Compared below ({why}): stored numbers of a network of the "
                "same variant and width 4, not these weights.",
                soft_wrap=True,
                markup=False,
            )
        variants = (found.architecture.variant,) if found else ("lol", "fivek")
        sections = [_against_stored(args, variant, out, say) for variant in variants]
    within = all(section["within"] for section in sections)
    if args.json:
        report.write_json(args.json, {"source": args.source, "within": within, **_machine(), "checks": sections})
    return 0 if within else 1


def _checked(args: argparse.Namespace) -> tuple[int, int] | None:
    """The size of the cut-outs; raise InputError for options that make no sense."""
    if args.steps < 0:
        raise InputError(f"--steps {args.steps}: must not be negative")
    if args.plot and not args.steps:
        raise InputError("--plot: shows the drift of training; give --steps N too")
    if args.heatmap and args.heatmap.suffix.lower() != ".png":
        raise InputError(f"--heatmap {args.heatmap}: is a PNG; let its name end in .png")
    if args.size == "whole":
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", args.size)
    if not match or min(int(side) for side in match.groups()) < CROP:
        raise InputError(f"--size {args.size}: is a height and a width of at least {CROP}, as in 96x128, or: whole")
    return int(match[1]), int(match[2])


def _against_torch(
    args: argparse.Namespace, found: "Weights", size: tuple[int, int] | None, out: "Console", say: "Console"
) -> dict[str, Any]:
    from smnet_jax.verification import inputs, torch_stages
    from smnet_jax.verification.check import Reference, TrainingReference

    architecture = found.architecture
    pictures = inputs.read(args.images, size)
    out.print(
        f"{args.source}: {architecture.variant}, width {architecture.width}, {architecture.blocks} blocks; "
        f"reference: PyTorch, float32 on CPU; {len(pictures)} pictures",
        soft_wrap=True,
        markup=False,
    )
    with say.status("PyTorch"):
        net = torch_stages.network(found.params, architecture)
        references = [Reference(p.name, p.low, torch_stages.forward(net, p.low)) for p in pictures]
    vgg, why_not = (None, "--no-training") if args.no_training else _vgg()
    training: list[TrainingReference] = []
    if vgg is not None:
        from smnet_jax.verification import torch_losses

        frozen = torch_losses.vgg16_weights(vgg)
        with say.status("PyTorch's gradients"):
            for low in inputs.batches(pictures, CROPS, batch=1, side=CROP):
                net = torch_stages.network(found.params, architecture)
                high = inputs.target(low)
                training.append(TrainingReference(low, high, torch_stages.training(net, low, high, frozen)))
    section = _compared(args, found.architecture, found.params, references, training, (vgg, why_not), out, say)
    if args.steps:
        section["divergence"] = _train(args, found, pictures, out, say)
        section["within"] &= all(row["within"] for row in section["divergence"])
    return section


def _against_stored(args: argparse.Namespace, variant: str, out: "Console", say: "Console") -> dict[str, Any]:
    from smnet_jax.verification import stored

    architecture, params, reference, training = stored.read(variant)
    out.print(f"stored numbers: {variant}, width {architecture.width}; reference: PyTorch, as shipped with smnet")
    vgg = (None, "--no-training") if args.no_training else _vgg()
    return _compared(args, architecture, params, [reference], [training], vgg, out, say)


def _compared(
    args: argparse.Namespace,
    architecture: Any,
    params: Any,
    references: "list[Reference]",
    training: "list[TrainingReference]",
    vgg: tuple[Any, str],
    out: "Console",
    say: "Console",
) -> dict[str, Any]:
    """Compare, print, and give the section for the JSON."""
    from smnet_jax.verification import check, report, stages
    from smnet_jax.verification.comparison import first_outside

    with say.status("compiling the network") as status:

        def tell(outcome: check.Outcome) -> None:
            largest = max(d.relative for d in outcome.differences)
            told = f"{architecture.variant}, {outcome.mode.name}: {largest:.1e}, allowed {outcome.mode.tolerance:.0e}"
            if say.is_terminal:
                status.update(told)
            else:  # kept in a file, so that what was found stays if this is cut off
                say.print(told, soft_wrap=True, markup=False)

        outcomes = check.check_forward(architecture, params, references, done=tell)
        trained = []
        if vgg[0] is not None:
            status.update("gradients")
            trained = check.check_training(architecture, params, training, vgg[0])
    strict = [*outcomes[0].differences, *trained]
    out.print(report.differences_table("float32 at highest precision, stage by stage", strict))
    if vgg[0] is None:
        out.print(f"loss, gradients and update: not compared ({vgg[1]})", soft_wrap=True, markup=False)
    out.print(report.modes_table(outcomes, stages.output(architecture.blocks)))
    outside = first_outside(d for d in (*strict, *(d for o in outcomes[1:] for d in o.differences)))
    verdict = "within tolerance" if outside is None else f"NOT within tolerance, first at {outside.stage}"
    out.print(f"verdict: {verdict}", soft_wrap=True, markup=False)
    if args.heatmap:
        report.write_heat_map(args.heatmap, *outcomes[0].worst)
    return {
        "variant": architecture.variant,
        "width": architecture.width,
        "blocks": architecture.blocks,
        "pictures": [reference.name for reference in references],
        "within": outside is None,
        "first_outside": outside.stage if outside else None,
        "modes": report.modes_json(outcomes),
        "training": [report.as_json(d) for d in trained] if vgg[0] is not None else {"skipped": vgg[1]},
    }


def _train(
    args: argparse.Namespace, found: "Weights", pictures: list[Any], out: "Console", say: "Console"
) -> list[dict[str, Any]]:
    from smnet_jax.verification import divergence, inputs, report

    vgg, why_not = _vgg()
    if vgg is None:
        raise InputError(f"--steps: {why_not}")
    batches = inputs.batches(pictures, args.steps, seed=1)
    with say.status("training") as status:
        rows = divergence.compare(
            found.architecture, found.params, batches, vgg, done=lambda row: status.update(f"step {row.step}")
        )
    out.print(report.divergence_table(rows))
    outside = next((row.step for row in rows if not row.within), None)
    out.print("verdict: drifts as rounding does" if outside is None else f"verdict: NOT rounding from step {outside}")
    if args.plot:
        report.plot_divergence(args.plot, rows)
    return [{**vars(row), "within": row.within} for row in rows]


def _vgg() -> tuple[Any, str]:
    """VGG16's variables, or None and why not."""
    from smnet_jax.vgg16 import load_vgg16

    try:
        return load_vgg16(), ""
    except InputError as error:
        return None, str(error)


def _verify_exported(args: argparse.Namespace) -> int:
    from smnet_jax.verification import exported, report
    from smnet_jax.verification.comparison import first_outside

    if not args.weights:
        raise InputError(f"{args.source}: say with --weights what it was made from")
    path = Path(args.source)
    differences, notes = exported.check(path, args.weights)
    out = report.console()
    for note in notes:
        out.print(note, soft_wrap=True, markup=False)
    out.print(report.differences_table(f"{path.name} in {exported.runtime(path)}, against this network", differences))
    outside = first_outside(differences)
    out.print("verdict: the same pictures" if outside is None else f"verdict: NOT the same, first at {outside.stage}")
    if args.json:
        stages = [report.as_json(d) for d in differences]
        report.write_json(
            args.json, {"source": args.source, "within": outside is None, "notes": notes, "sizes": stages}
        )
    return 0 if outside is None else 1


def _machine() -> dict[str, Any]:
    import jax

    from smnet_jax.version import __version__

    device = jax.devices()[0]
    return {"smnet": __version__, "jax": jax.__version__, "backend": device.platform, "device": device.device_kind}
