"""The same run from a script and from the command line gives the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from napari.layers import Image
from napari.layers._source import layer_source

from napari_sr._napari.layers.pixel_size import file_of
from napari_sr._napari.layers.place import as_stack
from napari_sr.cli import main
from napari_sr.image.intensity import NoiseLevel
from napari_sr.interactive.as_script import (
    PLACEHOLDER,
    python_script,
    recipe_of,
)
from napari_sr.interactive.in_memory import run
from napari_sr.interactive.prepared import Preparer
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.recipes import upscale_recipe_text
from napari_sr.settings import UpscaleSettings


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, (2, 20, 30), np.uint16)


@pytest.fixture
def layer(tmp_path, pixels) -> Image:
    """A layer that was opened from a file."""
    path = tmp_path / "bone.ome.tif"
    tifffile.imwrite(path, pixels, metadata={"axes": "ZYX"})
    with layer_source(path=str(path)):
        return Image(tifffile.imread(path), name="bone")


@pytest.fixture
def asked(layer, tiny_card) -> UpscaleRequest:
    settings = UpscaleSettings(
        device="cpu", tile=48, noise=NoiseLevel(2, 50, 100), consistency="off"
    )
    return UpscaleRequest(as_stack(layer), tiny_card, None, settings)


@pytest.fixture
def in_napari(asked) -> np.ndarray:
    *_, (result, _) = run(asked, Preparer())
    return result.levels[0]


def test_the_script_gives_the_same_pixels(
    layer, asked, in_napari, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)

    exec(python_script(file_of(layer), asked), {})

    assert capsys.readouterr().out.split() == ["bone_x2.ome.tif"]
    came = tifffile.imread("bone_x2.ome.tif")
    np.testing.assert_array_equal(came, in_napari)


def test_the_recipe_gives_the_same_pixels(layer, asked, in_napari, tmp_path, capsys):
    recipe = tmp_path / "bone.toml"
    recipe.write_text(upscale_recipe_text(recipe_of(file_of(layer), asked)), "utf-8")

    assert main(["upscale", "--recipe", str(recipe)]) == 0

    came = tifffile.imread(tmp_path / "bone_x2.ome.tif")
    np.testing.assert_array_equal(came, in_napari)


def test_a_script_says_only_what_is_not_as_by_default(layer):
    asked = UpscaleRequest(as_stack(layer), "bicubic", 3, UpscaleSettings())

    lines = python_script(file_of(layer), asked).splitlines()

    assert lines[2] == "result = upscale_file("
    assert lines[3].endswith("bone.ome.tif',")
    assert lines[4:7] == [
        "    'bone_x3.ome.tif',",
        "    load_model('bicubic', factor=3),",
        ")",
    ]


def test_without_a_file_there_is_a_place_for_its_path(pixels):
    layer = Image(pixels, name="drawn")
    asked = UpscaleRequest(as_stack(layer), "bicubic", 3, UpscaleSettings())

    script, recipe = (
        python_script(file_of(layer), asked),
        recipe_of(file_of(layer), asked),
    )

    assert PLACEHOLDER in script
    assert "save it and write its path below" in script
    assert recipe.inputs == ()
    assert recipe.output is None


def test_the_widget_copies_and_saves(layer, viewer, qtbot, tmp_path, monkeypatch):
    from qtpy.QtWidgets import QApplication, QFileDialog

    from napari_sr._napari.super_resolve.widget import SuperResolve

    path = tmp_path / "here.toml"
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_, **__: (str(path), "")
    )
    viewer.add_layer(layer)
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)

    widget.copy_as_python()
    widget.save_as_recipe()

    asked = widget._ask(pytest.fail)
    assert QApplication.clipboard().text() == python_script(file_of(asked[0]), asked[1])
    assert path.read_text("utf-8") == upscale_recipe_text(
        recipe_of(file_of(asked[0]), asked[1])
    )
