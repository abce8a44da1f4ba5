"""What the README says, done: its code runs, its table is that of the models."""

from pathlib import Path

import pytest
from page_blocks import blocks, run, write_examples

from napari_sr.catalogue.lookup import list_cards
from napari_sr.catalogue.summary import models_table, quality_tables

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    write_examples(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = blocks(README)
    assert {language for language, _ in found} == {"python", "sh"}
    for language, code in found:
        run(language, code, "README.md")
    said = capsys.readouterr()
    assert "(3, 128, 128)" in said.out
    assert "Traceback" not in said.err
    assert (tmp_path / "report.html").exists()


def test_it_takes_a_screen_and_a_half():
    text = README.split("<!-- quality:begin -->")
    lines = (text[0] + text[1].split("<!-- quality:end -->")[1]).splitlines()
    assert len([line for line in lines if line]) <= 90


MEASURED = [card for card in list_cards() if card.quality]


@pytest.mark.parametrize("card", MEASURED, ids=lambda card: card.name)
def test_the_quality_page_is_that_of_the_cards(card):
    for table in quality_tables(card):
        assert table in (ROOT / "docs/quality.md").read_text()


def test_the_table_of_models_is_that_of_the_cards():
    assert models_table(list_cards()) in README
