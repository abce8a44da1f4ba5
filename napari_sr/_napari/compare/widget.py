"""The panel: several methods on one recording, their pictures and their figures.

This module alone knows what the user sees of a comparison.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_info
from napari.viewer import Viewer

from napari_sr._napari.compare.choice import CompareChoice
from napari_sr._napari.compare.views import PictureGrid
from napari_sr._napari.layers.geometry import upscaled_look, upscaled_placement
from napari_sr._napari.parts.findings import Findings
from napari_sr._napari.parts.messages import ask_and_write
from napari_sr._napari.parts.panel import Buttons, button, weakly
from napari_sr._napari.parts.preferences import preferred_settings
from napari_sr._napari.parts.tables import share_room, show_rows
from napari_sr.interactive.judging import compare
from napari_sr.metrics.descriptions import FIGURES, as_text

if TYPE_CHECKING:
    from napari_sr._napari.parts.worker import Flow
    from napari_sr.evaluation.side_by_side import SideBySide

    Part = tuple[slice, slice]

TOLD = ("psnr", "ssim", "spectrum_error", "agreement")
"""Figures that stand in the table, where they were taken; a file has all."""
AGREES_ONLY = (
    "Without a reference, no metric here ranks the results. Agreement compares the "
    "re-degraded result with the recording, noise included, so an interpolation, "
    "which keeps the noise, scores highest. Judge by eye."
)


class Compare(Findings):
    """Compare methods in the viewer.

    Parameters
    ----------
    napari_viewer
        The viewer whose layers can be chosen.
    """

    WORD = "Compare"
    TIP = "Super-resolve up to four planes with each method, and measure."
    DO_FIRST = "Choose a single-channel recording and tick at least one method."

    def __init__(self, napari_viewer: Viewer) -> None:
        self._source: Image | None = None
        self.grid = PictureGrid()
        self.save_button = button("Save sheet …", self.save)
        self._afterwards = (self.save_button,)
        super().__init__(napari_viewer, CompareChoice(napari_viewer))
        self.grid.opened.connect(weakly(self.add_layer))

    def save(self) -> None:
        """Write a picture, what is in sight enlarged, and all figures as CSV beside."""
        side_by_side = self._found
        if side_by_side is None:
            return
        height, width = side_by_side.pictures["recording"].shape
        part = self.grid.part_shown(height, width)
        words = ("Save sheet", f"{side_by_side.name}.compared.png", "Picture (*.png)")
        ask_and_write(self.native, words, lambda path: _write(side_by_side, path, part))

    def add_layer(self, name: str) -> None:
        """Add a picture as a layer, where its pixels lie."""
        if self._found is None or self._source is None:
            return
        region, source = self._found.region, self._source
        factor = 1 if name == "recording" else self._found.factor
        first = (*region.index, region.rows.start, region.columns.start)
        pixels = self._found.pictures[name]
        self._viewer.add_image(
            pixels.reshape(*[1] * (source.ndim - 2), *pixels.shape),
            name=f"{source.name} [{name}]",
            rgb=False,
            metadata={"napari_sr": {"model": name, "factor": factor}},
            **upscaled_look(source),
            **upscaled_placement(source, factor, first),
        )

    def _lay_out(self) -> None:
        self.put(self.chosen, self.chosen.methods)
        self.put(self.grid, self.table, self.basis)
        self.put(Buttons(self.copy_button, self.save_button))

    def _ask(self) -> tuple[str, Flow, *tuple[Any, ...]]:
        recording, reference = self.chosen.stacks()
        self._source = self.chosen.recording.value
        how = (self.chosen.named, self.chosen.factor.value, preferred_settings())
        title = f"Methods compared on {recording.name}"
        return title, compare, recording, reference, *how

    def _show(self, found: tuple[SideBySide, Part]) -> None:
        self._found, part = found
        side_by_side, comparison = self._found, self._found.comparison
        height, width = side_by_side.pictures["recording"].shape
        if self._source is not None:
            low, high = self._source.contrast_limits
            self.grid.show_pictures(side_by_side, (float(low), float(high)))
        self.grid.look_at(part, height, width)
        names = [name for name in TOLD if name in comparison.names]
        tips = [FIGURES[name].meaning for name in names]
        titles = [FIGURES[name].title for name in names]
        rows = [
            [(method, ""), *zip(_texts(figures, names), tips, strict=True)]
            for method, figures in comparison.figures.items()
        ]
        show_rows(self.table, [("", ""), *zip(titles, tips, strict=True)], rows)
        share_room(self.table, widest=())
        self.basis.value = self._words

    @property
    def _words(self) -> str:
        has_reference = "reference" in self._found.pictures
        basis = str(self._comparison.basis)
        return basis if has_reference else f"{AGREES_ONLY}\n\n{basis}"


def _texts(figures: object, names: list[str]) -> list[str]:
    return [as_text(name, getattr(figures, name)) for name in names]


def _write(side_by_side: SideBySide, path: str, part: Part) -> None:
    from napari_sr.trust.report.contact_sheet import write_side_by_side

    path = path if Path(path).suffix else f"{path}.png"
    for written in write_side_by_side(side_by_side, path, part):
        show_info(f"Written: {written}")
