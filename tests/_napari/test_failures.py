"""What can go wrong while a user works reaches the user, once, in a sentence."""

from __future__ import annotations

import errno

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")

from stacks_on_disk import write_stack

from napari_sr._napari.batch import widget as batch
from napari_sr._napari.batch.widget import Batch
from napari_sr._napari.fine_tune import widget as fine_tune
from napari_sr._napari.fine_tune.widget import FineTune
from napari_sr._napari.layers.writer import write_tiff, write_zarr
from napari_sr._napari.super_resolve.widget import SuperResolve
from napari_sr.catalogue.lookup import list_cards, model_folder
from napari_sr.files import writing
from napari_sr.runs import one_file as batching

WAIT = 60_000
"""Milliseconds within which a flow must end."""
FULL = OSError(errno.ENOSPC, "No space left on device")
FAULTS = pytest.mark.parametrize(
    "error",
    [RuntimeError("shapes differ"), MemoryError("tiles of 64 px"), FULL],
    ids=lambda error: type(error).__name__,
)


def counts(*shape, seed=0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 60_000, shape)
    return pixels.astype(np.uint16)


def failing(error):
    def flow(*_args):
        yield from ()
        raise error

    return flow


class FullSink:
    """A file whose disk has room for one plane."""

    def __init__(self, sink) -> None:
        self._sink = sink

    def __getattr__(self, name):
        return getattr(self._sink, name)

    def put(self, index, plane) -> None:
        if index == (1,):
            raise FULL
        self._sink.put(index, plane)


@pytest.fixture
def full_disk(monkeypatch):
    """Let the second plane of every file find no room."""
    real = writing.AtomicWriter._open_sink
    monkeypatch.setattr(
        writing.AtomicWriter, "_open_sink", lambda writer: FullSink(real(writer))
    )


@pytest.fixture
def batch_widget(viewer, qtbot, tmp_path, tiny_card):
    widget = Batch(viewer)
    qtbot.addWidget(widget.native)
    widget.form.model.value = "tiny"
    write_stack(tmp_path / "in" / "a.ome.tif", counts(2, 24, 24), "zyx")
    widget.form.paths.value = str(tmp_path / "in")
    widget.form.output.value = str(tmp_path / "out")
    return widget


@pytest.fixture
def trainer(viewer, qtbot, tiny_card):
    for seed in range(3):
        viewer.add_image(counts(64, 64, seed=seed), name=f"sharp {seed}")
    widget = FineTune(viewer)
    widget.form.base.value = "tiny"
    widget.form.model_name.value = "mine"
    widget.examples.images.take(*viewer.layers)
    widget.examples._settled.stop()
    yield widget
    widget.close()


def run_batch_to_end(widget, qtbot) -> None:
    widget.run_button.native.click()
    qtbot.waitUntil(lambda: not widget._background.is_busy, timeout=WAIT)


# ── a model that is removed between choosing and running ────────────────────────────


def remove_model() -> None:
    (path,) = model_folder().glob("tiny*")
    path.unlink()


def test_super_resolve_says_that_its_model_is_gone(viewer, qtbot, tiny_card, notified):
    viewer.add_image(counts(2, 24, 24))
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    widget.model.value = "tiny"

    remove_model()
    widget.run()
    qtbot.waitUntil(lambda: not widget._running.is_on, timeout=WAIT)

    (told,) = notified
    assert "no model named 'tiny'" in told
    assert len(viewer.layers) == 1
    assert widget.run_button.enabled
    widget._running.leave()


def test_batch_says_that_its_model_is_gone(batch_widget, qtbot, notified):
    remove_model()
    run_batch_to_end(batch_widget, qtbot)

    (told,) = notified
    assert "no model named 'tiny'" in told
    assert batch_widget.status.value == "Failed: nothing done."
    assert batch_widget.run_button.enabled


def test_fine_tune_says_that_its_base_is_gone(trainer, qtbot, notified):
    remove_model()
    trainer.start()
    qtbot.waitUntil(lambda: not trainer._background.is_busy, timeout=WAIT)

    (told,) = notified
    assert "no model named 'tiny'" in told
    assert trainer.status.value == "Failed"
    assert trainer.start_button.native.isEnabled()


# ── a disk that is full ─────────────────────────────────────────────────────────────


def test_batch_says_that_the_disk_is_full_and_leaves_no_half_file(
    batch_widget, qtbot, full_disk, tmp_path
):
    run_batch_to_end(batch_widget, qtbot)

    assert batch_widget.status.value == "1 failed of 1."
    assert "No space left" in batch_widget.explanation.value
    assert not [*(tmp_path / "out").glob("*")]


@pytest.mark.parametrize(
    ("write", "suffix"), [(write_tiff, ".ome.tif"), (write_zarr, ".ome.zarr")]
)
def test_a_layer_for_which_there_is_no_room_leaves_no_half_file(
    full_disk, tmp_path, write, suffix
):
    with pytest.raises(OSError, match="No space left"):  # which napari passes on
        write(str(tmp_path / f"a{suffix}"), counts(2, 8, 8), {"name": "a"})

    assert not [*tmp_path.iterdir()]


def test_a_model_for_which_there_is_no_room_can_be_saved_later(
    trainer, qtbot, monkeypatch, notified
):
    quick = {"iterations": 4, "validate_every": 4, "batch": 2, "patch": 16}
    trainer.form.further_settings = lambda: quick
    trainer.start()
    qtbot.waitUntil(lambda: not trainer._background.is_busy, timeout=WAIT)
    real = fine_tune.save
    monkeypatch.setattr(fine_tune, "save", lambda *_: (_ for _ in ()).throw(FULL))

    trainer.save()
    qtbot.waitUntil(lambda: not trainer._background.is_busy, timeout=WAIT)
    (told,) = notified
    assert "No space left" in told
    assert trainer.save_bar.native.isVisibleTo(trainer.native)

    monkeypatch.setattr(fine_tune, "save", real)
    trainer.save()
    qtbot.waitUntil(lambda: not trainer._background.is_busy, timeout=WAIT)
    assert "mine" in {card.name for card in list_cards()}


# ── what a batch as a whole, or one of its files, meets ─────────────────────────────


@FAULTS
def test_a_batch_that_cannot_go_on_says_why_once(
    batch_widget, qtbot, monkeypatch, notified, error
):
    monkeypatch.setattr(batch, "run_batch", failing(error))

    run_batch_to_end(batch_widget, qtbot)

    (told,) = notified
    assert str(error) in told
    assert batch_widget.run_button.enabled


@FAULTS
def test_what_one_file_meets_is_said_beside_it(
    batch_widget, qtbot, monkeypatch, notified, error
):
    monkeypatch.setattr(batching, "run_job", failing(error))

    run_batch_to_end(batch_widget, qtbot)

    assert batch_widget.status.value == "1 failed of 1."
    assert str(error) in batch_widget.explanation.value.replace("\u200b", "")
    assert not notified


# ── a layer that is removed ─────────────────────────────────────────────────────────


def test_layers_that_are_removed_are_learnt_from_all_the_same(
    trainer, viewer, qtbot, monkeypatch, notified
):
    quick = {"iterations": 4, "validate_every": 4, "batch": 2, "patch": 16}
    trainer.form.further_settings = lambda: quick

    trainer.start()
    viewer.layers.clear()
    trainer.reset_choices()
    qtbot.waitUntil(lambda: not trainer._background.is_busy, timeout=WAIT)

    assert trainer.verdict.value
    assert not notified
