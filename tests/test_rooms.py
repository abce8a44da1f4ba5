"""The rooms: who may load what, and who may import whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import napari_sr

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "napari_sr"

VIEWER = {"magicgui", "napari", "qtpy", "superqt", "vispy"}
BINDINGS = {"PyQt5", "PyQt6", "PySide2", "PySide6"}
HEAVY = {"torch", *VIEWER, *BINDINGS}

HELP = """
import runpy, sys
sys.argv = ["napari-sr", "--help"]
try:
    runpy.run_module("napari_sr", run_name="__main__", alter_sys=True)
except SystemExit as leaving:
    assert not leaving.code, leaving.code
"""
READ_CARDS = "from napari_sr import list_models, UpscaleSettings; list_models()"
OPEN_FILES = "from napari_sr import open_stack, IntensityRange, Stack"
COMPUTE = "from napari_sr import upscale, upscale_file; import napari_sr.training.flow"
WIDGET = (
    "import napari_sr._napari.super_resolve.widget, napari_sr._napari.layers.samples"
)
OPEN_FINE_TUNE = """
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari.components import ViewerModel
from napari_sr._napari.fine_tune.widget import FineTune
widget = FineTune(ViewerModel())
"""

DOINGS = [
    pytest.param("import napari_sr", HEAVY, id="import"),
    pytest.param(HELP, HEAVY, id="help"),
    pytest.param(READ_CARDS, HEAVY, id="list models"),
    pytest.param(OPEN_FILES, HEAVY, id="open files"),
    pytest.param(COMPUTE, VIEWER | BINDINGS, id="compute"),
]


def loaded_by(code: str) -> set[str]:
    """Run code in a fresh interpreter and list the top-level modules it loads."""
    report = (
        "\nimport sys; print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + report],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(("code", "unwanted"), DOINGS)
def test_nothing_is_loaded_before_it_is_needed(code, unwanted):
    assert not loaded_by(code) & unwanted


@pytest.mark.parametrize("code", [WIDGET, OPEN_FINE_TUNE], ids=["import", "open"])
def test_opening_a_widget_loads_no_torch(code):
    pytest.importorskip("napari.layers", reason="napari is not installed")

    assert "torch" not in loaded_by(code)


def test_the_help_names_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "napari_sr", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0
    assert all(name in done.stdout for name in ("upscale", "models", "demo", "samples"))


@pytest.mark.parametrize("name", napari_sr.__all__)
def test_public_names_resolve_to_the_same_thing_each_time(name):
    assert getattr(napari_sr, name) is getattr(napari_sr, name)
    assert name in dir(napari_sr)


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = napari_sr.nothing


def test_no_modules_import_each_other_in_a_circle():
    """Imports for types and imports inside functions included."""
    grimp = pytest.importorskip("grimp", reason="import-linter is not installed")
    graph = grimp.build_graph("napari_sr", cache_dir=None)
    below = {
        module: graph.find_modules_directly_imported_by(module)
        for module in graph.modules
    }
    # Take away whatever imports nothing that is left; what stays is in a circle, or
    # imports one.
    while free := [module for module, needs in below.items() if not needs & set(below)]:
        for module in free:
            del below[module]
    assert not below


@pytest.mark.parametrize("folder", sorted({p.parent for p in PACKAGE.rglob("*.py")}))
def test_a_folder_holds_few_modules(folder):
    assert len(list(folder.glob("*.py"))) <= 18


def test_import_contracts_hold():
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    code = "from importlinter.cli import lint_imports_command as run; run()"

    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
