"""The page: it holds everything, is the same each time, and says what was found."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import napari_sr as sr
from napari_sr.cards.interval import Interval
from napari_sr.evaluation.protocol import N_PLANES
from napari_sr.image.sampling import spread_indices
from napari_sr.image.stack import Stack, StackError
from napari_sr.metrics.descriptions import PLANE_FIGURES
from napari_sr.phantoms import make_phantom
from napari_sr.runs.output_names import find_source
from napari_sr.trust.report import as_html, methods_paragraph


@pytest.fixture(scope="module")
def found():
    phantom = make_phantom("foam", n_planes=1, size=128, seed=0)
    low, truth = (np.squeeze(one) for one in (phantom.recorded, phantom.truth))
    result = Stack.from_array(
        sr.upscale(low, sr.load_model("lanczos", factor=2)), name="<b>foam</b>"
    )
    return sr.assess(low, result, truth)


@pytest.fixture(scope="module")
def page(found):
    return as_html(found)


def test_it_says_which_figures_are_of_all_planes_and_which_of_one():
    phantom = make_phantom("foam", n_planes=12, size=64, seed=0)
    result = sr.upscale(phantom.recorded, sr.load_model("lanczos", factor=2))
    of_stack = sr.assess(np.squeeze(phantom.recorded), np.squeeze(result))

    text, page = of_stack.as_markdown(), as_html(of_stack)

    n = len(spread_indices(Stack.from_array(np.squeeze(result)), N_PLANES))
    assert f"| mean of {n} of 12 planes | result |" in text
    assert "| plane 6 alone | result |" in text
    assert f"The table of quality metrics is the mean of {n} of 12 planes." in text
    for scope in (f"mean of {n} of 12 planes", "plane 6 alone"):
        assert f'<th scope="col">{scope}</th>' in page
    assert "In plane 6, reduced χ² was" in methods_paragraph(of_stack)


class _Reader(HTMLParser):
    """Gathers what a page fetches and what it says."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.headings = [], [], []

    def handle_starttag(self, tag, attrs):
        self.fetched += [v for k, v in attrs if k in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def read(page):
    reader = _Reader()
    reader.feed(page)
    return reader


def test_the_page_fetches_nothing(page):
    reader = read(page)

    assert reader.fetched
    assert all(one.startswith("data:image/") for one in reader.fetched)
    assert not re.search(r"<script|<link|@import|url\(", page)


def test_every_tag_is_closed_and_names_are_escaped(page):
    reader = read(page)

    assert reader.open == []
    assert reader.headings[0] == "<b>foam</b>"
    assert "<b>foam" not in page


def test_every_question_has_its_section(page):
    assert {
        "Measured detail and prior",
        "Agreement with the recording",
        "Effect of the adversarial prior",
        "Resolution",
        "Against the reference",
        "Uncertainty",
        "Does the image match the training images?",
        "Methods, ready to paste",
    } <= set(read(page).headings)


def test_the_page_says_what_the_assessment_says(found, page):
    assert found.badge in page
    assert "Computed, not measured; not for diagnosis" in page
    for name in found.names:
        assert PLANE_FIGURES[name].title in page.replace("&#39;", "'")
    for row in found.rows():
        assert all(cell in page for cell in row[1:])
    assert methods_paragraph(found) in page
    for digest in found.provenance["assessed"]["pixels_sha256"].values():
        assert digest in page


def test_it_can_be_printed(page):
    assert "@media print" in page
    assert "size: A4" in page


def test_reports_are_written_by_their_suffix_and_always_the_same(found, page, tmp_path):
    assert sr.write_report(found, tmp_path / "r.html").read_text("utf-8") == page
    text = sr.write_report(found, tmp_path / "r.json").read_text("utf-8")
    assert json.loads(text) == json.loads(json.dumps(found.as_json()))
    with pytest.raises(ValueError, match=r"\.html or \.json, got 'r\.pdf'"):
        sr.write_report(found, tmp_path / "r.pdf")
    with pytest.raises(ValueError, match="no folder"):
        sr.write_report(found, tmp_path / "nowhere" / "r.html")
    assert {one.name for one in tmp_path.iterdir()} == {"r.html", "r.json"}


def test_the_page_gives_the_uncertainty_or_why_it_is_unknown(found):
    assert "No intervals: the model that made the result is not available" in as_html(
        found
    )
    known = Interval(
        level=0.9, scale=4, n_images=20, is_guaranteed=True, coverage=0.93,
        mean_width=0.08, constant_width=0.1,
    )  # fmt: skip
    own = found.figures["result"].model_copy(update={"half_width": 123.0, "held": 0.9})
    sure = replace(
        found, interval=known, uncertainty=known.in_words(),
        figures={**found.figures, "result": own},
    )  # fmt: skip

    page = as_html(sure)

    for words in (known.in_words(), "8.0% of the intensity range", "123 counts",
                  "90.0% of the reference lies inside"):  # fmt: skip
        assert words in page


def test_methods_say_what_was_done_and_found():
    low = np.squeeze(make_phantom("nuclei", n_planes=1, size=192, seed=1).recorded)
    result = Stack.from_array(sr.upscale(low, "general-x2"))

    text = methods_paragraph(sr.assess(low, result, model="general-x2"))
    assert "super-resolved 2 times" in text
    assert "agreed with the recording to" in text
    assert "computed, not measured" in text
    assert "PSNR was" not in text


# ── the recording beside a result ───────────────────────────────────────────────────


def test_the_recording_is_found_by_its_name(tmp_path):
    for name in ("a.tif", "b.tif", "a_x2.ome.tif"):
        (tmp_path / name).touch()

    assert find_source(tmp_path / "a_x2.ome.tif") == tmp_path / "a.tif"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a_x2.ome.tif"], "there is none. Name it"),
        (["a_x2.ome.tif", "a.tif", "a.ome.zarr"], "a.ome.zarr and a.tif"),
        (["a_x2.ome.tif", "a_x2.report.html"], "there is none"),
    ],
)
def test_a_recording_that_is_not_clear_is_asked_for(tmp_path, names, words):
    for name in names:
        (tmp_path / name).touch()

    with pytest.raises(StackError, match=words):
        find_source(tmp_path / "a_x2.ome.tif")
