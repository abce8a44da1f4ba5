"""Finer along z from the panel: the pixels of Python, in their place."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from qtpy.QtCore import Qt

import napari_sr as sr
from napari_sr._napari.layers.writer import save_layers
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.files import open_stack
from napari_sr.interactive.as_script import python_script

WAIT = 60_000
VOXEL = {
    "scale": (0.7, 0.2, 0.2),
    "translate": (5, 30, -40),
    "units": ("um", "um", "um"),
}


def counts(shape=(5, 20, 24)) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(900, 60_000, shape).astype(np.uint16)


@pytest.fixture
def widget(viewer, qtbot):
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    viewer.layers.events.inserted.connect(widget.reset_choices)
    widget.model.value, widget.factor.value = "bicubic", 2
    yield widget
    widget._preview.leave()
    widget._looking.leave()
    widget._running.leave()


def run(viewer, widget, qtbot):
    qtbot.mouseClick(widget.run_button.native, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)
    return viewer.layers[-1]


def breakable(words) -> str:
    """Give words with the spaces at which a line is not to be broken as any other."""
    return words.replace("\u00a0", " ")


def corners(layer) -> np.ndarray:
    """Give the outer corners of the first and the last voxel, in the world."""
    ends = (np.full(layer.ndim, -0.5), np.array(layer.data.shape) - 0.5)
    return np.array([layer.data_to_world(end) for end in ends])


@pytest.mark.parametrize(
    ("kind", "planes", "alone", "asked", "scale"),
    [
        ("isotropic", 2, False, {"z": "isotropic"}, (0.1, 0.1, 0.1)),
        ("isotropic", 2, True, {"z": "isotropic", "factor": 1}, (0.2, 0.2, 0.2)),
        ("a number", 3, False, {"z": 3.0}, (0.7 / 3, 0.1, 0.1)),
        ("a number", 2, True, {"z": 2.0, "factor": 1}, (0.35, 0.2, 0.2)),
    ],
)
def test_the_pixels_are_those_of_python_and_lie_where_the_recording_does(
    viewer, widget, qtbot, tmp_path, kind, planes, alone, asked, scale
):
    bone = viewer.add_image(counts(), name="bone", **VOXEL)
    widget.z.value, widget.z_planes.value, widget.z_alone.value = kind, planes, alone

    result = run(viewer, widget, qtbot)

    axes = [
        sr.Axis(name, size, "um")
        for name, size in zip("zyx", VOXEL["scale"], strict=True)
    ]
    stack = sr.Stack.from_array(counts(), axes=axes)
    model = sr.load_model("bicubic", factor=2)
    np.testing.assert_array_equal(result.data, sr.upscale(stack, model, **asked))
    np.testing.assert_allclose(result.scale, scale)
    assert [str(unit) for unit in result.units] == ["micrometer"] * 3
    np.testing.assert_allclose(corners(result)[0], corners(bone)[0], rtol=1e-12)
    if asked["z"] != "isotropic":  # of which the last plane may reach beyond
        np.testing.assert_allclose(corners(result)[1], corners(bone)[1], rtol=1e-12)
    assert "partial" not in result.metadata["napari_sr"]
    written = save_layers([result], str(tmp_path / "a"), "OME-TIFF (*.ome.tif)")
    with open_stack(written) as saved:
        assert [axis.spacing for axis in saved.axes] == pytest.approx(scale)
        assert [axis.origin for axis in saved.axes] == pytest.approx(result.translate)


def test_a_part_is_that_of_the_whole_volume(viewer, widget, qtbot):
    bone = viewer.add_image(counts(), name="bone", **VOXEL)
    widget.z.value = "isotropic"
    whole = run(viewer, widget, qtbot)
    first, last = (bone.data_to_world((0, *end))[1:] for end in ((4, 6), (11, 19)))
    square = [first, (first[0], last[1]), last, (last[0], first[1])]
    viewer.add_shapes([np.array(square)], shape_type="rectangle")

    widget.part.value = "a rectangle"
    part = run(viewer, widget, qtbot)

    np.testing.assert_array_equal(part.data, whole.data[:, 8:24, 12:40])
    np.testing.assert_allclose(
        part.data_to_world((3, 0, 0)), whole.data_to_world((3, 8, 12)), rtol=1e-12
    )


def test_the_plane_in_view_alone_is_the_one_in_its_middle(viewer, widget, qtbot):
    viewer.add_image(counts(), name="bone")
    viewer.dims.set_current_step(0, 3)
    widget.z.value, widget.z_planes.value = "a number", 3
    widget.planes.value = "the one in view"

    result = run(viewer, widget, qtbot)

    assert result.metadata["napari_sr"]["partial"]["planes_done"] == [[10]]
    whole = sr.upscale(counts(), sr.load_model("bicubic", factor=2), z=3)
    np.testing.assert_array_equal(result.data[10], whole[10])
    widget.planes.value = "all"
    assert widget.run_button.text == "Run the rest"
    assert run(viewer, widget, qtbot) is result
    np.testing.assert_array_equal(result.data, whole)


def test_rows_are_there_for_stacks_alone_and_off_at_first(viewer, widget):
    assert widget.z.native.isHidden()
    viewer.add_image(counts(), name="stack")
    assert not widget.z.native.isHidden()
    assert widget.z.value == "off"
    assert widget.z_planes.native.isHidden()
    assert widget.z_alone.native.isHidden()
    assert widget.settings.z is None

    widget.z.value = "a number"
    assert not widget.z_planes.native.isHidden()
    widget.z_alone.value = True
    assert (widget.settings.z, widget.settings.factor) == (2.0, 1)
    widget.z_planes.value = 1  # nothing would become finer
    assert (widget.settings.z, widget.settings.factor) == (None, None)

    widget.layer.value = viewer.add_image(counts((20, 24)), name="plane")
    assert widget.z.native.isHidden()
    assert widget.settings.z is None


def test_the_voxel_is_said_before_and_after(viewer, widget, qtbot):
    viewer.add_image(counts(), name="bone", **VOXEL)
    widget.native.show()

    def says(words) -> None:
        qtbot.waitUntil(lambda: breakable(widget.voxel.value) == words, timeout=WAIT)
        assert widget.voxel.native.isVisible()

    says("If only the plane becomes finer, voxels of 0.2 × 0.2 × 0.7 µm become 7 "
         "times as long as wide.")  # fmt: skip
    widget.z.value = "isotropic"
    says("0.2 × 0.2 × 0.7 µm → 0.1 × 0.1 × 0.1 µm")
    widget.z_alone.value = True
    says("0.2 × 0.2 × 0.7 µm → 0.2 × 0.2 × 0.2 µm")
    widget.z.value, widget.z_planes.value = "a number", 2
    says("0.2 × 0.2 × 0.7 µm → 0.2 × 0.2 × 0.35 µm")
    viewer.layers["bone"].scale = (0.1, 0.2, 0.2)
    widget.z.value = "off"
    qtbot.waitUntil(lambda: widget.voxel.native.isHidden(), timeout=WAIT)


def test_without_a_step_along_z_isotropic_says_what_is_missing(
    viewer, widget, qtbot, notified
):
    viewer.add_image(counts(), name="bone")
    widget.native.show()
    widget.z.value = "isotropic"
    qtbot.waitUntil(lambda: "Give a number" in widget.voxel.value, timeout=WAIT)

    run(viewer, widget, qtbot)

    assert len(viewer.layers) == 1
    assert any("does not state the distance of its planes" in said for said in notified)


def test_the_preview_shows_the_plane_and_says_so(viewer, widget, qtbot):
    viewer.add_image(counts(), name="bone", **VOXEL)
    widget.z.value, widget.z_alone.value = "isotropic", True

    widget.toggle_preview()
    preview = widget._preview
    qtbot.waitUntil(lambda: preview.layer is not None and not preview.is_busy)

    plane = sr.upscale(counts(), sr.load_model("bicubic", factor=2))[2]
    np.testing.assert_array_equal(preview.layer.data[0], plane)
    assert "Run makes it finer along z." in widget.status.value


def test_a_script_asks_for_the_same(viewer, widget):
    bone = viewer.add_image(counts(), name="bone", **VOXEL)
    widget.z.value, widget.z_alone.value = "isotropic", True

    script = python_script(None, widget._ask(pytest.fail, bone)[1])

    assert "    z='isotropic',\n    factor=1,\n" in script
