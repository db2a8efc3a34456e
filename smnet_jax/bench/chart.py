"""Charts of `smnet bench`."""

from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing


def bars(result: dict[str, Any], path: Path) -> None:
    """Seconds per picture, one bar for each runtime, one panel for each variant."""
    figure = _figure()(figsize=(8, 1.2 + 1.6 * len(result["variants"])), layout="constrained")
    panels = figure.subplots(len(result["variants"]), squeeze=False)[:, 0]
    for panel, (variant, found) in zip(panels, result["variants"].items(), strict=True):
        names = list(found["rows"])
        seconds = [found["rows"][name]["seconds"] for name in names]
        colours = ["tab:orange" if name == "smnet-jax" else "tab:gray" for name in names]
        drawn = panel.barh(names, seconds, color=colours)
        panel.bar_label(drawn, [f" {value:.2f}" for value in seconds])
        panel.invert_yaxis()
        panel.margins(x=0.1)
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_title(variant, loc="left")
    what, where = result["what"], result["machine"]
    panels[-1].set_xlabel("seconds per picture (median)")
    figure.suptitle(
        f"width {what['width']}, {what['picture']}, {what['dtype']}; {where['processor']}, {where['cores']} cores, "
        f"load {where['load'][0]}, {where['date']}",
        fontsize="small",
    )
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)


def sizes(result: dict[str, Any], path: Path) -> None:
    """CPU time and anonymous memory against megapixels, both axes logarithmic, with the lines of proportion."""
    figure = _figure()(figsize=(9, 3.8), layout="constrained")
    rows, where = result["rows"], result["machine"]
    sizes = [row["megapixels"] for row in rows]
    for panel, name, unit, scale in zip(
        figure.subplots(1, 2), ("cpu_seconds", "anonymous"), ("CPU seconds", "GiB, anonymous"), (1, 2**30), strict=True
    ):
        values = [row[name] / scale for row in rows]
        panel.loglog(sizes, values, "o-", color="tab:orange")
        panel.set(xlabel="megapixels", ylabel=unit)
        panel.grid(alpha=0.3, which="both")
        if name == "cpu_seconds":
            rate = sorted(value / size for value, size in zip(values, sizes, strict=True))[len(rows) // 2]
            panel.loglog(sizes, [rate * size for size in sizes], "--", color="gray", label=f"{rate:.2f} s a megapixel")
            first = [row["first_cpu_seconds"] for row in rows]
            panel.loglog(sizes, first, "x", color="tab:blue", label="the first time in a process")
            panel.legend()
        panel.spines[["top", "right"]].set_visible(False)
    network = f"width {result['width']}" if result["width"] else f"weights {result['weights'] or 'lol-small'}"
    figure.suptitle(f"{network}; {where['processor']}, {where['cores']} cores, {where['date']}", fontsize="small")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("bench: the chart needs matplotlib; pip install matplotlib") from error
    return Figure
