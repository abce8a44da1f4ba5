"""A training to look at: its curves, and a held-out patch as it is now.

This module alone knows what of a training is shown, and in which words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_sr._napari.parts.image_view import LinkedViews
from napari_sr._napari.parts.plain import fill
from napari_sr.interactive.fine_tuning import limits_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_sr._napari.parts.curve_plot import PlottedCurve
    from napari_sr.interactive.fine_tuning import Update
    from napari_sr.training.validation import PatchPreview

    Row = Mapping[str, float | str]

BLUE, ORANGE, GREEN = "#4c8dff", "#f08a3c", "#35a978"


class LiveView(QWidget):
    """Curves and a patch, both of held-out images."""

    def __init__(self) -> None:
        super().__init__()
        self._baselines: Mapping[str, float] = {}
        self._are_drawn = False
        self.patch = LinkedViews(("recorded", "now", "truth"))
        fill(self, self.patch, spacing=6)

    def _draw_plots(self) -> None:
        """Make the plots with the first update: what draws them is loaded by then."""
        from napari_sr._napari.parts.curve_plot import CurvePlot

        self._are_drawn = True
        self.quality = CurvePlot("PSNR on held-out images / dB")
        self.quality.setToolTip(
            "Accuracy on images that the model does not learn from; higher is better."
        )
        self.losses = CurvePlot("Loss", after=60)
        self.losses.setToolTip(
            "The loss that the training minimises: mean difference of pixels."
        )
        self.texture = CurvePlot("Spectrum error on held-out images", after=120)
        self.texture.setToolTip(
            "How much fine texture is missing or in excess; lower is better. The "
            "textured end of the dial is chosen by this."
        )
        for part in (self.quality, self.losses, self.texture):
            self.layout().addWidget(part)
        self._show_history(())

    def clear(self) -> None:
        """Forget the training before."""
        self._baselines = {}
        if self._are_drawn:
            self._show_history(())
        for view in self.patch.views:
            view.clear()

    def show_update(self, update: Update) -> None:
        """Show what is new."""
        if update.history is not None and not self._are_drawn:
            self._draw_plots()
        if update.baselines is not None:
            self._baselines = update.baselines
        if update.history is not None:
            self._show_history(update.history)
        if update.preview is not None:
            self._show_patch(update.preview)

    def _show_history(self, history: Sequence[Row]) -> None:
        last = max((float(row["seconds"]) / 60 for row in history), default=0.0)
        start = (
            [{"seconds": 0.0, "psnr": self._baselines["base"]}]
            if self._baselines
            else []
        )
        now = _curve([*start, *history], "psnr", "now", BLUE)
        self.quality.show_curves([now], self._baselines, last)
        pixels = _curve(history, "pixels", "pixels", ORANGE)
        self.losses.show_curves([pixels], until=last)
        spectrum = _curve(history, "spectrum_error", "now", GREEN)
        self.texture.show_curves([spectrum], until=last)
        textured = [row for row in history if row["stage"] == "adversarial"]
        self.texture.setVisible(bool(textured))

    def _show_patch(self, preview: PatchPreview) -> None:
        """Show all three with the truth's black and white."""
        limits = limits_of(preview.truth)
        low, now, truth = self.patch.views
        low.show_image(preview.low, limits, f"bicubic {preview.psnr_bicubic:.1f} dB")
        now.show_image(preview.now, limits, f"{preview.psnr:.1f} dB")
        truth.show_image(preview.truth, limits)


def _curve(history: Sequence[Row], figure: str, name: str, colour: str) -> PlottedCurve:
    """Draw a figure over the minutes spent."""
    from napari_sr._napari.parts.curve_plot import PlottedCurve

    points = tuple(
        (float(row["seconds"]) / 60, float(row[figure]))
        for row in history
        if figure in row
    )
    return PlottedCurve(name, points, colour)
