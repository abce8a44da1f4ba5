"""What the README says, done: its Python runs, its commands and files exist."""

import re
import shlex
from pathlib import Path

import pytest
import tifffile
from stacks_on_disk import write_stack

from napari_sr.catalogue.lookup import list_cards
from napari_sr.catalogue.summary import models_table, quality_tables
from napari_sr.cli import main
from napari_sr.phantoms import make_phantom

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
COMMANDS = [
    line.split("#")[0].strip()
    for language, text in BLOCKS
    if language == "sh"
    for line in text.splitlines()
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the files that the README speaks of."""
    monkeypatch.chdir(tmp_path)
    names = ["stack.tif", "scans/a.tif", "plates/one/b.tif", "plate/a/1.tif"]
    names += [f"sharp/{number}.tif" for number in range(3)]
    for seed, name in enumerate(names):
        plane = make_phantom("nuclei", n_planes=1, size=128, seed=seed).recorded
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(tmp_path / name, plane)
    write_stack(tmp_path / "scan.ome.zarr", plane)
    return tmp_path


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(code, here, capsys):
    if "stack_sr.ome.tif" in code:  # a line for the shell before it makes that
        main("upscale stack.tif -o stack_sr.ome.tif -m fluorescence-x2".split())
    # a training of minutes is one of a step here
    exec(compile(code.replace("minutes=5", "iterations=1"), "README.md", "exec"), {})
    said = capsys.readouterr().out
    signs = "(128, 128) uint16", "held-out image", "grees with the recording"
    assert any(sign in said for sign in signs)


@pytest.mark.parametrize("target", ["demo", "test", "install", "napari"])
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_command_lines_are_understood(here, capsys):
    ours = [line for line in COMMANDS if line.startswith("napari-sr ")]
    assert len(ours) >= 6
    for line in ours:
        short = line.replace("--minutes 5", "--iterations 1 --keep-anyway")
        # two lines of the README write to the same example file
        assert main([*shlex.split(short)[1:], *_again(short)]) == 0, line
    assert "Traceback" not in capsys.readouterr().err


def _again(line):
    return ["--overwrite"] if "upscale" in line else []


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_linked_files_exist(link):
    assert (ROOT / link).exists()


MEASURED = [card for card in list_cards() if card.quality]


@pytest.mark.parametrize("card", MEASURED, ids=lambda card: card.name)
def test_the_quality_page_is_that_of_the_cards(card):
    for table in quality_tables(card):
        assert table in (ROOT / "docs/quality.md").read_text()


def test_the_table_of_models_is_that_of_the_cards():
    assert models_table(list_cards()) in README
