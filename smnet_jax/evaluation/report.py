"""The report: one HTML file that needs nothing else, with the tables and every picture beside its scores.

File names come from strangers: every text is escaped, and the page's own security policy admits its one script, its
one style sheet and embedded pictures, nothing else.
"""

import base64
import datetime
import hashlib
import importlib.resources
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np

from smnet_jax.evaluation.columns import PAPER, PAPER_COLUMNS, PROTOCOLS, Column
from smnet_jax.evaluation.folders import Item
from smnet_jax.evaluation.results import Evaluation, Picture
from smnet_jax.evaluation.table import arrow, by_reason, number, printable, throughput
from smnet_jax.evaluation.thumbnails import ERROR_SCALE, colours, data_uri, edge_for, error_map
from smnet_jax.host.atomic_files import replacing

CAPTIONS = {"low": "Input", "output": "Output", "high": "Target", "error": "Error map"}


class Report:
    """Collects thumbnails while the runner works (`add` is its `receive`) and writes the page at the end."""

    def __init__(self, count: int):
        self._edge = edge_for(count)
        self._thumbnails: dict[int, dict[str, str]] = {}

    def add(self, index: int, item: Item, pictures: Mapping[str, np.ndarray]) -> None:
        """Keep thumbnails of one item's uint8 pictures "low", "output", "high", and of the error where it is known."""
        pictures = dict(pictures)
        if "high" in pictures:
            pictures["error"] = error_map(pictures["output"], pictures["high"])
        self._thumbnails[index] = {kind: data_uri(pictures[kind], self._edge) for kind in CAPTIONS if kind in pictures}

    def write(self, evaluation: Evaluation, folder: Path) -> Path:
        """Write `folder`/index.html and give its path."""
        path = folder / "index.html"
        with replacing(path) as temporary:
            temporary.write_text(page(evaluation, self._thumbnails), encoding="utf-8")
        return path


def page(evaluation: Evaluation, thumbnails: Mapping[int, Mapping[str, str]]) -> str:
    """The whole page; `thumbnails` by the picture's index, then by kind (the keys of `CAPTIONS`)."""
    resources = importlib.resources.files(__package__)
    style = resources.joinpath("report.css").read_text(encoding="utf-8")
    script = resources.joinpath("report.js").read_text(encoding="utf-8")
    policy = f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<title>SMNet evaluation, {_count(evaluation)}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>SMNet evaluation</h1>
<p class="quiet">{_origin(evaluation)}</p>
<h2>Scores</h2>
{_scores(evaluation)}
{_remarks(evaluation)}
<h2 id="pictures-title">Pictures</h2>
{_pictures(evaluation, thumbnails)}
</main>
<footer>{_text(throughput(evaluation))}</footer>
<dialog id="viewer" aria-labelledby="viewer-title">
<header><h3 id="viewer-title"></h3>
<button type="button" class="previous" aria-label="Previous picture">←</button>
<button type="button" class="next" aria-label="Next picture">→</button>
<button type="button" class="close">Close</button></header>
<div class="views"></div>
<p class="quiet"></p>
</dialog>
<script>{script}</script>
</body>
</html>
"""


def _origin(evaluation: Evaluation) -> str:
    weights, data = evaluation.weights, evaluation.as_json()
    what = "Finished pictures of another program"
    if weights:
        what = f"Weights <code>{_text(weights['source'])}</code> (sha256 <code>{_text(weights['sha256'][:12])}</code>)"
    versions = ", ".join(f"{name.replace('_', '-')} {version}" for name, version in data["versions"].items())
    devices = f"{data['devices']['count']} × {data['devices']['kind']}"
    created = datetime.datetime.fromisoformat(data["created"]).strftime("%Y-%m-%d %H:%M UTC")
    return f"{what}<br>{_count(evaluation)} · {created} · {_text(versions)} · {_text(devices)}"


def _scores(evaluation: Evaluation) -> str:
    """The summary table. The paper's numbers stand beside the columns of the paper's protocol only."""
    with_paper = any(column.name in PAPER_COLUMNS[:-1] for column in evaluation.columns)
    papers = PAPER if with_paper else {}
    head = "".join(f'<th scope="col" class="number paper">Paper, {_text(name)}</th>' for name in papers)
    rows, group = [], None
    for column in evaluation.columns:
        title = _group(column)
        if title != group:
            rows.append(f'<tr class="group"><th scope="colgroup" colspan="{6 + len(papers)}">{_text(title)}</th></tr>')
            group = title
        paper = "".join(
            f'<td class="number paper">{_text(numbers.get(column.name, ""))}</td>' for numbers in papers.values()
        )
        rows.append(_score(evaluation, column, paper))
    caption = (
        "<p>The paper’s numbers belong to its own test sets and training; they compare with the means only where the "
        "pictures are the same.</p>"
        if with_paper
        else ""
    )
    return f"""<div id="scores" class="sheet" tabindex="0" role="region" aria-label="Scores"><table>
<thead><tr><th scope="col">Metric</th><th scope="col">Protocol</th><th scope="col" class="number">Mean</th>
<th scope="col" class="number">Std</th>{head}<th scope="col">Worst</th><th scope="col">Best</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div>{caption}"""


def _group(column: Column) -> str:
    if column.name in PAPER_COLUMNS:
        return "The paper’s table, under the published protocol"
    if column.better is None:
        return "Statistics of the output: descriptions, not scores"
    if column.protocol in ("published", "gray"):
        return "Further metrics of the same 8-bit pictures"
    return "Other protocols in use; do not compare with the columns above"


def _score(evaluation: Evaluation, column: Column, paper: str) -> str:
    row = f'<tr><th scope="row">{_title(column)}<span class="sub">{_text(column.definition)}</span></th>'
    row += f'<td class="protocol">{_text(column.protocol if column.better else "")}</td>'
    if column.name in evaluation.unavailable:
        return f'{row}<td class="number">n/a</td><td></td>{paper}<td></td><td></td></tr>'
    summary = evaluation.summary(column)
    row += f'<td class="number mean">{number(summary.mean, column)}</td>'
    row += f'<td class="number">{number(summary.deviation, column)}</td>{paper}'
    for end in (summary.worst, summary.best):
        if end is None:
            row += "<td></td>"
            continue
        name, place = _text(end.name), evaluation.pictures.index(end)
        row += f"<td>{number(end.values[column.name], column)}"
        row += f'<a class="picture" href="#picture-{place}" title="{name}">{name}</a></td>'
    return row + "</tr>"


def _remarks(evaluation: Evaluation) -> str:
    used = {column.protocol for column in evaluation.columns if column.better}
    lines = [(name, text) for name, text in PROTOCOLS.items() if name in used]
    lines += [(f"n/a: {', '.join(titles)}", reason) for reason, titles in by_reason(evaluation).items()]
    lines += [("note", note) for note in evaluation.notes]
    lines += [(str(name), str(value)) for name, value in evaluation.settings.items() if value is not None]
    entries = "".join(f"<dt>{_text(name)}</dt><dd>{_text(text)}</dd>" for name, text in lines)
    return f"<details open><summary><h2>Protocols and settings</h2></summary><dl>{entries}</dl></details>"


def _pictures(evaluation: Evaluation, thumbnails: Mapping[int, Mapping[str, str]]) -> str:
    kinds = [kind for kind in CAPTIONS if thumbnails and kind in thumbnails[0]]
    extremes = {column.name: evaluation.summary(column) for column in evaluation.computed}
    head = '<th scope="col" data-column="name" data-kind="text" data-first="ascending" aria-sort="ascending">'
    head += '<button type="button">Picture</button></th>'
    head += "".join(f'<th scope="col">{CAPTIONS[kind]}</th>' for kind in kinds)
    for column in evaluation.computed:
        first = "descending" if column.better == "lower" else "ascending"  # the worst on top
        head += f'<th scope="col" class="number{_other(column)}" data-column="{column.name}" data-kind="number" '
        head += f'data-first="{first}" aria-sort="none"><button type="button">{_title(column)}</button></th>'
    rows = []
    for index, picture in enumerate(evaluation.pictures):
        name = _text(picture.name)
        row = f'<tr id="picture-{index}"><th scope="row" data-value="{name}">{name}'
        row += f'<span class="sub">{picture.width} × {picture.height}</span></th>'
        for kind in kinds:
            about = f"{CAPTIONS[kind]} of {name}"
            row += f'<td class="cell"><button type="button" class="thumb" aria-label="{about}, enlarge">'
            row += f'<img src="{thumbnails[index][kind]}" alt="{about}" data-kind="{CAPTIONS[kind]}" decoding="async">'
            row += "</button></td>"
        for column in evaluation.computed:
            value = picture.values[column.name]
            mark = _mark(picture, extremes[column.name].worst, extremes[column.name].best)
            row += f'<td class="number{_other(column)}{mark}" data-value="{value}">'
            row += f"{number(value, column)}</td>"
        rows.append(row + "</tr>")
    return f"""<div class="bar">{_legend("error" in kinds)}{_switch(evaluation)}
<span class="quiet">Click a column to sort by it, a picture to enlarge it.</span></div>
<p id="announce" class="unseen" aria-live="polite"></p>
<div id="pictures" class="sheet" tabindex="0" role="region" aria-labelledby="pictures-title"><table>
<thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>"""


def _legend(wanted: bool) -> str:
    if not wanted:
        return ""
    ramp = data_uri(np.repeat(colours(np.linspace(0, 1, 256))[None], 12, axis=0), 256)
    text = "mean absolute difference of the channels, in levels of 255"
    ramp = f'<img src="{ramp}" alt="dark to bright">'
    return f'<span class="legend" title="{text}">Error 0 {ramp} {ERROR_SCALE} and more</span>'


def _switch(evaluation: Evaluation) -> str:
    if not any(_other(column) for column in evaluation.computed):
        return ""
    return '<label><input type="checkbox" id="everything"> All metrics and protocols</label>'


def _other(column: Column) -> str:
    """A class for the columns that the picture table hides at first."""
    return "" if column.name in PAPER_COLUMNS or not column.needs else " other"


def _mark(picture: Picture, worst: Picture | None, best: Picture | None) -> str:
    if worst is best:
        return ""
    return " worst" if picture is worst else " best" if picture is best else ""


def _title(column: Column) -> str:
    better = f' <span class="arrow" title="{column.better} is better">{arrow(column)}</span>' if column.better else ""
    return _text(column.title) + better


def _count(evaluation: Evaluation) -> str:
    count = len(evaluation.pictures)
    return f"{count} picture{'s' * (count != 1)}"


def _text(value: object) -> str:
    return escape(printable(str(value)))


def _hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
