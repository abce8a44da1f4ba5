"""The page in a real browser, offline: it shows everything, fits, and prints whole.

Needs Chromium or Chrome; what does not need one is in `test_report.py`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from skimage.io import imread

import napari_sr as sr
from napari_sr.image.stack import Stack
from napari_sr.phantoms import make_phantom
from napari_sr.trust.report import as_html

BROWSER = next(
    filter(
        None,
        map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome")),
    ),
    None,
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="no Chromium or Chrome here"),
]

MEASURE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(
    (one) => one.getBoundingClientRect().right > innerWidth + 1);
  document.body.innerHTML = "<pre id=seen>" + JSON.stringify({
    pictures: [...document.images].map((one) => [one.naturalWidth, one.width]),
    height: document.documentElement.scrollHeight,
    wide: wide.map((one) => one.tagName),
  }) + "</pre>";
});</script>"""
"""Put into a copy of the page: what a browser made of it."""


@pytest.fixture(scope="module")
def page():
    phantom = make_phantom("foam", n_planes=1, size=128, seed=0)
    low, truth = (np.squeeze(one) for one in (phantom.recorded, phantom.truth))
    result = Stack.from_array(
        sr.upscale(low, sr.load_model("lanczos", factor=2)), name="foam"
    )
    return as_html(sr.assess(low, result, truth))


def browse(path, home, *options):
    """Open a file with no network; give what the browser prints."""
    done = subprocess.run(
        [
            *(BROWSER, "--headless", "--no-sandbox", "--disable-gpu"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={home}"),
            *("--virtual-time-budget=5000", *options, path.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("width", [420, 1100])
def test_every_picture_is_shown_and_nothing_sticks_out(page, tmp_path, width):
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", MEASURE + "</body>"), encoding="utf-8")

    dom = browse(path, tmp_path / "home", f"--window-size={width},900", "--dump-dom")

    seen = json.loads(re.search(r'id="seen">(.*?)</pre>', dom, re.S)[1])
    assert len(seen["pictures"]) == page.count("<img")
    assert all(natural > 100 and shown > 100 for natural, shown in seen["pictures"])
    assert seen["wide"] == []


def test_the_page_is_painted(page, tmp_path):
    path, picture = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(page, encoding="utf-8")

    browse(
        path, tmp_path / "home", "--window-size=1100,2000", f"--screenshot={picture}"
    )

    painted = imread(picture)[..., :3]
    dark = (painted < 250).any(axis=-1)
    assert dark.any(axis=1).mean() > 0.5  # lines of text and pictures, top to bottom


def test_it_prints_on_a_few_sheets_with_all_pictures(page, tmp_path):
    path, paper = tmp_path / "page.html", tmp_path / "page.pdf"
    path.write_text(page, encoding="utf-8")

    browse(path, tmp_path / "home", f"--print-to-pdf={paper}")

    pdf = paper.read_bytes()
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 8
    n_rasters = page.count("data:image/png")  # the others are drawn as lines
    assert len(re.findall(rb"/Subtype\s*/Image", pdf)) >= n_rasters > 3
