"""What napari is told about the plugin."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")

from napari.layers import Image, Layer
from npe2 import PluginManifest

from napari_sr._napari.layers.reader import PLAIN, SUFFIXES
from napari_sr._napari.layers.samples import open_phantom
from napari_sr.phantoms import PHANTOM_NAMES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-sr")


def test_the_manifest_is_valid_and_its_commands_exist(manifest):
    manifest.validate_imports()

    assert manifest.display_name == "Super-resolution"


def test_the_manifest_at_the_top_is_that_of_the_package():
    top, inside = ROOT / "napari.yaml", ROOT / "napari_sr" / "napari.yaml"

    assert top.resolve() == inside


def test_every_phantom_is_a_sample(manifest):
    assert {sample.key for sample in manifest.contributions.sample_data} == set(
        PHANTOM_NAMES
    )


def test_widgets_are_where_one_looks_for_them(manifest):
    title = {one.command: one.display_name for one in manifest.contributions.widgets}
    title |= {"napari-sr.get_started": "Get started"}
    found = {
        menu: [title[item.command] for item in items]
        for menu, items in manifest.contributions.menus.items()
    }

    assert found["napari/layers/filter"] == [
        "Get started",
        "Super-resolve",
        "Fine-tune",
    ]
    # In one group, in which napari keeps the order and puts commands before widgets.
    entries = manifest.contributions.menus["napari/layers/filter"]
    assert {entry.group for entry in entries} == {None}
    assert found["napari/layers/measure"] == ["Quality", "Compare"]
    assert found["napari/file/io_utilities"] == ["Batch", "Models"]


def test_the_manifest_is_that_of_this_working_copy(manifest):
    text = (ROOT / "napari_sr" / "napari.yaml").read_text()

    assert all(command.id in text for command in manifest.contributions.commands)
    assert manifest.contributions.keybindings[0].command == "napari-sr.preview_here"


def test_npe2_calls_it_valid(capsys):
    cli = pytest.importorskip("npe2.cli")

    cli.validate(str(ROOT / "napari_sr" / "napari.yaml"))

    assert "valid" in capsys.readouterr().out


def test_the_icon_is_in_the_package(manifest):
    package, _, name = manifest.icon.partition(":")

    svg = ElementTree.fromstring((files(package) / name).read_text())
    assert svg.tag.endswith("svg")


def test_the_reader_claims_only_what_keeps_its_place(manifest):
    (reader,) = manifest.contributions.readers

    assert reader.filename_patterns == [f"*{one}" for one in (*SUFFIXES, *PLAIN)]
    assert reader.accepts_directories


def test_single_images_can_be_saved_in_both_formats(manifest):
    written = {
        suffix: writer.layer_types
        for writer in manifest.contributions.writers
        for suffix in writer.filename_extensions
    }

    # A DICOM is written of a DICOM only, and a layer is none any more.
    writable = [suffix for suffix in SUFFIXES if suffix != ".dcm"]
    assert written == {suffix: ["image"] for suffix in writable}


STARTED = """
import sys, napari
from npe2 import PluginManager
from qtpy.QtGui import QOpenGLContext
from qtpy.QtWidgets import QApplication
application = QApplication([])
if QOpenGLContext().create():
    viewer = napari.Viewer(show=False)
else:  # where nothing can be drawn, all but the window
    viewer = napari.components.ViewerModel()
    napari.plugins._initialize_plugins()
assert "napari-sr" in PluginManager.instance()
ours = [name for name in sys.modules if name.startswith("napari_sr")]
assert set(ours) <= {"napari_sr"}, ours
assert "torch" not in sys.modules
if isinstance(viewer, napari.Viewer):
    viewer.close()
    application.processEvents()
"""


def test_starting_napari_imports_nothing_of_ours(tmp_path):
    environment = {**os.environ, "NAPARI_CONFIG": str(tmp_path / "settings.yaml")}

    done = subprocess.run(
        [sys.executable, "-c", STARTED],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["foam", "mammogram"])
def test_a_sample_shows_the_recording_and_its_truth_in_one_place(name):
    recorded, truth = (Layer.create(*layer) for layer in open_phantom(name))

    assert isinstance(recorded, Image)
    assert (recorded.name, truth.name) == (name, f"{name} (truth)")
    assert recorded.visible
    assert not truth.visible
    assert recorded.units == truth.units
    for layer_end in (0, 1):
        corners = []
        for layer in (recorded, truth):
            corner = np.zeros(layer.ndim)
            corner[-2:] = np.multiply(layer.data.shape[-2:], layer_end) - 0.5
            corners.append(layer.data_to_world(corner))
        np.testing.assert_allclose(*corners, rtol=1e-12, atol=1e-12)
