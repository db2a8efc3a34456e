"""Write the guide, the other pages of docs/ and the pages of the Python interface as HTML: make docs.

    python tools/make_docs.py build/docs

The pages keep their places, so a link between two .md files works as one between two .html files; a link to something
that is not there stops the program. The interface's pages are pdoc's, made from the docstrings; all pages look alike.
"""

import importlib
import os
import re
import shutil
import sys
import warnings
from pathlib import Path

import pdoc
from pdoc import render, render_helpers

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs/guide"
# What may be relied on; everything else may change between versions.
INTERFACE = (
    "smnet_jax",
    "smnet_jax.losses",
    "smnet_jax.vgg16",
    "smnet_jax.metrics",
    "smnet_jax.evaluation",
    "smnet_jax.data",
    "smnet_jax.training.config",
)
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)")
FRAME = """{% extends "frame.html.jinja2" %}
{% block title %}{{ title }} - smnet-jax{% endblock %}
{% block nav %}<h2>smnet-jax</h2><ul>
{% for name, address in pages %}<li><a href="{{ address }}">{{ name }}</a></li>{% endfor %}</ul>{% endblock %}
{% block content %}<main class="pdoc"><section class="module-info"><div class="docstring">
{{ text | safe }}</div></section></main>{% endblock %}"""


def main(target: Path) -> None:
    """Write everything into `target`, which is emptied first."""
    warnings.simplefilter("error")
    pages = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    new = target.with_name(target.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    for page in pages:
        out = new / page.relative_to(ROOT).with_suffix(".html")
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(_html(page, pages), encoding="utf-8")
    for picture in (path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".jpg", ".svg", ".ipynb")):
        shutil.copy(picture, new / picture.relative_to(ROOT))
    _write_interface(new / "api")
    (new / "index.html").write_text('<meta http-equiv="refresh" content="0; url=docs/guide/README.html">\n')
    shutil.rmtree(target, ignore_errors=True)
    new.rename(target)


def guide() -> list[Path]:
    """The guide's pages in the order in which its first page names them."""
    first = GUIDE / "README.md"
    linked = [GUIDE / name for name in LINK.findall(first.read_text(encoding="utf-8"))]
    return [first, *dict.fromkeys(path for path in linked if path.parent == GUIDE and path.suffix == ".md")]


def title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def _html(page: Path, pages: list[Path]) -> str:
    def link(match: re.Match[str]) -> str:
        there = (page.parent / match[1]).resolve()
        if not there.exists():
            raise SystemExit(f"{page.relative_to(ROOT)}: links to {match[1]}, which is not there")
        return str(Path(match[1]).with_suffix(".html")) if there in pages else match[1]

    def address(there: Path) -> str:
        return os.path.relpath(there, page.parent).replace(os.sep, "/")

    contents = [(title(other), address(other.with_suffix(".html"))) for other in guide()]
    contents.append(("Python interface", address(ROOT / "api/smnet_jax.html")))
    text = LINK.sub(link, page.read_text(encoding="utf-8"))
    frame = render.env.from_string(FRAME)
    return frame.render(title=title(page), pages=contents, text=render_helpers.to_html(text))


def _write_interface(target: Path) -> None:
    for name in INTERFACE:
        module = importlib.import_module(name)  # a module that is missing is an error here, and a warning to pdoc
        for public in getattr(module, "__all__", ()):  # pdoc does not see what is imported on first use
            vars(module)[public] = getattr(module, public)
    render.configure(docformat="markdown", footer_text="smnet-jax", show_source=False)
    inside = [f"!{name}" for name in sys.modules if name.startswith("smnet_jax.") and name not in INTERFACE]
    pdoc.pdoc(*INTERFACE, *inside, output_directory=target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
