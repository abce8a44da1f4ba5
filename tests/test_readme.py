"""What the README says, done: its Python runs, its commands and files exist."""

import re
import shlex
from pathlib import Path

import pytest
import tifffile

from napari_sr.cli import main

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


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_blocks_run(code, capsys):
    exec(compile(code, "README.md", "exec"), {})
    assert "(128, 128) uint16" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["demo", "test", "install", "napari"])
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_command_lines_are_understood(tmp_path, monkeypatch, capsys):

    from napari_sr.phantoms import make_phantom

    monkeypatch.chdir(tmp_path)
    plane = make_phantom("nuclei", n_planes=1, size=64).recorded
    for name in ("stack.tif", "scans/a.tif", "plates/one/b.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(tmp_path / name, plane)
    ours = [line for line in COMMANDS if line.startswith("napari-sr ")]
    assert len(ours) >= 4
    for line in ours:
        assert main(shlex.split(line)[1:]) == 0, line
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_linked_files_exist(link):
    assert (ROOT / link).exists()


def test_the_quality_table_is_that_of_the_card():
    import napari_sr as sr

    card = next(card for card in sr.list_models() if card.name == "fluorescence-x2")
    assert card.quality_table() in README
