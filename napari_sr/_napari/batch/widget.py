"""The widget: many recordings into a folder, one after the other.

This module alone knows when what of it can be used.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from napari.layers import Image
from napari.utils.notifications import show_error
from napari.viewer import Viewer

from napari_sr._napari.batch.file_list import BatchList
from napari_sr._napari.batch.form import BatchForm
from napari_sr._napari.layers.geometry import upscaled_placement
from napari_sr._napari.layers.mixed_channels import may_run
from napari_sr._napari.layers.pixel_size import split_channels
from napari_sr._napari.layers.place import KEPT, as_stack
from napari_sr._napari.layers.roles import images_in
from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.messages import tell_error
from napari_sr._napari.parts.model_choice import FACTORS
from napari_sr._napari.parts.numbers import take_typed
from napari_sr._napari.parts.panel import (
    Brief,
    Buttons,
    Panel,
    bar,
    button,
    text,
    weakly,
)
from napari_sr.interactive.batch import (
    BatchRequest,
    Ended,
    FilesListed,
    LayerSource,
    Progress,
    run_batch,
)
from napari_sr.interactive.layer_axes import unheld
from napari_sr.settings import explain

NOT_READY = "Choose recordings and a folder for the results."
_BAR = 1000


class Batch(Panel):
    """Super-resolve many files or all layers into a folder.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be taken, and in which results are opened.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._background = Background(self._refresh)
        self._outcome = ""
        self._ended: dict[str, int] = {}
        self._n_files = 0
        self.form = BatchForm()
        self.run_button = button("Run", self.run, is_main=True)
        self.stop_button = button("Stop", self.stop)
        self.bar, self.status, self.explanation = bar(), text(), text()
        self.bar.setRange(0, _BAR)
        self.list = BatchList()
        self.put(self.form, self.fold("More settings", self.form.more))
        self.put(self.list, stretch=1)
        self.begin_foot(stretch=0)
        self.put(Brief(self.status, self.explanation), self.bar)
        self.put(Buttons(self.run_button, self.stop_button))
        self.end(stretch=0)
        self.form.changed.connect(self._refresh)
        self.list.chosen.connect(weakly(self._open))
        self.list.explained.connect(weakly(self._tell))
        when_closed(self.native, self._background.leave)
        self._refresh()

    def reset_choices(self, *_: object) -> None:
        """Offer the models that there are now."""
        super().reset_choices()
        self._refresh()

    def run(self) -> None:
        """Do one recording after the other."""
        take_typed(self.native)
        images = images_in(self._viewer.layers) if self.form.takes_layers else []
        split = partial(split_channels, self._viewer)
        if not may_run(images, self.native, split):
            return
        try:
            request = self._request()
        except ValueError as error:
            show_error(explain(error))
            return
        self.form.remember()
        self._ended, self._n_files, self._outcome = {}, 0, ""
        self.list.clear()
        self._say("Preparing …")
        self._background.start(
            run_batch,
            request,
            title="Batch",
            step=self._show_event,
            end=self._end,
        )

    def stop(self) -> None:
        """Stop after this tile; running again does the rest."""
        self._background.stop()
        self._refresh()

    def _request(self) -> BatchRequest:
        """Gather what the user wants; a ValueError says what is missing."""
        form = self.form
        if form.folder is None:
            raise ValueError("No folder for the results is chosen; choose one.")
        if not (form.takes_layers or form.patterns):
            raise ValueError("No recordings are chosen; choose files or a folder.")
        if form.model.missing:
            raise ValueError(form.model.missing)
        layers = self._layers() if form.takes_layers else ()
        if form.takes_layers and not layers:
            raise ValueError("There are no image layers; open one, or choose files.")
        return BatchRequest(
            patterns=() if form.takes_layers else form.patterns,
            layers=layers,
            folder=form.folder,
            model=form.model.value,
            factor=form.factor.asked_of(form.model.model),
            settings=form.settings,
            compression=form.compression.value,
            replace=form.replace.value,
        )

    def _layers(self) -> tuple[LayerSource, ...]:
        images = images_in(self._viewer.layers, colours=True)
        return tuple(_take(layer) for layer in images)

    def _show_event(self, event: FilesListed | Progress | Ended) -> None:
        if isinstance(event, FilesListed):
            self._n_files = len(event.names)
            self.list.show_files(event)
        elif isinstance(event, Progress):
            self.list.show_progress(event)
            self._show_share(event.number + event.done / event.total)
        else:
            self.list.show_end(event)
            self._ended[event.status] = self._ended.get(event.status, 0) + 1
            self._show_share(event.number + 1)

    def _show_share(self, n_files_done: float) -> None:
        """Show how much of the batch is done."""
        done = round(_BAR * n_files_done / max(1, self._n_files))
        self.bar.setValue(done)
        place = min(int(n_files_done) + 1, self._n_files)
        self._say(f"{place} of {self._n_files} …")
        self._background.show_progress(done, _BAR)

    def _end(self, outcome: str) -> None:
        names = ("done", "already done", "failed")
        counts = [
            f"{self._ended[name]} {name}" for name in names if name in self._ended
        ]
        total = f"{outcome.capitalize()}: " if outcome != "done" else ""
        summary = ", ".join(counts) or "nothing done"
        share = f" of {self._n_files}" if self._n_files else ""
        self._outcome = f"{total}{summary}{share}."
        self.list.settle()
        self.bar.setValue(_BAR if outcome == "done" else 0)

    def _tell(self, words: str) -> None:
        # A long path may be broken after each slash, or it would widen the dock.
        self.explanation.value = words.replace("/", "/\u200b")

    def _say(self, words: str) -> None:
        self.status.value = words

    def _open(self, path: Path) -> None:
        """Open a result beside the other layers."""
        try:
            self._viewer.open(str(path), plugin="napari-sr")
        except Exception as error:  # whatever napari makes of it
            tell_error(error)

    def _refresh(self) -> None:
        """Enable what can be used now."""
        form, is_on = self.form, self._background.is_busy
        ready = form.folder is not None and (form.takes_layers or bool(form.patterns))
        missing = form.model.missing
        form.enabled = not is_on
        self.run_button.enabled = ready and not missing and not is_on
        self.stop_button.enabled = is_on and not self._background.is_stopping
        if not is_on:
            self._say(missing or self._outcome or ("" if ready else NOT_READY))


def _take(layer: Image) -> LayerSource:
    """Take a layer as a source, with what a file cannot hold of its place.

    Raises
    ------
    StackError
        If its pixels are not usable, in one sentence.
    """
    placed = {factor: upscaled_placement(layer, factor) for factor in FACTORS}
    kept = {factor: unheld(place, layer.ndim) for factor, place in placed.items()}
    notes: dict[int, dict[str, object]] = {
        factor: {KEPT: held} if held else {} for factor, held in kept.items()
    }
    return LayerSource(as_stack(layer), notes)
