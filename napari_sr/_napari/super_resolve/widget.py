"""The panel: choose a layer and a model, look at a preview, run.

It puts the rows, the preview and the run together. This module alone knows what the
user sees, and when which part of it can be used. napari reads annotations here, so they
are not postponed.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

from magicgui.widgets import PushButton, Slider
from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from napari.viewer import Viewer
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_sr._napari.layers.mixed_channels import may_run
from napari_sr._napari.layers.pixel_size import file_behind, file_of
from napari_sr._napari.layers.place import as_stack, size_of
from napari_sr._napari.layers.roles import result_to_save
from napari_sr._napari.layers.saving import refuse_to_replace, suggest_path
from napari_sr._napari.layers.view import NotInViewError
from napari_sr._napari.layers.writer import KINDS, are_channels, save_layers
from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.messages import ask_and_write
from napari_sr._napari.parts.numbers import take_typed
from napari_sr._napari.parts.panel import (
    Brief,
    Buttons,
    Form,
    Panel,
    Words,
    bar,
    button,
    show_progress,
    text,
    weakly,
    when,
)
from napari_sr._napari.parts.preferences import preferences
from napari_sr._napari.parts.remembered import SUPER_RESOLVE, recall, remember
from napari_sr._napari.parts.worker import once
from napari_sr._napari.super_resolve.closing import ask_before_closing
from napari_sr._napari.super_resolve.controls import IN_VIEW, WHOLE, Choices
from napari_sr._napari.super_resolve.preview import KEY, Preview
from napari_sr._napari.super_resolve.run import Running
from napari_sr.image.stack import Stack, StackError
from napari_sr.interactive.as_script import python_script, recipe_of
from napari_sr.interactive.prepared import FoundNoise, Preparer
from napari_sr.interactive.request import UpscaleRequest
from napari_sr.interactive.roles import name_of_channel
from napari_sr.interactive.telling import REST, next_step
from napari_sr.recipes import upscale_recipe_text
from napari_sr.settings import UpscaleSettings, explain

LOOK_AFTER_MS = 200
"""The machine is looked at when the panel has been seen for so long."""


class SuperResolve(Panel):
    """Super-resolve a layer of the viewer.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be chosen, and which gets the result.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._stacks: WeakKeyDictionary[Image, tuple[object, object, Stack]]
        self._stacks = WeakKeyDictionary()
        self._preparer = Preparer()
        self._looking, self._saving = Background(), Background(self._refresh)
        self._running = Running(napari_viewer, self._preparer, self._refresh)
        self._preview = Preview(
            napari_viewer,
            self._preparer,
            self._ask_for_preview,
            self._say,
            self._end_preview,
        )
        self.choices = Choices(napari_viewer, weakly(self._noise_found))
        self._has_rest = False
        self._look_timer = QTimer(self.native)
        self._look_timer.setSingleShot(True)
        self._look_timer.setInterval(LOOK_AFTER_MS)
        self._lay_out()
        self._recall()
        self._connect()
        self._refresh()

    def _lay_out(self) -> None:
        self.preview_button = PushButton(
            text="Preview",
            tooltip=(
                "Super-resolve what is in view, with the same pixels as Run. Follows "
                "the view, the plane and the choices above."
            ),
        )
        self.preview_button.native.setCheckable(True)
        self.before_button = PushButton(
            text=f"Before ({KEY})",
            tooltip=f"Hold it, or the {KEY} key on the canvas, to see the recording.",
        )
        self.curtain = Slider(
            name="curtain",
            max=100,
            label="Recording on the left / %",
            tooltip=(
                "The curtain: how much of the width shows the recording, on the left; "
                "the rest shows the result."
            ),
        )
        self._curtain_row = Form(self.curtain)
        self.run_button = button("Run", self.run, is_main=True)
        self.stop_button = button("Stop", self.stop)
        self.bar, self.status, self.next_step = bar(), text(), text(name="next_step")
        self.save_result_button = button("Save result …", self.save_result)
        self.undo_button = button("Undo run", self.undo)
        self.copy_button = button("Copy as Python", self.copy_as_python)
        self.recipe_button = button("Save as recipe …", self.save_as_recipe)
        self.put(self.choices, Buttons(self.preview_button, self.before_button))
        self.put(self._curtain_row, self.fold("More settings", self.choices.more))
        self.put(Buttons(self.copy_button, self.recipe_button))
        self.begin_foot()
        self.put(Brief(self.status, self.next_step), self.bar)
        self.put(Buttons(self.run_button, self.stop_button))
        self.put(Buttons(self.save_result_button, self.undo_button))
        self.end(stretch=0)
        self._curtain_row.visible = False

    def reset_choices(self, *_: object) -> None:
        """Offer the layers and models that there are now."""
        self.choices.reset_choices()
        self._refresh()

    def run(self) -> None:
        """Super-resolve the chosen layer, or what is missing of it."""
        take_typed(self.native)
        layers = self.choices.layers
        if not may_run(layers, self.native, self.choices.pixel_size.split):
            return
        asked = self._ask_for_all(show_error)
        if asked and len(asked) == len(layers):
            self.preview_button.native.setChecked(False)
            only = self.choices.planes.value == IN_VIEW
            self._running.start_all(asked, only=only)

    def undo(self) -> None:
        """Take runs back one by one, the newest first; recordings stay."""
        self._running.undo()

    def use(self, model: str) -> None:
        """Choose a model by its name."""
        self.choices.model.recall(model)

    def toggle_preview(self) -> None:
        """Turn the preview on or off."""
        self.preview_button.native.toggle()

    def stop(self) -> None:
        """Stop after this tile; the planes done are kept."""
        self._running.stop()

    def save_result(self) -> None:
        """Write the selected result, or the newest one, into a file.

        With its pixel size, and how it was made; where a run made several channels of
        one recording, all of them.
        """
        layer = self._result
        if layer is None or self._saving.is_busy:
            return
        layers = self._running.made_with(layer)
        layers = layers if are_channels(layers) else [layer]
        name = suggest_path(layers, self._viewer.layers)
        path, kind = QFileDialog.getSaveFileName(
            self.native, "Save result", name, ";;".join(KINDS)
        )
        if path:
            self._write(layers, path, kind or next(iter(KINDS)))

    def _write(self, layers: list[Image], path: str, kind: str) -> None:
        try:
            refuse_to_replace(path, self._viewer.layers)
        except ValueError as error:
            show_error(explain(error))
            return
        self._saving.start(
            once,
            save_layers,
            layers,
            path,
            kind,
            title=f"Save {Path(path).name}",
            result=lambda written: show_info(f"Saved: {written}{_count(layers)}"),
        )

    @property
    def _result(self) -> Image | None:
        layers = self._viewer.layers
        return result_to_save(layers, layers.selection.active)

    def copy_as_python(self) -> None:
        """Put a script that does the same into the clipboard."""
        take_typed(self.native)
        asked = self._ask(show_error)
        if asked is not None:
            script = python_script(file_of(asked[0]), asked[1])
            QApplication.clipboard().setText(script)
            what = "the same" if self._is_whole else "the same of whole planes"
            show_info(f"A Python script that does {what} is on the clipboard.")

    def save_as_recipe(self) -> None:
        """Write a file for `napari-sr upscale --recipe FILE` that does the same."""
        take_typed(self.native)
        asked = self._ask(show_error)
        if asked is None:
            return
        name = f"{asked[0].name}.toml".replace("/", "_")
        words = ("Save as recipe", name, "Recipe (*.toml)")
        recipe = upscale_recipe_text(recipe_of(file_of(asked[0]), asked[1]))
        ask_and_write(self.native, words, partial(self._write_recipe, recipe))

    def _write_recipe(self, recipe: str, path: str) -> None:
        Path(path).write_text(recipe, "utf-8")
        what = "" if self._is_whole else ", of whole planes"
        show_info(f"Saved{what}. Run it with: napari-sr upscale --recipe {path}")

    @property
    def _is_whole(self) -> bool:
        return bool(self.choices.part.value == WHOLE)

    @property
    def settings(self) -> UpscaleSettings:
        """How to super-resolve: what is chosen."""
        return self.choices.settings

    def _ask(
        self, refuse: Callable[[str], object], layer: Image | None = None
    ) -> tuple[Image, UpscaleRequest] | None:
        """Gather what is asked for now; None where nothing can be, with a sentence."""
        choices, layer = self.choices, layer or self.choices.layer.value
        if layer is None:
            return None
        if missing := choices.missing_for(layer):
            refuse(missing)
            return None
        known = self._stacks.get(layer)
        try:
            if (
                known is None
                or known[0] is not layer.data
                or known[1] != size_of(layer)
            ):
                # One stack for as long as the pixels are the same: see `Preparer`.
                known = (layer.data, size_of(layer), as_stack(layer))
                self._stacks[layer] = known
        except StackError as error:
            refuse(explain(error))
            return None
        return layer, choices.request_for(known[2], layer)

    def _ask_for_preview(self) -> list[tuple[Image, UpscaleRequest]]:
        """Gather what a preview would show now; nothing where some cannot be."""
        asked = [self._ask(self._say, layer) for layer in self.choices.together]
        return [one for one in asked if one] if all(asked) else []

    def _ask_for_run(
        self, refuse: Callable[[str], object], layer: Image | None = None
    ) -> tuple[Image, UpscaleRequest] | None:
        """Gather what Run would do now, of the chosen part; else as `_ask`."""
        asked = self._ask(refuse, layer)
        if asked is None:
            return None
        try:
            part = self.choices.part_of(asked[0])
        except NotInViewError as error:
            refuse(explain(error))
            return None
        return asked[0], replace(asked[1], part=part)

    def _ask_for_all(
        self, refuse: Callable[[str], object]
    ) -> list[tuple[Image, UpscaleRequest]]:
        """Gather what Run would do now of each layer; what cannot be is left out."""
        asked = (self._ask_for_run(refuse, layer) for layer in self.choices.layers)
        return [one for one in asked if one is not None]

    def _on_changed(self) -> None:
        choices = self.choices
        if self.native.isVisible():
            self._look_timer.start()
        chosen = ("model", "factor", "consistency", "device")
        remember(SUPER_RESOLVE, {name: getattr(choices, name).value for name in chosen})
        self._preview.ask_again()
        self._refresh()

    def _recall(self) -> None:
        choices, recalled = self.choices, recall(SUPER_RESOLVE)
        choices.model.recall(recalled.get("model"))
        choices.factor.offer(recalled.get("factor"))
        choices.consistency.offer(recalled.get("consistency"))
        choices.device.offer(recalled.get("device") or preferences().device)

    def _look(self) -> None:
        choices = self.choices
        if not self.native.isVisible():
            return
        self._looking.leave()  # only what is chosen now is of interest
        asked = self._ask(_say_nothing)
        self._looking.start(
            once,
            self._preparer.look,
            choices.model.model,
            choices.factor.asked_of(choices.model.model),
            choices.settings,
            asked[1].stack if asked else None,
            file_behind(asked[0]) if asked else None,
            title=None,
            result=choices.show_machine,
        )

    def _guard(self) -> None:
        """Have a question asked before napari is closed over a long run."""
        window = self.native.window()
        if window is not self.native:
            ask_before_closing(window, self._running)

    def _switch_preview(self, is_on: bool) -> None:
        self._curtain_row.visible = is_on
        if is_on:
            take_typed(self.native)
            self._preview.start()
        else:
            self._preview.stop()
        self._refresh()

    def _move_curtain(self, percent: float) -> None:
        self._preview.set_curtain(percent / 100)

    def _end_preview(self) -> None:
        self.preview_button.native.setChecked(False)

    def _noise_found(self) -> FoundNoise | None:
        asked = self._ask(_say_nothing)
        return self._preparer.noise_found(asked[1]) if asked else None

    def _say(self, sentence: str) -> None:
        self.choices.noise.show_found()  # there may be some since
        _tell(self.status, sentence)

    def _refresh(self) -> None:
        """Enable what can be used now, and say how the run goes."""
        running, chosen = self._running, self.choices.layer.value is not None
        self.choices.enabled = not running.is_on
        can_run = chosen and not running.is_on and not self._is_model_missing
        self.run_button.enabled = can_run
        # One that is on can be turned off.
        self.preview_button.enabled = can_run or self._preview.is_on
        for one in (self.copy_button, self.recipe_button):
            one.enabled = chosen
        self.stop_button.enabled = running.is_on
        can_save = self._result is not None and not self._saving.is_busy
        self.save_result_button.enabled = can_save
        self.undo_button.enabled = bool(running.last) and not running.is_on
        self.before_button.enabled = self._preview.is_on
        # Only when it changes: whatever touches the layout has all of the window laid
        # out and drawn again, and this is called after each tile.
        if self.bar.isHidden() == running.is_on:
            self.bar.setVisible(running.is_on)
        show_progress(self.bar, *running.progress)
        if not self._preview.is_on:
            self._say(running.sentence)
        if not running.is_on:
            asked = self._ask_for_all(self._say)
            is_one = self.choices.planes.value == IN_VIEW
            self._offer_run([] if is_one else running.rest_of(asked))
        _tell(self.next_step, self._find_next_step())

    @property
    def _is_model_missing(self) -> bool:
        return any(map(self.choices.missing_for, self.choices.layers))

    def _find_next_step(self) -> str:
        choices, running = self.choices, self._running
        layers = choices.layers
        return next_step(
            [name_of_channel(layer) for layer in layers],
            can_take_one=choices.channels.value and not choices.selected.value,
            is_running=running.is_on,
            is_model_missing=self._is_model_missing,
            is_previewing=self._preview.is_on,
            has_dial=choices.dial.enabled,
            has_rest=self._has_rest,
            has_result=running.has_made_of(layers),
        )

    def _offer_run(self, rest: list[tuple[Image, UpscaleRequest]]) -> None:
        """Say what Run does: everything, or what is missing."""
        self._has_rest = bool(rest)
        words = REST if rest else "Run"
        if self.run_button.text != words:
            self.run_button.text = words
        self.run_button.tooltip = (
            f"Compute what is missing of {', '.join(layer.name for layer, _ in rest)}."
            if rest
            else "Super-resolve the chosen layer; planes appear as they finish."
        )

    def _connect(self) -> None:
        self.choices.changed.connect(self._on_changed)
        self.preview_button.native.toggled.connect(weakly(self._switch_preview))
        before = self.before_button.native
        before.pressed.connect(partial(weakly(self._preview.hold), True))
        before.released.connect(partial(weakly(self._preview.hold), False))
        self.curtain.changed.connect(self._move_curtain)
        self._look_timer.timeout.connect(weakly(self._look))
        when(self.native, QEvent.Type.Show, self._look_timer.start)
        when(self.native, QEvent.Type.Show, weakly(self._guard))
        # Meanwhile the view may be another one, or a rectangle drawn.
        when(self.native, QEvent.Type.Enter, weakly(self._refresh))
        # A file is written.
        parts = (self._preview, self._running, self._looking, self.choices)
        when_closed(self.native, partial(_leave, parts))


def _tell(label: Words, words: str) -> None:
    """Say something, or take no room."""
    if label.value != words:
        label.value = words
    if label.native.isHidden() == bool(words):
        label.native.setVisible(bool(words))


def _say_nothing(_sentence: str) -> None:
    """Be silent: it is said elsewhere."""


def _leave(parts: tuple[Preview, Running, Background, Choices]) -> None:
    """Let go of the viewer, and end what is under way."""
    for part in parts:
        part.leave()


def _count(layers: list[Image]) -> str:
    return f", {len(layers)} channels" if len(layers) > 1 else ""
