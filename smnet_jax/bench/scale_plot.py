"""Curves for `smnet bench scale` and `smnet bench predict`."""

from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.host.atomic_files import replacing

COLOURS = {"jit-data": "tab:orange", "pmap": "tab:blue", "data-by-rows": "tab:green"}


def curves(result: dict[str, Any], path: Path) -> None:
    """One column for each mode: images/s with the ideal line, efficiency, and step time with its quartiles."""
    rows = result["rows"]
    modes = list(dict.fromkeys(row["mode"] for row in rows))
    figure = figure_of(4.4 * len(modes), 8.0)
    panels = figure.subplots(3, len(modes), squeeze=False, sharex=True)
    for column, mode in enumerate(modes):
        rate, efficiency, seconds = panels[:, column]
        for strategy in dict.fromkeys(row["strategy"] for row in rows):
            chosen = [row for row in rows if (row["mode"], row["strategy"]) == (mode, strategy)]
            if not chosen:
                continue
            style = {"marker": "o", "ms": 4, "lw": 1.2, "color": COLOURS.get(strategy), "label": strategy}
            counts = [row["devices"] for row in chosen]
            rate.plot(counts, [row["images_per_second"] for row in chosen], **style)
            efficiency.plot(counts, [row["efficiency"] for row in chosen], **style)
            medians = [row["seconds"] for row in chosen]
            spread = [[abs(row["quartiles"][i] - row["seconds"]) for row in chosen] for i in (0, 1)]
            seconds.errorbar(counts, medians, spread, capsize=3, **style)
        base = min((row for row in rows if row["mode"] == mode), key=lambda row: row["devices"])
        counts = sorted({row["devices"] for row in rows if row["mode"] == mode})
        ideal = [base["images_per_second"] * count / base["devices"] for count in counts]
        rate.plot(counts, ideal, color="gray", ls="--", lw=1, label="ideal")
        efficiency.axhline(1, color="gray", ls="--", lw=1)
        for panel in (rate, efficiency, seconds):
            panel.set_xscale("log", base=2)
            panel.set_xticks(counts, [str(count) for count in counts])
        for panel in (rate, seconds):
            panel.set_yscale("log")
        efficiency.set_ylim(bottom=0)
        rate.set_title(f"{mode}: " + ("the same batch in all" if mode == "strong" else "the same batch a device"))
        seconds.set_xlabel("devices")
    for panel, name in zip(panels[:, 0], ("images/s", "efficiency", "seconds a step"), strict=True):
        panel.set_ylabel(name)
    panels[0, 0].legend(fontsize="small")
    where, config = result["machine"], result["config"]
    title = (
        f"{config['variant']} width {config['width']}, {config['loss']}, {config['dtype']}, crop {config['crop']}; "
        f"{where['topology']}, jax {where['jax']}, {where['date']}"
    )
    save(figure, f"{title}\n{result['evidence']}", path)


def figure_of(width: float, height: float) -> Any:
    """An empty figure, in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("bench: the plot needs matplotlib; pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, title: str, path: Path) -> None:
    """Tidy all panels and write."""
    for panel in figure.axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.3)
    import textwrap

    figure.suptitle("\n".join(line for part in title.split("\n") for line in textwrap.wrap(part, 110)), fontsize=8)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)


def predicted(result: dict[str, Any], path: Path) -> None:
    """Images/s with the ideal line, and efficiency with the all-reduce's share of the step; strong and weak."""
    figure = figure_of(9.0, 4.0)
    rate, efficiency = figure.subplots(1, 2)
    for mode, colour in (("strong", "tab:blue"), ("weak", "tab:orange")):
        rows = [row for row in result["rows"] if row["mode"] == mode]
        counts = [row["chips"] for row in rows]
        batch = f"{rows[0]['batch']} " + ("in all" if mode == "strong" else "a chip")
        style = {"marker": "o", "ms": 3.5, "lw": 1.2, "color": colour, "label": f"{mode}, batch {batch}"}
        rate.plot(counts, [row["images_per_second"] for row in rows], **style)
        efficiency.plot(counts, [row["efficiency"] for row in rows], **style)
        communication = [row["all_reduce_seconds"] / row["seconds"] for row in rows]
        efficiency.plot(counts, communication, color=colour, ls=":", lw=1.2, label=f"{mode}: all-reduce's share")
        stop = next((row for row in rows if row["limit"]), None)
        if stop:
            for panel, value in ((rate, stop["images_per_second"]), (efficiency, stop["efficiency"])):
                panel.plot([stop["chips"]], [value], marker="x", ms=9, mew=2, color=colour)
    best = max(point["batch"] / point["seconds"] for point in result["points"])
    counts = sorted({row["chips"] for row in result["rows"]})
    rate.plot(counts, [best * count for count in counts], color="gray", ls="--", lw=1, label="ideal")
    for panel, name in ((rate, "images/s"), (efficiency, "efficiency")):
        panel.set_xscale("log", base=2)
        panel.set_xticks(counts[::3], [str(count) for count in counts[::3]])
        panel.set(xlabel="chips", ylabel=name)
        if panel is not efficiency:
            panel.set_yscale("log")
        panel.axvline(result["chip"]["slice"], color="black", lw=0.6, alpha=0.5)
    efficiency.set_ylim(0, 1.05)
    efficiency.legend(fontsize=7)
    rate.legend(fontsize=7)
    chip = f"{result['chip']['name']} (line: one slice; x: where it stops)"
    save(figure, f"{result['what']}; {chip}\n{result['evidence']}", path)
