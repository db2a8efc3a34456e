"""The page as text; how it looks and sorts was judged in a browser."""

import base64
import hashlib
import html.parser
import re

import numpy as np
import pytest

from smnet_jax.evaluation import report
from smnet_jax.evaluation.columns import COLUMNS, STATISTICS
from smnet_jax.evaluation.folders import Item
from smnet_jax.evaluation.results import Evaluation, Picture, Throughput

BY_NAME = {column.name: column for column in (*COLUMNS, *STATISTICS)}
HOSTILE = "<script>alert(1)</script>\" onerror='x' &amp;"


class Page(html.parser.HTMLParser):
    """Tags with their attributes, and the text of every cell."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.data = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.data += data

    def every(self, tag, **having):
        return [a for t, a in self.tags if t == tag and all(a.get(k) == v for k, v in having.items())]


@pytest.fixture
def made(tmp_path):
    """The page of three pictures, the second with a hostile name, and the report's thumbnails."""
    values = {"psnr": (20.0, 30.0, np.inf), "loe": (5.0, 7.0, 6.0), "ssim_rounded": (0.5, 0.75, np.nan)}
    names = ("a", HOSTILE, "c")
    collected = report.Report(3)
    rng = np.random.default_rng(0)
    for index in (2, 0, 1):  # as a batched run hands them over
        kinds = {kind: rng.integers(0, 256, (8, 12, 3)).astype(np.uint8) for kind in ("low", "output", "high")}
        collected.add(index, Item(names[index]), kinds)
    evaluation = Evaluation(
        tuple(BY_NAME[name] for name in (*values, "iw_ssim")),
        {"iw_ssim": "a is too small"},
        tuple(
            Picture(name, 8, 12, {}, {key: column[row] for key, column in values.items()})
            for row, name in enumerate(names)
        ),
        Throughput(3, 1.0, 1.0, 1.0, 3.0),
        {"weights": HOSTILE, "batch": None},
        {"source": HOSTILE, "sha256": "0123456789abcdef" * 4},
        (HOSTILE,),
    )
    path = collected.write(evaluation, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "index.html"
    return path.read_text(encoding="utf-8")


def test_nothing_of_a_hostile_name_becomes_markup(made):
    page = Page(made)
    assert len(page.every("script")) == 1
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert HOSTILE in page.data
    assert page.every("th", **{"data-value": HOSTILE}), "sorting by name needs the name itself"


def test_the_policy_admits_exactly_the_pages_own_script_and_style(made):
    (policy,) = (a["content"] for a in Page(made).every("meta", **{"http-equiv": "Content-Security-Policy"}))
    for tag in ("script", "style"):
        (source,) = re.findall(f"<{tag}>(.*?)</{tag}>", made, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_self_contained(made):
    page = Page(made)
    assert not page.every("link")
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.every("img"))
    assert all(anchor["href"].startswith("#picture-") for anchor in page.every("a"))
    assert "http" not in re.sub(r'http-equiv="[^"]*"', "", made)


def test_every_picture_has_its_four_thumbnails_with_text_for_those_who_cannot_see(made):
    images = Page(made).every("img")
    assert [image["data-kind"] for image in images if "data-kind" in image] == [
        "Input", "Output", "Target", "Error map"
    ] * 3  # fmt: skip
    assert all(image["alt"] for image in images)
    assert images[1]["alt"] == "Input of a"


def test_links_lead_to_rows(made):
    page = Page(made)
    rows = {row["id"] for row in page.every("tr") if "id" in row}
    assert rows == {"picture-0", "picture-1", "picture-2"}
    assert {anchor["href"][1:] for anchor in page.every("a")} <= rows


def test_columns_can_be_sorted_and_say_which_end_is_first(made):
    page = Page(made)
    columns = {a["data-column"]: a for a in page.every("th") if "data-column" in a}
    assert list(columns) == ["name", "psnr", "loe", "ssim_rounded"]
    assert columns["name"]["aria-sort"] == "ascending"
    assert columns["psnr"]["data-first"] == "ascending"
    assert columns["loe"]["data-first"] == "descending"
    assert "other" in columns["ssim_rounded"]["class"]
    values = [a["data-value"] for a in page.every("td") if "data-value" in a]
    assert values == ["20.0", "5.0", "0.5", "30.0", "7.0", "0.75", "inf", "6.0", "nan"]


def test_the_papers_numbers_stand_beside_the_papers_columns_only(made):
    cells = re.findall(r'<td class="number paper">(.*?)</td>', made)
    assert cells == ["24.55", "22.23", "182.07", "126.21", "0.9623", "0.9561", "", ""] or sorted(cells) == sorted(
        ["24.55", "22.23", "182.07", "126.21", "0.9623", "0.9561", "", ""]
    )


def test_reasons_notes_and_settings(made):
    page = Page(made)
    assert "n/a: IW-SSIM" in page.data
    assert "a is too small" in page.data
    assert "0123456789ab" in page.data
    assert "batch" not in re.findall(r"<dt>(.*?)</dt>", made), "what was not set is not shown"
