"""What `smnet evaluate` can put in its table: every column with its protocol, and the paper's numbers. No JAX here."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Literal

from smnet_jax.errors import InputError

# How the enhanced picture and the target are prepared before a metric sees them. Only `published` makes numbers that
# may stand beside the paper's; the others are what other papers of the field report, often without saying so.
PROTOCOLS: Mapping[str, str] = {
    "published": "output clipped to [0, 1], times 255, truncated to uint8, as the published SMNet code does; RGB",
    "rounded": "output clipped to [0, 1], times 255, rounded to the nearest uint8; RGB",
    "float": "output clipped to [0, 1], not quantised; RGB",
    "gray": "as published, then both pictures to luma (0.299 R + 0.587 G + 0.114 B), rounded to uint8",
    "y": "as published, then both pictures to Y of YCbCr in limited range, 16 + (65.481 R + 128.553 G + 24.966 B) / "
    "255, not rounded, peak 255: MATLAB's rgb2ycbcr and BasicSR's test_y_channel; flatters by 1.3 dB or more",
    "cropped": "as published, then 4 pixels cut off at each side, as BasicSR's crop_border=4",
    "y-cropped": "as y, then 4 pixels cut off at each side",
    "gtmean-luma": "output clipped, scaled by mean luma of the target / mean luma of the output, clipped, truncated to "
    "uint8; luma = 0.299 R + 0.587 G + 0.114 B (LLFlow and most later papers); uses the target, so flatters",
    "gtmean-rgb": "output clipped, scaled by mean of the target / mean of the output over all of R, G and B, clipped, "
    "truncated to uint8; uses the target, so flatters",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """One number per picture: `function` of `smnet_jax.metrics` with `options`, of pictures prepared by `protocol`."""

    name: str  # the stable key in JSON and CSV
    title: str
    definition: str
    function: str
    options: tuple[tuple[str, str], ...] = ()
    protocol: str = "published"
    better: Literal["higher", "lower"] | None = "higher"  # None: a description, neither good nor bad
    digits: int = 4
    needs: frozenset[str] = frozenset({"high"})  # which pictures beside the enhanced one


UNIFORM, GAUSSIAN = (("window", "uniform"),), (("window", "gaussian"),)
LOWER: Literal["lower"] = "lower"
BICUBIC, NEAREST = (("sampling", "bicubic"),), (("sampling", "nearest"),)
LOW, ALONE = frozenset({"low"}), frozenset[str]()
COLUMNS = (
    # The paper's table, in its order.
    Column("psnr", "PSNR (dB)", "peak 255", "psnr", digits=2),
    Column("ssim", "SSIM", "7×7 uniform window (scikit-image’s default), mean over channels", "ssim", UNIFORM),
    Column("iw_ssim", "IW-SSIM", "Wang & Li 2011, on luma", "iw_ssim"),
    Column("vif", "VIF", "pixel domain (VIFp), on luma", "vif"),
    Column("fsim", "FSIM", "Zhang et al. 2011, on luma", "fsim"),
    Column("loe", "LOE", "Wang et al. 2013, input to output", "loe", BICUBIC, better=LOWER, digits=1, needs=LOW),
    # The same uint8 pictures under further metrics; NIQE needs nothing beside them.
    Column("niqe", "NIQE", "Mittal et al. 2013, on luma, released parameters", "niqe", better=LOWER, needs=ALONE),
    Column("fsimc", "FSIMc", "FSIM with chroma", "fsimc"),
    Column(
        "loe_nearest", "LOE, nearest", "pixels picked, not averaged", "loe", NEAREST, better=LOWER, digits=1, needs=LOW
    ),
    Column("ssim_gaussian", "SSIM, Gaussian", "11×11 Gaussian window, sigma 1.5 (Wang et al. 2004)", "ssim", GAUSSIAN),
    Column("ssim_gray", "SSIM, gray", "7×7 uniform window, of luma", "ssim", UNIFORM, "gray"),
    Column("lpips_alex", "LPIPS, AlexNet", "Zhang et al. 2018, v0.1", "lpips", (("net", "alex"),), better=LOWER),
    Column("lpips_vgg", "LPIPS, VGG16", "Zhang et al. 2018, v0.1", "lpips", (("net", "vgg"),), better=LOWER),
    # The two metrics that everybody quotes, under the other protocols in use.
    Column("psnr_rounded", "PSNR (dB), rounded", "peak 255", "psnr", (), "rounded", digits=2),
    Column("ssim_rounded", "SSIM, rounded", "7×7 uniform window", "ssim", UNIFORM, "rounded"),
    Column("psnr_float", "PSNR (dB), float", "peak 1", "psnr", (), "float", digits=2),
    Column("ssim_float", "SSIM, float", "7×7 uniform window, data range 1", "ssim", UNIFORM, "float"),
    Column("psnr_gray", "PSNR (dB), gray", "peak 255, of luma in full range", "psnr", (), "gray", digits=2),
    Column("psnr_y", "PSNR (dB), Y", "peak 255, of Y in limited range", "psnr", (), "y", digits=2),
    Column("ssim_y", "SSIM, Y, Gaussian", "11×11 Gaussian window, of Y in limited range", "ssim", GAUSSIAN, "y"),
    Column("psnr_cropped", "PSNR (dB), cropped", "peak 255", "psnr", (), "cropped", digits=2),
    Column("ssim_cropped", "SSIM, cropped", "7×7 uniform window", "ssim", UNIFORM, "cropped"),
    Column("psnr_y_cropped", "PSNR (dB), Y, cropped", "peak 255, of Y", "psnr", (), "y-cropped", digits=2),
    Column(
        "ssim_y_cropped", "SSIM, Y, cropped, Gaussian", "11×11 Gaussian window, of Y", "ssim", GAUSSIAN, "y-cropped"
    ),
    Column("psnr_gtmean_luma", "PSNR (dB), GT-mean luma", "peak 255", "psnr", (), "gtmean-luma", digits=2),
    Column("ssim_gtmean_luma", "SSIM, GT-mean luma", "7×7 uniform window", "ssim", UNIFORM, "gtmean-luma"),
    Column("psnr_gtmean_rgb", "PSNR (dB), GT-mean RGB", "peak 255", "psnr", (), "gtmean-rgb", digits=2),
    Column("ssim_gtmean_rgb", "SSIM, GT-mean RGB", "7×7 uniform window", "ssim", UNIFORM, "gtmean-rgb"),
)

# Without a target: what the picture is like, not how good it is, which of COLUMNS NIQE tries to say.
# Their functions are protocol.py's own.
STATISTICS = tuple(
    Column(name, title, definition, name, better=None, needs=ALONE)
    for name, title, definition in (
        ("luma_mean", "Mean luma", "mean of 0.299 R + 0.587 G + 0.114 B, in [0, 1]"),
        ("luma_std", "Luma deviation", "standard deviation of luma over the picture, in [0, 0.5]"),
        ("black_share", "Share of black", "share of pixels with a channel at 0: shadows that are lost"),
        ("white_share", "Share of white", "share of pixels with a channel at 255: highlights that are lost"),
    )
)

PAPER_COLUMNS = ("psnr", "ssim", "iw_ssim", "vif", "fsim", "loe")
PAPER: Mapping[str, Mapping[str, str]] = {  # as printed, with its digits
    "LOL eval15": dict(zip(PAPER_COLUMNS, ("24.55", "0.864", "0.9623", "0.5351", "0.9690", "182.07"), strict=True)),
    "FiveK": dict(zip(PAPER_COLUMNS, ("22.23", "0.849", "0.9561", "0.5600", "0.9411", "126.21"), strict=True)),
}


def select(names: Iterable[str], *, available: frozenset[str], quantised: bool = False) -> tuple[Column, ...]:
    """The columns called `names`, in the table's order, that can be had from the pictures at hand.

    `names` are column names or the groups "all" and "paper". `available` says which pictures there are beside the
    enhanced one: "low", "high". `quantised`: the enhanced pictures are finished 8-bit files, so that the protocols
    which differ only in quantisation say the same as `published` and are left out of the groups.

    Raises InputError for an unknown name, and for a column asked for by name that needs pictures which are not there.
    """
    wanted = tuple(names)
    everything = COLUMNS if "high" in available else (*COLUMNS, *STATISTICS)
    unknown = [n for n in wanted if n not in {"all", "paper", *(c.name for c in (*COLUMNS, *STATISTICS))}]
    if unknown:
        known = ", ".join(["all", "paper", *(c.name for c in (*COLUMNS, *STATISTICS))])
        raise InputError(f"--metrics {','.join(unknown)}: no such metric; there are {known}")
    chosen = []
    for column in (*COLUMNS, *STATISTICS):
        missing = column.needs - available
        by_name = column.name in wanted
        if by_name and missing:
            raise InputError(f"--metrics {column.name}: needs {' and '.join(f'--{m} DIR' for m in sorted(missing))}")
        in_group = column in everything and ("all" in wanted or ("paper" in wanted and column.name in PAPER_COLUMNS))
        same = quantised and column.protocol in ("rounded", "float")
        if by_name or (in_group and not missing and not same):
            chosen.append(column)
    if not chosen:
        raise InputError(f"--metrics {','.join(wanted)}: nothing of it can be computed from these pictures")
    return tuple(chosen)
