"""The widget: choose a layer and a model, look at a preview, run.

It puts the rows, the preview and the run together. This module alone knows what the
user sees, and when which part of it can be used. napari reads annotations here, so they
are not postponed.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from weakref import WeakKeyDictionary

from napari.layers import Image
from napari.utils.notifications import show_error, show_info
from napari.viewer import Viewer
from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QApplication, QFileDialog, QVBoxLayout, QWidget

from napari_sr._napari.layers.layer_stack import as_stack
from napari_sr._napari.layers.roles import images_in, result_to_save
from napari_sr._napari.layers.writer import KINDS, save_layer
from napari_sr._napari.parts.background import Background, when_closed
from napari_sr._napari.parts.form import STYLE, choose, order_by_tab
from napari_sr._napari.parts.preferences import preferences
from napari_sr._napari.parts.remembered import SUPER_RESOLVE, recall, remember
from napari_sr._napari.parts.worker import once
from napari_sr._napari.super_resolve.actions import CURTAIN_STEPS, Actions
from napari_sr._napari.super_resolve.as_script import python_script, recipe_of
from napari_sr._napari.super_resolve.controls import Choices
from napari_sr._napari.super_resolve.prepared import Preparer
from napari_sr._napari.super_resolve.preview import KEY, Preview
from napari_sr._napari.super_resolve.request import UpscaleRequest
from napari_sr._napari.super_resolve.run import Running
from napari_sr.image.stack import Stack, StackError
from napari_sr.recipes import upscale_recipe_text
from napari_sr.settings import explain

LOOK_AFTER_MS = 200
"""The machine is looked at when the widget has been seen for so long."""


class SuperResolve(QWidget):
    """Super-resolve a layer of the viewer.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be chosen, and which gets the result.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._stacks: WeakKeyDictionary[Image, tuple[object, Stack]]
        self._stacks = WeakKeyDictionary()
        self._preparer = Preparer()
        self._looking, self._saving = Background(), Background(self._refresh)
        self._running = Running(napari_viewer, self._preparer, self._refresh)
        self._preview = Preview(
            napari_viewer,
            self._preparer,
            lambda: self._ask(self._say),
            self._say,
            self._end_preview,
        )
        self._choices, self._actions = Choices(self), Actions(KEY, self)
        order_by_tab([*self._choices.in_order(), *self._actions.in_order()])
        self._look_timer = QTimer(self)
        self._look_timer.setSingleShot(True)
        self._look_timer.setInterval(LOOK_AFTER_MS)
        self.setStyleSheet(STYLE)
        column = QVBoxLayout(self)
        column.addWidget(self._choices)
        column.addWidget(self._actions)
        column.addStretch()
        self.reset_choices()
        self._recall()
        self._connect()
        self._refresh()

    def reset_choices(self, *_: object) -> None:
        """Offer the layers and models that there are now."""
        layers = self._viewer.layers
        images = images_in(layers, colours=True)
        self._choices.offer_layers(images, layers.selection.active)
        self._choices.models.refresh()
        self._refresh()

    def run(self) -> None:
        """Super-resolve the chosen layer, or what is missing of it."""
        asked = self._ask(show_error)
        if asked is not None:
            self._actions.preview.setChecked(False)
            self._running.start(*asked)

    def use(self, model: str) -> None:
        """Choose a model by its name."""
        self._choices.models.choose(model)

    def toggle_preview(self) -> None:
        """Turn the preview on or off."""
        self._actions.preview.toggle()

    def stop(self) -> None:
        """Stop after the current tile; planes that are done stay."""
        self._running.stop()

    def save_result(self) -> None:
        """Ask for a file, and write the selected result, or the newest, into it."""
        layer = self._result
        if layer is None or self._saving.is_busy:
            return
        name = f"{layer.name}.ome.tif".replace("/", "_")
        kinds = ";;".join(KINDS)
        path, kind = QFileDialog.getSaveFileName(self, "Save result", name, kinds)
        if path:
            self._saving.start(
                once,
                save_layer,
                layer,
                path,
                kind or next(iter(KINDS)),
                title=f"Save {layer.name}",
                result=lambda written: show_info(f"Saved: {written}"),
            )

    @property
    def _result(self) -> Image | None:
        layers = self._viewer.layers
        return result_to_save(layers, layers.selection.active)

    def copy_as_python(self) -> None:
        """Put a script that does the same into the clipboard."""
        asked = self._ask(show_error)
        if asked is not None:
            QApplication.clipboard().setText(python_script(*asked))
            show_info("A Python script that does the same is in the clipboard.")

    def save_as_recipe(self) -> None:
        """Ask for a file, and write a recipe of the same run into it."""
        asked = self._ask(show_error)
        if asked is None:
            return
        name = f"{asked[0].name}.toml".replace("/", "_")
        path, _ = QFileDialog.getSaveFileName(
            self, "Save as recipe", name, "Recipe (*.toml)"
        )
        if path:
            Path(path).write_text(upscale_recipe_text(recipe_of(*asked)), "utf-8")
            show_info(f"Saved. Run it with: napari-sr upscale --recipe {path}")

    def showEvent(self, event: QShowEvent) -> None:
        """Look at the machine once somebody looks at the widget."""
        super().showEvent(event)
        self._look_timer.start()

    def _ask(
        self, refuse: Callable[[str], object]
    ) -> tuple[Image, UpscaleRequest] | None:
        """Gather what is asked for now; None where nothing can be, with a sentence."""
        choices, layer = self._choices, self._choices.layer
        if layer is None:
            return None
        known = self._stacks.get(layer)
        if known is None or known[0] is not layer.data:
            # One stack for as long as the pixels are the same: see `Preparer`.
            try:
                known = self._stacks[layer] = (layer.data, as_stack(layer))
            except StackError as error:
                refuse(explain(error))
                return None
        request = UpscaleRequest(
            known[1], choices.model, choices.factor, choices.settings
        )
        return layer, request

    def _on_changed(self) -> None:
        choices = self._choices
        if self.isVisible():
            self._look_timer.start()
        chosen = {
            "model": choices.models.name,
            "factor": choices.models.factor_box.currentData(),
            "consistency": choices.agreement_box.currentData(),
            "device": choices.device_box.currentData(),
        }
        remember(SUPER_RESOLVE, chosen)
        self._preview.ask_again()
        self._refresh()

    def _recall(self) -> None:
        choices, recalled = self._choices, recall(SUPER_RESOLVE)
        choices.models.choose(recalled.get("model"), recalled.get("factor"))
        choose(choices.agreement_box, recalled.get("consistency"))
        device = recalled.get("device") or preferences().device
        choose(choices.device_box, device)

    def _look(self) -> None:
        choices = self._choices
        self._looking.leave()  # only what is chosen now is of interest
        self._looking.start(
            once,
            self._preparer.look,
            choices.model,
            choices.factor,
            choices.settings,
            title=None,
            result=choices.show_machine,
        )

    def _switch_preview(self, is_on: bool) -> None:
        self._actions.curtain_row.setVisible(is_on)
        if is_on:
            self._preview.start()
        else:
            self._preview.stop()
        self._refresh()

    def _end_preview(self) -> None:
        self._actions.preview.setChecked(False)

    def _say(self, sentence: str) -> None:
        self._actions.status.setText(sentence)

    def _refresh(self) -> None:
        """Enable what can be used now, and say how the run goes."""
        running, actions = self._running, self._actions
        chosen = self._choices.layer is not None
        self._choices.setEnabled(not running.is_on)
        for button in (actions.run, actions.preview):
            button.setEnabled(chosen and not running.is_on)
        for button in (actions.copy, actions.save):
            button.setEnabled(chosen)
        actions.stop.setEnabled(running.is_on)
        can_save = self._result is not None and not self._saving.is_busy
        actions.save_result.setEnabled(can_save)
        actions.before.setEnabled(self._preview.is_on)
        actions.show_progress(*running.progress, is_on=running.is_on)
        if not self._preview.is_on:
            self._say(running.sentence)
        if not running.is_on:
            asked = self._ask(self._say)
            actions.offer_run(running.missing_of(asked[1]) if asked else 0)

    def _connect(self) -> None:
        actions = self._actions
        self._choices.changed.connect(self._on_changed)
        actions.preview.toggled.connect(self._switch_preview)
        actions.before.pressed.connect(lambda: self._preview.hold(True))
        actions.before.released.connect(lambda: self._preview.hold(False))
        actions.curtain.valueChanged.connect(self._move_curtain)
        actions.run.clicked.connect(self.run)
        actions.stop.clicked.connect(self.stop)
        actions.save_result.clicked.connect(self.save_result)
        actions.copy.clicked.connect(self.copy_as_python)
        actions.save.clicked.connect(self.save_as_recipe)
        self._look_timer.timeout.connect(self._look)
        parts = (self._preview, self._running, self._looking)  # a file is written
        when_closed(self, partial(_leave, parts))

    def _move_curtain(self, step: int) -> None:
        self._preview.set_curtain(step / CURTAIN_STEPS)


def _leave(parts: tuple[Preview, Running, Background], *_: object) -> None:
    """Let go of the viewer, and end what is under way."""
    for part in parts:
        part.leave()
