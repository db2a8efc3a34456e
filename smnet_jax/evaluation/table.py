"""The table in the terminal."""

import math
import sys

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from smnet_jax.evaluation.columns import PAPER_COLUMNS, PROTOCOLS, Column
from smnet_jax.evaluation.results import Evaluation, Picture

PLAIN_WIDTH = 140  # where the output is no terminal: a log should not wrap at 80


def show(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print summary table, protocols, notes and throughput; the paper's columns first, apart from the others."""
    if console is None:
        console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
    count = len(evaluation.pictures)
    table = Table(box=box.SIMPLE_HEAD, title=f"{count} picture{'s' * (count != 1)}", title_justify="left")
    table.add_column("metric", no_wrap=True)
    table.add_column("protocol", no_wrap=True, style="dim")
    table.add_column("mean", justify="right", no_wrap=True, style="bold")
    table.add_column("std", justify="right", no_wrap=True)
    table.add_column("worst", overflow="ellipsis", no_wrap=True)
    table.add_column("best", overflow="ellipsis", no_wrap=True)
    paper = True
    for column in evaluation.columns:
        if paper and column.name not in PAPER_COLUMNS:
            table.add_section()
            paper = False
        if column.name in evaluation.unavailable:
            table.add_row(column.title, column.protocol, "n/a", "", "", "")
            continue
        summary = evaluation.summary(column)
        table.add_row(
            f"{column.title} {arrow(column)}",
            column.protocol if column.better else "",
            number(summary.mean, column),
            number(summary.deviation, column),
            _picture(summary.worst, column),
            _picture(summary.best, column),
        )
    console.print(table)
    for name, text in PROTOCOLS.items():
        if any(column.protocol == name and column.better for column in evaluation.columns):
            console.print(Text.assemble((f"{name}: ", "bold"), text))
    for reason, names in by_reason(evaluation).items():
        console.print(Text.assemble(("n/a: ", "bold"), f"{', '.join(names)}: {printable(reason)}"))
    for note in evaluation.notes:
        console.print(Text.assemble(("note: ", "bold"), printable(note)))
    console.print(Text(throughput(evaluation), style="dim"))


def number(value: float, column: Column) -> str:
    """With the column's digits; a sign for infinite, a dash for not a number."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.{column.digits}f}"


def arrow(column: Column) -> str:
    """Which way is better."""
    return {"higher": "↑", "lower": "↓", None: ""}[column.better]


def throughput(evaluation: Evaluation) -> str:
    """One line: pictures per second of network and metrics, each alone, and the time for everything."""
    spent = evaluation.throughput
    parts = []
    if spent.model > 0:
        parts.append(f"network {spent.pictures / spent.model:.3g} pictures/s")
    if spent.metrics > 0:
        parts.append(f"metrics {spent.pictures / spent.metrics:.3g} pictures/s")
    parts.append(f"compiling {spent.compiling:.1f} s")
    return f"{', '.join(parts)}, {spent.wall:.1f} s in all"


def by_reason(evaluation: Evaluation) -> dict[str, list[str]]:
    """Why columns are unavailable -> the columns' titles."""
    reasons: dict[str, list[str]] = {}
    titles = {column.name: column.title for column in evaluation.columns}
    for name, reason in evaluation.unavailable.items():
        reasons.setdefault(reason, []).append(titles[name])
    return reasons


def printable(text: str) -> str:
    """`text` with control characters and undecodable bytes as question marks: file names come from strangers."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _picture(picture: Picture | None, column: Column) -> Text:
    if picture is None:
        return Text("")
    return Text(f"{number(picture.values[column.name], column)}  {printable(picture.name)}")
