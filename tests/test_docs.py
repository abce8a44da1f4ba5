"""The pages of the site: their code runs, and each page is reached."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from napari_sr.cli import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STARTED = (DOCS / "get_started.md").read_text()


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.slow
def test_the_python_of_get_started_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for code in blocks(STARTED, "python"):
        exec(compile(code, "get_started.md", "exec"), {})
    assert "(3, 128, 128) uint16" in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_of_get_started_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks(STARTED, "sh")).splitlines():
        assert main(shlex.split(line)[1:]) == 0, line


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {page for page in pages if page not in navigation} == set()


def test_every_model_and_method_that_is_recommended_is_there():
    from napari_sr.catalogue.lookup import list_cards
    from napari_sr.methods.names import METHODS

    text = (DOCS / "which_model.md").read_text()
    table = text[: text.index("How much each")]
    named = set(re.findall(r"`([a-z][a-z0-9-]*)`", table))
    assert named <= {card.name for card in list_cards()} | set(METHODS)
    assert "general-x2" in named
