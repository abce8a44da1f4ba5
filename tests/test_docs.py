"""The pages of the site: their code runs, their figures are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from page_blocks import blocks, run, write_examples

import napari_sr as sr
from napari_sr.cards.model_card import read_card
from napari_sr.catalogue.lookup import SHIPPED, list_cards
from tools.pages import figures, notebooks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path for path in DOCS.rglob("*.md")}
TEXTS = {name: path.read_text("utf-8") for name, path in PAGES.items()}
WITH_CODE = [name for name, text in TEXTS.items() if blocks(text)]
NEEDS = {"interoperability.md": ("pydicom", "onnxscript", "bioimageio.spec")}
PRINTED = re.compile(r"<!-- printed by: (\w+) -->\n```text\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the files that the pages speak of."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    write_examples(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_CODE)
def test_the_code_of_a_page_runs(name, here, capsys):
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module)
    for language, code in blocks(TEXTS[name]):
        run(language, code, name)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted(notebooks.FOLDER.glob("*.ipynb")), ids=lambda path: path.stem
)
def test_a_notebook_prints_what_it_shows(path, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    for module in re.findall(r"^import (pydicom|distributed)", path.read_text(), re.M):
        pytest.importorskip(module)
    shown = notebooks.printed(notebooks.code_cells(path))
    ran = [{"outputs": outputs} for outputs in notebooks.run(path, tmp_path)]
    assert_alike(notebooks.printed(ran), shown)


QUOTED = [
    (name, *quote) for name, text in TEXTS.items() for quote in PRINTED.findall(text)
]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "figure", "shown"), QUOTED)
def test_a_page_quotes_what_is_printed(page, figure, shown, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "IMAGES", tmp_path)
    assert_alike("\n".join(figures.FIGURES[figure]()), shown)


def assert_alike(text, other):
    """See that two texts say the same, numbers to their rounding and float's."""
    # How large a tile is depends on the memory of the machine.
    text, other = (re.sub(r"tile auto \(\d+\)", "tile", one) for one in (text, other))
    assert NUMBER.sub("#", text).split() == NUMBER.sub("#", other).split()
    numbers, others = (
        [float(found.replace(",", "")) for found in NUMBER.findall(one)]
        for one in (text, other)
    )
    assert numbers == pytest.approx(others, rel=0.03, abs=0.05)


def test_the_gains_of_the_page_are_those_of_the_cards(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text(TEXTS["which_model.md"], "utf-8")
    monkeypatch.setattr(figures, "PAGE", page)
    list(figures.gains())
    assert page.read_text("utf-8") == TEXTS["which_model.md"]


def test_the_gains_by_kind_are_those_of_the_cards():
    shown = dict(PRINTED.findall(TEXTS["which_model.md"]))["kinds"]

    assert "\n".join(figures.kinds()) == shown.rstrip()


@pytest.mark.parametrize("page", ["README.md", "docs/get_started.md"])
def test_the_recommended_dials_are_those_of_the_cards(page):
    text = " ".join((ROOT / page).read_text("utf-8").split())
    dials = {card.name: card.recommended_dial for card in list_cards()}
    said = {"general-x2": 0.6, "srgan-x4": 0.8}

    assert "0.6 for `general-x2`, 0.8 for `srgan-x4`, else 0" in text
    assert dials == {name: said.get(name, 0) for name in dials}


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_needs_no_network(tmp_path):
    for module in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(module, reason="the group docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-d", str(tmp_path)]
    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": paths}
    made = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert (made.returncode, made.stdout + made.stderr) == (0, "")
    for page in tmp_path.rglob("*.html"):
        fetched = r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"?https?:[^>]*>"
        assert re.findall(fetched, page.read_text("utf-8")) == []


def test_few_blocks_are_spared_and_each_says_why():
    text = "".join(TEXTS.values())
    spared = re.findall(r"<!-- not run: (.+) -->\n```(?:python|sh)\n", text)
    assert len(spared) <= 5
    assert all(len(reason.split()) >= 4 for reason in spared)


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert {page for page in PAGES if page not in navigation} == set()


def test_every_public_name_is_in_the_reference():
    pages = TEXTS["reference/python.md"] + TEXTS["reference/model_card.md"]
    public = [name for name in sr.__all__ if not name.startswith("_")]
    named = re.findall(r"^::: napari_sr\.\S*?(\w+)$", pages, flags=re.MULTILINE)
    assert set(public) - set(named) == set()


def test_every_tutorial_is_listed_and_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for path in notebooks.FOLDER.glob("*.ipynb"):
        assert f"tutorials/{path.stem}.md" in navigation
        assert f"({path.name})" in TEXTS["tutorials/index.md"]


def test_every_model_and_method_that_is_recommended_is_there():
    from napari_sr.catalogue.lookup import list_cards
    from napari_sr.methods.names import METHODS

    text = TEXTS["which_model.md"]
    table = text[: text.index("## How much")]
    named = set(re.findall(r"`([a-z][a-z0-9-]*)`", table))
    assert named <= {card.name for card in list_cards()} | set(METHODS)
    assert "general-x2" in named


@pytest.mark.parametrize("name", ["general-x2", "general-x4"])
def test_the_page_on_trust_states_the_coverage_of_the_card(name):
    interval = read_card(SHIPPED / f"{name}.safetensors").interval
    by_share = sorted((share, of) for of, share in interval.coverage_by_dataset.items())
    (least, worst), (most, best) = by_share[0], by_share[-1]
    text = " ".join(TEXTS["trust.md"].replace(" %", "%").split())
    _, _, said = text.partition(f"of `{name}` contain")

    found = re.match(
        r"\s*(\S+)[^;]*?from (\S+) \([^)]*`(\w+)`\) to (\S+) \(`(\w+)`", said
    )

    shares = (f"{interval.coverage:.0%}", f"{least:.0%}", f"{most:.0%}")
    assert found.group(1, 2, 4) == shares
    assert found.group(3, 5) == (worst, best)
