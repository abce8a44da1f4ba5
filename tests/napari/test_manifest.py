"""What napari is told about the plugin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")

from napari.layers import Image, Layer
from npe2 import PluginManifest

from napari_sr._napari.samples import open_phantom
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


def test_the_widgets_are_under_layers_filter(manifest):
    items = manifest.contributions.menus["napari/layers/filter"]

    assert {item.command for item in items} == {
        widget.command for widget in manifest.contributions.widgets
    }


def test_no_reader_claims_files_that_others_read(manifest):
    assert not manifest.contributions.readers


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
