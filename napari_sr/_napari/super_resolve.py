"""The widget: choose a layer and a model, run, get a layer beside it.

It gathers what the user wants into the core's settings, starts the flow in a thread and
shows what it yields. This module alone knows what the user sees, and when which part of
it can be used. napari reads annotations here, so they are not postponed.
"""

from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox, Container, Label, PushButton
from napari.layers import Image
from napari.utils.notifications import notification_manager, show_error
from napari.viewer import Viewer

from napari_sr._napari.flow import Request, Result, as_stack, run
from napari_sr._napari.geometry import upscaled_look, upscaled_placement
from napari_sr._napari.worker import FlowWorker, start_flow
from napari_sr.catalogue import INTERPOLATIONS, list_models
from napari_sr.settings import UpscaleSettings

if TYPE_CHECKING:
    from napari_sr.upscaling import Step

FACTORS = (2, 3, 4, 8)
DEVICES = ("auto", "cpu", "cuda", "mps")
PLAIN = (ValueError, OSError, MemoryError)
"""Errors whose sentence says it all; others are shown with where they came from."""


class SuperResolve(Container):
    """Super-resolve a layer of the viewer.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be chosen, and which gets the result.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._worker: FlowWorker | None = None
        self._source: Image | None = None
        self._layer = ComboBox(label="layer", choices=self._layer_choices)
        self._model = ComboBox(
            label="model",
            choices=_model_choices,
            tooltip="Trained models first, then interpolations, which add no detail.",
        )
        self._factor = ComboBox(
            label="factor",
            choices=FACTORS,
            tooltip="A trained model has a factor of its own.",
        )
        self._device = ComboBox(
            label="device",
            choices=DEVICES,
            tooltip="auto takes a GPU where there is one.",
        )
        self._run = PushButton(text="Run")
        self._stop = PushButton(text="Stop")
        self._status = Label(value="")
        buttons = Container(
            widgets=[self._run, self._stop], layout="horizontal", labels=False
        )
        buttons.margins = (0, 0, 0, 0)
        super().__init__(
            widgets=[
                self._layer,
                self._model,
                self._factor,
                self._device,
                buttons,
                self._status,
            ]
        )
        self._layer.changed.connect(self._refresh)
        self._model.changed.connect(self._refresh)
        self._run.changed.connect(self.run)
        self._stop.changed.connect(self.stop)
        self.min_width = 280
        self.native.destroyed.connect(self._leave)
        self._refresh()

    def reset_choices(self, *_: object) -> None:
        """Offer the layers and models that there are now."""
        super().reset_choices()
        self._refresh()

    def run(self) -> None:
        """Start to super-resolve the chosen layer."""
        layer = self._layer.value
        if layer is None or self._worker is not None:
            return
        try:
            request = Request(
                stack=as_stack(layer),
                model=self._model.value,
                factor=self._factor.value if self._is_interpolation() else None,
                settings=UpscaleSettings(device=self._device.value),
            )
        except ValueError as error:
            show_error(str(error))
            return
        self._source = layer
        self._status.value = "Preparing …"
        self._worker = start_flow(
            run,
            request,
            title=f"{layer.name} [{request.model}]",
            connect={
                "yielded": self._show_step,
                "returned": self._show_result,
                "errored": self._show_error,
                "finished": self._end,
            },
        )
        self._refresh()

    def stop(self) -> None:
        """Stop after the current tile; no layer is added."""
        if self._worker is not None:
            self._worker.quit()
            self._status.value = "Stopping …"

    def _layer_choices(self, _widget: object) -> list[Image]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Image)]

    def _is_interpolation(self) -> bool:
        return self._model.value in INTERPOLATIONS

    def _refresh(self) -> None:
        """Enable what can be used now."""
        running = self._worker is not None
        self._run.enabled = self._layer.value is not None and not running
        self._stop.enabled = running
        self._factor.enabled = self._is_interpolation() and not running
        for choice in (self._layer, self._model, self._device):
            choice.enabled = not running

    def _show_step(self, step: "Step") -> None:
        if self._worker is not None and not self._worker.abort_requested:
            self._status.value = f"Tile {step.tiles_done} of {step.n_tiles}"
            self._worker.show_progress(step.tiles_done, step.n_tiles)

    def _show_result(self, result: Result) -> None:
        """Add the result as a layer where the recording lies."""
        source, plan = self._source, result.plan
        if source is None:
            return
        layer = self._viewer.add_image(
            result.pixels,
            name=f"{source.name} [{plan.model}]",
            rgb=False,
            multiscale=False,
            metadata={"napari_sr": plan.model_dump(mode="json")},
            **upscaled_look(source),
            **upscaled_placement(source, plan.factor),
        )
        layer.contrast_limits_range = source.contrast_limits_range
        clipped = f", {result.share_clipped:.2%} of pixels clipped"
        shape = " × ".join(map(str, result.pixels.shape))
        self._status.value = f"Done: {shape}{clipped if result.share_clipped else ''}"

    def _show_error(self, error: Exception) -> None:
        if self._worker is None:
            return
        self._status.value = "Failed"
        if isinstance(error, PLAIN):
            show_error(str(error))
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _end(self) -> None:
        """Be ready for the next run."""
        if self._worker is None:
            return
        if self._worker.abort_requested:
            self._status.value = "Stopped"
        self._worker = self._source = None
        self._refresh()

    def _leave(self) -> None:
        """Let go of everything when the widget is closed for good."""
        worker, self._worker, self._source = self._worker, None, None
        if worker is not None:
            worker.quit()


def _model_choices(_widget: object) -> list[tuple[str, str]]:
    """List what can be chosen, trained models first: what is shown, and the name."""
    trained = [(f"{card.name} (×{card.factor})", card.name) for card in list_models()]
    return [*trained, *((name, name) for name in INTERPOLATIONS)]
