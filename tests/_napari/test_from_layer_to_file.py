"""One run in the widget, saved and opened again: everything stays where it was."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from napari.layers import Layer
from napari.layers._source import Source
from places import HELD, KEPT, assert_same_place
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog
from stacks_on_disk import write_stack

from napari_sr._napari.layers.reader import read_layers
from napari_sr._napari.layers.writer import are_channels, write_tiff, write_zarr
from napari_sr._napari.parts.messages import ask_and_write
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.files import open_stack
from napari_sr.interactive.layer_axes import describe_unheld, unheld

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")

WAIT = 30_000
"""Milliseconds within which a run must end."""
FACTOR = 2
WRITERS = {".ome.tif": write_tiff, ".ome.zarr": write_zarr}


@pytest.fixture
def widget(viewer, qtbot):
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    widget.model.value, widget.factor.value = "nearest", FACTOR
    yield widget
    widget._running.leave()


def upscaled(viewer, widget, qtbot, source):
    """Choose the layer, run, and give the result."""
    widget.reset_choices()
    widget.layer.value = source
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    return viewer.layers[-1]


@pytest.mark.parametrize("case", HELD | KEPT)
def test_a_result_lies_over_its_recording_in_napari_and_in_files(
    viewer, widget, qtbot, tmp_path, notified, case
):
    shape, place = (HELD | KEPT)[case]
    pixels = np.random.default_rng(0).integers(0, 60_000, shape, np.uint16)
    source = viewer.add_image(pixels, name="bone", **place)

    result = upscaled(viewer, widget, qtbot, source)

    expected = pixels.repeat(FACTOR, -2).repeat(FACTOR, -1)
    np.testing.assert_array_equal(result.data, expected)
    assert_same_place(result, source)
    for suffix, write in WRITERS.items():
        notified.clear()
        data, meta, _ = result.as_layer_data_tuple()
        write(str(tmp_path / f"a{suffix}"), data, meta)
        assert_said(notified, case in KEPT, meta, result.ndim)

        with open_stack(tmp_path / f"a{suffix}") as stack:  # as any program reads it
            spacing = [axis.spacing for axis in stack.axes]
            np.testing.assert_allclose(spacing, np.abs(result.scale), rtol=1e-12)
        (again,) = (
            Layer.create(*one) for one in read_layers(str(tmp_path / f"a{suffix}"))
        )
        np.testing.assert_array_equal(again.data, expected)
        assert_same_place(again, source)


def assert_said(notified, is_kept, meta, n_axes) -> None:
    """Tell that what the file cannot hold was named, once, and nothing else."""
    assert len(notified) == is_kept
    words = describe_unheld(unheld(meta, n_axes))
    assert all(words in told and "only napari-sr reads" in told for told in notified)


# ── the button that saves ───────────────────────────────────────────────────────────


@pytest.fixture
def answer(monkeypatch):
    """Let the next dialog name a file and a kind; give what it suggested."""

    def prepare(path, kind):
        asked = []

        def say(_parent, _title, name, kinds):
            asked.append(name)
            return str(path), next(one for one in kinds.split(";;") if kind in one)

        monkeypatch.setattr(QFileDialog, "getSaveFileName", say)
        return asked

    return prepare


def press_save(widget, qtbot):
    qtbot.mouseClick(widget.save_result_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget._saving.is_busy, timeout=WAIT)


@pytest.fixture
def channels(viewer):
    """Two channels of one recording, added to each other."""
    pixels = np.random.default_rng(0).integers(100, 5_000, (2, 3, 20, 24), np.uint16)
    look = {"blending": "additive", "scale": (2, 0.5, 0.5), "units": "um"}
    return [
        viewer.add_image(one, name=f"cells [{name}]", colormap=colour, **look)
        for one, name, colour in zip(
            pixels, ("DAPI", "GFP"), ("blue", "green"), strict=True
        )
    ]


@pytest.mark.parametrize("suffix", WRITERS)
def test_all_channels_of_a_run_are_saved_as_one_image(
    viewer, widget, qtbot, tmp_path, notified, answer, channels, suffix
):
    widget.reset_choices()
    widget.layer.value, widget.channels.value = channels[0], True
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: len(widget._running.last) == 2, timeout=WAIT)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    asked = answer(tmp_path / f"both{suffix}", suffix)

    press_save(widget, qtbot)

    assert asked == ["cells_nearest.ome.tif"]
    assert any(told.endswith(f"both{suffix}, 2 channels") for told in notified)
    for number, source in enumerate(channels):
        with open_stack(tmp_path / f"both{suffix}", channel=number) as stack:
            (said,) = stack.info.channels
            assert said.name == ("DAPI", "GFP")[number]
            made = widget._running.last[number].metadata["napari_sr"]["plan"]
            assert stack.provenance["plan"]["intensity"] == made["intensity"]
            assert said.colour == ("#0000ff", "#00ff00")[number]
            assert [axis.spacing for axis in stack.axes] == [2, 0.25, 0.25]
            seen = np.stack([stack.plane((i,)) for i in range(3)])
        expected = source.data.repeat(FACTOR, -2).repeat(FACTOR, -1)
        np.testing.assert_array_equal(seen, expected)


def test_other_recordings_of_the_same_grid_are_no_channels(
    viewer, widget, qtbot, tmp_path, answer
):
    pixels = np.random.default_rng(0).integers(0, 9_000, (2, 3, 20, 24), np.uint16)
    scans = [viewer.add_image(one, name=f"scan {n}") for n, one in enumerate(pixels)]
    widget.reset_choices()
    viewer.layers.selection = set(scans)
    widget.selected.value = True
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: len(widget._running.last) == 2, timeout=WAIT)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    assert not are_channels(widget._running.last)
    asked = answer(tmp_path / "one.ome.tif", ".ome.tif")

    press_save(widget, qtbot)

    assert asked[0].startswith("scan ")
    assert asked[0].endswith("_nearest.ome.tif")
    with open_stack(tmp_path / "one.ome.tif") as stack:
        assert stack.shape == (3, 40, 48)


def test_recordings_do_not_shine_through_results_that_are_added(
    viewer, widget, qtbot, channels
):
    kept = viewer.add_image(np.zeros((3, 20, 24)), name="gray")  # covers by itself
    widget.reset_choices()
    for source in (channels[1], kept):
        widget.layer.value, widget.channels.value = source, False
        upscaled(viewer, widget, qtbot, source)
    assert [layer.visible for layer in (*channels, kept)] == [True, False, True]

    upscaled(viewer, widget, qtbot, channels[0])
    assert not channels[0].visible
    widget.undo()
    assert channels[0].visible


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "not typed"])
def test_a_saved_result_keeps_its_place(
    viewer, widget, qtbot, tmp_path, notified, answer, suffix, typed
):
    pixels = np.zeros((2, 8, 8), np.uint16)
    source = viewer.add_image(pixels, name="a/b", scale=(2, 0.5, 0.5), units="um")
    assert not widget.save_result_button.enabled
    result = upscaled(viewer, widget, qtbot, source)
    viewer.layers.selection.active = source
    asked = answer(tmp_path / f"named{suffix if typed else ''}", suffix)

    press_save(widget, qtbot)

    assert asked == ["a_b_nearest.ome.tif"]
    path = tmp_path / f"named{suffix}"
    assert notified == [f"Saved: {path}"]
    with open_stack(path) as stack:
        assert stack.shape == result.data.shape
        assert [axis.spacing for axis in stack.axes] == [2, 0.25, 0.25]
        assert stack.provenance["plan"]["model"] == "nearest"


@pytest.fixture
def recording(tmp_path):
    """Write the file of a recording of two channels."""
    pixels = np.random.default_rng(0).integers(100, 5_000, (3, 2, 20, 24), np.uint16)
    path = tmp_path / "raw" / "cells.ome.tif"
    path.parent.mkdir()
    names = {"Channel": {"Name": ["ER", "DNA"]}}
    tifffile.imwrite(path, pixels, metadata={"axes": "ZCYX", **names})
    return path


def run_on(viewer, widget, qtbot, layers) -> None:
    """Run the channels of a recording."""
    widget.reset_choices()
    widget.layer.value, widget.channels.value = layers[0], len(layers) > 1
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)


def opened(viewer, path):
    """Open a file as napari does, with where it came from."""
    made = [Layer.create(*one) for one in read_layers(str(path))]
    for layer in made:
        layer._source = Source(path=str(path), reader_plugin="napari-sr")
    return [viewer.add_layer(layer) for layer in made]


@pytest.mark.parametrize(
    ("n_channels", "named"),
    [(2, "cells_nearest.ome.tif"), (1, "cells_ER_nearest.ome.tif")],
)
def test_a_result_is_saved_beside_its_recording_under_a_name_of_its_own(
    viewer, widget, qtbot, recording, answer, n_channels, named
):
    before = recording.read_bytes()
    layers = opened(viewer, recording)
    assert [layer.name for layer in layers] == ["cells [ER]", "cells [DNA]"]
    run_on(viewer, widget, qtbot, layers[:n_channels])
    suggested = recording.parent / named
    asked = answer(suggested, ".ome.tif")  # the default answer

    press_save(widget, qtbot)

    assert asked == [str(suggested)]
    assert recording.read_bytes() == before
    with open_stack(suggested, channel=0) as stack:
        assert stack.shape == (3, 40, 48)


def test_a_result_that_was_opened_is_not_suggested_to_replace_itself(
    viewer, widget, qtbot, tmp_path, answer
):
    source = viewer.add_image(np.zeros((8, 8), np.uint16), name="bone")
    upscaled(viewer, widget, qtbot, source)
    answer(tmp_path / "bone_x2.ome.tif", ".ome.tif")
    press_save(widget, qtbot)
    viewer.layers.clear()
    opened(viewer, tmp_path / "bone_x2.ome.tif")
    asked = answer("", ".ome.tif")

    press_save(widget, qtbot)

    assert asked == ["bone_x2_copy.ome.tif"]


@pytest.mark.parametrize("way", ["as it is", "through a link", "its folder"])
def test_no_answer_replaces_a_recording(
    viewer, widget, qtbot, recording, answer, notified, way
):
    before = recording.read_bytes()
    path = recording
    if way == "through a link":
        path = recording.with_name("other.ome.tif")
        path.symlink_to(recording)
    elif way == "its folder":
        path = recording.parent.rename(recording.parents[1] / "raw.ome.zarr")
        recording = path / recording.name
    layers = opened(viewer, recording)
    run_on(viewer, widget, qtbot, layers)
    answer(path, ".ome.zarr" if way == "its folder" else ".ome.tif")

    press_save(widget, qtbot)

    assert recording.read_bytes() == before
    (told,) = notified
    assert told == (
        f"A result needs a file of its own, and 'cells [ER]' was read from "
        f"{path.resolve().name}; nothing was written. Choose another name."
    )


def test_a_save_that_fails_tells_the_reason(
    viewer, widget, qtbot, tmp_path, notified, answer
):
    source = viewer.add_image(np.zeros((8, 8), np.uint16), name="bone")
    upscaled(viewer, widget, qtbot, source)
    (tmp_path / "file").write_text("not a folder")
    answer(tmp_path / "file" / "a.ome.tif", ".ome.tif")

    press_save(widget, qtbot)

    (told,) = notified
    assert "file/a.ome.tif cannot be written" in told
    assert widget.save_result_button.enabled


def test_a_reason_is_given_also_where_the_system_has_none(qtbot, notified, answer):
    answer("a.csv", "csv")

    def refuse(_path):
        raise OSError("The file was changed by another program; save it elsewhere.")

    ask_and_write(None, ("Save", "a.csv", "CSV (*.csv)"), refuse)

    assert notified == ["The file was changed by another program; save it elsewhere."]


def test_a_result_never_replaces_a_file_that_a_layer_was_read_from(
    viewer, tmp_path, monkeypatch
):
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    path = tmp_path / "cells.ome.tif"
    write_stack(path, np.zeros((8, 8), np.uint16), "yx")
    (recording,) = viewer.open(str(path), plugin="napari-sr")
    made = {"napari_sr": {"model": "bicubic", "factor": 2}}
    result = viewer.add_image(np.ones((16, 16), np.uint16), name="cells", metadata=made)
    assert result.source.path is None
    before = path.read_bytes()

    viewer.layers.selection = {result}
    with pytest.raises(RuntimeError, match="needs a file of its own"):
        viewer.layers.save(str(path), selected=True, plugin="napari-sr")
    assert path.read_bytes() == before

    viewer.layers.selection = {recording}  # which may be written again
    viewer.layers.save(str(path), selected=True, plugin="napari-sr")
