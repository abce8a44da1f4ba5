"""The preview: it follows what is asked for, lies in its place, and leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from napari_sr._napari.layers import view
from napari_sr._napari.layers.place import as_stack
from napari_sr._napari.super_resolve.preview import KEY, Preview
from napari_sr.interactive.prepared import Preparer
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.interactive.roles import is_only_looked_at
from napari_sr.settings import UpscaleSettings

WAIT = 30_000


class Asked:
    """What the widget would ask for; the tests change it."""

    def __init__(self, layer) -> None:
        self.layer, self.model, self.factor = layer, "nearest", 2
        self.stack = as_stack(layer)
        self.told: list[str] = []
        self.n_failed = 0
        self.others: list = []

    def fail(self) -> None:
        self.n_failed += 1

    def __call__(self):
        settings = UpscaleSettings(device="cpu")
        request = UpscaleRequest(self.stack, self.model, self.factor, settings)
        return [(self.layer, request), *self.others]


@pytest.fixture
def source(viewer):
    pixels = np.arange(2 * 30 * 40, dtype=np.uint16).reshape(2, 30, 40)
    return viewer.add_image(
        pixels, name="bone", scale=(3, 0.5, 0.5), translate=(0, 10, 20), rotate=0
    )


@pytest.fixture
def asked(source):
    return Asked(source)


@pytest.fixture
def preview(viewer, asked, qtbot):
    preview = Preview(viewer, Preparer(), asked, asked.told.append, asked.fail)
    yield preview
    preview.leave()
    qtbot.waitUntil(lambda: not preview.is_busy, timeout=WAIT)


def look_at(layer, top, left, bottom, right) -> None:
    """Do what a canvas does when it has been drawn."""
    corners = np.zeros((2, layer.ndim), int)
    corners[:, -2:] = [[top, left], [bottom, right]]
    layer.corner_pixels = corners


def show(preview, qtbot):
    preview.start()
    return wait_for(preview, qtbot)


def wait_for(preview, qtbot):
    qtbot.waitUntil(
        lambda: preview.layer is not None and not preview.is_busy, timeout=WAIT
    )
    return preview.layer


def test_it_lies_over_what_is_in_view(viewer, source, preview, qtbot):
    look_at(source, 10, 20, 19, 35)
    viewer.dims.set_current_step(0, 1)

    layer = show(preview, qtbot)

    assert viewer.layers[-1] is layer
    assert is_only_looked_at(layer)
    seen = source.data[1, 10:20, 20:36]
    np.testing.assert_array_equal(layer.data[0], seen.repeat(2, 0).repeat(2, 1))
    first, last = np.array([1, 9.5, 19.5]), np.array([1, 19.5, 35.5])
    np.testing.assert_allclose(
        layer.data_to_world((0, -0.5, -0.5)), source.data_to_world(first)
    )
    np.testing.assert_allclose(
        layer.data_to_world((0, 19.5, 31.5)), source.data_to_world(last)
    )
    assert layer.contrast_limits == source.contrast_limits


def test_a_recording_that_would_shine_through_is_hidden_for_as_long(
    viewer, source, preview, qtbot
):
    source.blending = "additive"
    layer = show(preview, qtbot)
    assert (layer.visible, source.visible) == (True, False)
    preview.hold(True)  # the recording, in the preview's own layer
    assert not source.visible
    preview.stop()
    assert (layer.visible, source.visible) == (False, True)


def test_a_recording_that_is_covered_stays_as_it_is(source, preview, qtbot):
    show(preview, qtbot)
    assert source.visible


def test_it_leaves_the_selection_as_it_is(viewer, source, preview, qtbot):
    show(preview, qtbot)

    assert set(viewer.layers.selection) == {source}


def test_it_shares_its_contrast_with_the_recording(source, preview, qtbot):
    layer = show(preview, qtbot)

    source.contrast_limits = (5, 50)

    assert layer.contrast_limits == [5, 50]


def test_it_is_hidden_when_it_is_switched_off_and_used_again(
    viewer, source, preview, qtbot
):
    layer = show(preview, qtbot)

    preview.stop()
    assert list(viewer.layers) == [source, layer]
    assert not layer.visible
    result = viewer.add_image(np.zeros((2, 60, 80), np.uint16))

    assert show(preview, qtbot) is layer
    qtbot.waitUntil(lambda: layer.visible, timeout=WAIT)
    assert list(viewer.layers) == [source, result, layer]


def test_it_is_used_again_for_another_recording(viewer, source, asked, preview, qtbot):
    layer = show(preview, qtbot)
    other = viewer.add_image(
        np.arange(600, dtype=np.uint16).reshape(20, 30), name="leaf", colormap="magma"
    )

    asked.layer, asked.stack = other, as_stack(other)
    preview.refresh()
    qtbot.waitUntil(lambda: preview.layer.name == "preview of leaf", timeout=WAIT)
    asked.layer, asked.stack = source, as_stack(source)
    preview.refresh()
    qtbot.waitUntil(lambda: preview.layer.name == "preview of bone", timeout=WAIT)

    assert len(viewer.layers) == 3
    third = viewer.add_image(source.data + 7, name="third", colormap="magma")
    asked.layer, asked.stack = third, as_stack(third)
    layer = preview.layer
    preview.refresh()
    qtbot.waitUntil(lambda: layer.name == "preview of third", timeout=WAIT)
    assert layer.colormap.name == "magma"
    third.contrast_limits = (3, 30)
    assert layer.contrast_limits == [3, 30]
    source.contrast_limits = (5, 50)
    assert layer.contrast_limits == [3, 30]


def test_a_frame_shows_where_it_is(preview, qtbot):
    assert show(preview, qtbot).bounding_box.visible


def test_its_hint_goes_when_it_no_longer_holds(
    viewer, source, asked, preview, qtbot, monkeypatch
):
    monkeypatch.setattr(view, "MOST_PIXELS", 100)
    show(preview, qtbot)
    assert "the middle of the view" in asked.told[-1]

    look_at(source, 14, 19, 16, 21)  # zoomed in: a part of what is shown already
    preview.refresh()

    assert asked.told[-1] == "Preview of what is in view, 6 × 6 px."
    assert not preview.is_busy


def test_it_follows_the_plane(viewer, source, preview, qtbot):
    layer = show(preview, qtbot)
    np.testing.assert_array_equal(layer.data[0, ::2, ::2], source.data[0])

    viewer.dims.set_current_step(0, 1)
    qtbot.waitUntil(lambda: layer.data[0, 0, 0] == source.data[1, 0, 0], timeout=WAIT)

    assert layer.data_to_world((0, 0, 0))[0] == source.data_to_world((1, 0, 0))[0]
    assert viewer.layers[-1] is layer


def test_it_follows_the_choices(source, asked, preview, qtbot):
    layer = show(preview, qtbot)

    asked.factor = 3
    preview.ask_again()
    qtbot.waitUntil(lambda: layer.data.shape == (1, 90, 120), timeout=WAIT)

    np.testing.assert_allclose(layer.scale[1:], source.scale[1:] / 3)


def test_what_is_shown_already_is_not_computed_again(
    source, preview, qtbot, monkeypatch
):
    show(preview, qtbot)
    computed = []
    monkeypatch.setattr(
        preview._background, "start", lambda *a, **_: computed.append(a)
    )

    look_at(source, 5, 5, 9, 9)  # zoomed in
    preview.refresh()

    assert not computed


def test_the_newest_wins_and_stale_ones_are_dropped(asked, preview, qtbot):
    preview.start()
    assert preview.is_busy
    for asked.factor in (8, 4, 3):
        preview.refresh()

    layer = wait_for(preview, qtbot)

    assert layer.data.shape == (1, 90, 120)
    finished = [sentence for sentence in asked.told if sentence.endswith("px.")]
    assert finished == ["Preview of what is in view, 90 × 120 px."]


def test_the_curtain_shows_the_recording_to_its_left(source, asked, preview, qtbot):
    source.data = np.random.default_rng(0).integers(0, 9999, (2, 30, 40), np.uint16)
    asked.stack = as_stack(source)
    asked.model = "bicubic"
    layer = show(preview, qtbot)
    after = np.array(layer.data[0])
    before = source.data[0].repeat(2, 0).repeat(2, 1)
    assert (after != before).any(axis=0).all()  # in each column

    preview.set_curtain(0.25)

    np.testing.assert_array_equal(layer.data[0, :, :19], before[:, :19])
    np.testing.assert_array_equal(layer.data[0, :, 20:], after[:, 20:])


def test_while_the_key_is_held_the_recording_is_seen(viewer, source, preview, qtbot):
    layer = show(preview, qtbot)
    shown = []
    layer.events.set_data.connect(lambda _: shown.append(preview._is_held))

    press = next(held for key, held in viewer.keymap.items() if str(key) == KEY)
    holding = press(viewer)
    next(holding)
    assert preview._is_held
    next(holding, None)

    assert shown == [True, False]
    preview.stop()
    assert KEY not in [str(key) for key in viewer.keymap]


def test_what_cannot_be_previewed_is_said(viewer, asked, preview):
    viewer.dims.ndisplay = 3

    preview.start()

    assert "switch the viewer to 2D" in asked.told[-1]
    assert not preview.is_busy


def test_what_goes_wrong_ends_it_and_is_said(
    viewer, source, asked, preview, qtbot, notified
):
    asked.factor = 5  # there is no such interpolation

    preview.start()
    qtbot.waitUntil(lambda: bool(asked.n_failed), timeout=WAIT)

    (told,) = notified
    assert "2, 3, 4 or 8" in told
    assert not preview.is_on
    assert list(viewer.layers) == [source]


def test_a_preview_that_a_user_removes_is_over(viewer, source, asked, preview, qtbot):
    layer = show(preview, qtbot)

    viewer.layers.remove(layer)

    assert not preview.is_on
    assert asked.n_failed == 1  # which takes the button back
    assert list(viewer.layers) == [source]
    assert show(preview, qtbot) is not layer


def test_moving_the_curtain_changes_pixels_alone(source, preview, qtbot):
    layer = show(preview, qtbot)
    changed = []
    for name in ("data", "scale", "translate", "rotate", "shear", "affine"):
        getattr(layer.events, name).connect(lambda _, name=name: changed.append(name))

    for step in range(1, 10):
        preview.set_curtain(step / 10)

    assert changed == []


def test_a_line_shows_where_the_curtain_is(source, asked, preview, qtbot):
    source.contrast_limits = (0, 60_000)
    layer = show(preview, qtbot)

    preview.set_curtain(0.5)
    assert (layer.data[0, :, 39] == 60_000).all()
    assert (layer.data[0, :, 40] < 60_000).all()
    preview.set_curtain(0)
    assert (layer.data[0] < 60_000).all()


# ── several channels, and results ───────────────────────────────────────────────────


@pytest.fixture
def leaf(viewer, source, asked):
    """Another channel of the same recording."""
    source.blending = "additive"
    pixels = source.data + np.uint16(7)
    leaf = viewer.add_image(
        pixels,
        name="leaf",
        colormap="green",
        blending="additive",
        scale=source.scale,
        translate=source.translate,
    )
    request = UpscaleRequest(
        as_stack(leaf), "nearest", 2, UpscaleSettings(device="cpu")
    )
    asked.others = [(leaf, request)]
    return leaf


def previews(viewer):
    return [one for one in viewer.layers if is_only_looked_at(one)]


def test_all_channels_are_shown_each_in_its_own_colour(
    viewer, source, asked, leaf, preview, qtbot
):
    preview.start()
    qtbot.waitUntil(lambda: len(previews(viewer)) == 2, timeout=WAIT)
    qtbot.waitUntil(lambda: not preview.is_busy, timeout=WAIT)

    first, second = previews(viewer)
    assert (first, first.name) == (preview.layer, "preview of bone")
    assert (second.name, second.colormap.name) == ("preview of leaf", "green")
    np.testing.assert_array_equal(second.data[0, ::2, ::2], leaf.data[0])
    assert asked.told[-1].endswith("60 × 80 px. All 2 channels.")
    assert not source.visible
    assert not leaf.visible
    preview.set_curtain(1)
    np.testing.assert_array_equal(first.data[0, ::2, ::2], source.data[0])

    asked.others = []
    preview.refresh()
    assert [one.visible for one in previews(viewer)] == [True, False]
    assert leaf.visible, "nothing stands for it any more"
    preview.stop()
    assert source.visible


def test_results_are_hidden_for_as_long(viewer, source, preview, qtbot):
    def add(name, **more):
        place = {"scale": source.scale / (1, 2, 2), "translate": source.translate}
        made = {"napari_sr": {"model": "bicubic", "factor": 2}}
        pixels = np.zeros((2, 60, 80), np.uint16)
        return viewer.add_image(pixels, name=name, metadata=made, **place, **more)

    whole, other = add("bone [bicubic]"), add("cells [bicubic]")
    part, hidden = add("bone [bicubic] rows 0–9, columns 0–9"), add("bone [nearest]")
    hidden.visible = False
    other.translate = (0, 900, 900)

    show(preview, qtbot)
    assert not whole.visible
    assert not part.visible
    assert other.visible
    whole.visible = True  # the user wants to see it all the same
    preview.set_curtain(0.5)
    viewer.dims.set_current_step(0, 1)
    qtbot.waitUntil(lambda: preview.layer.data[0, 0, -1] > 1200, timeout=WAIT)
    assert whole.visible
    preview.stop()

    assert part.visible
    assert not hidden.visible
