"""The widget part that shows the instrument to train for, and lets it be changed.

This module alone knows which of an instrument's figures a user sees. The others stay as
they were, and so does what the user did not touch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_sr._napari.fine_tune.range_row import RangeRow
from napari_sr._napari.parts.plain import fill
from napari_sr.instrument.ranges import Instrument

if TYPE_CHECKING:
    from napari_sr._napari.fine_tune.range_row import Range


class InstrumentPanel(QWidget):
    """Shows point-spread function, photons and read noise as ranges."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._instrument = Instrument()
        self.rows = {
            "psf_sigma": RangeRow(
                "Blur: σ of the PSF / sharp pixels",
                "Width of the Gaussian point-spread function, in addition to the blur "
                "by the area of a recorded pixel. 0: none.",
                (0.0, 4.0),
                decimals=2,
            ),
            "photons": RangeRow(
                "Photons in a bright pixel",
                "Fewer photons mean more noise. The number is drawn from this range "
                "for each patch.",
                (5.0, 100_000.0),
                decimals=0,
                is_logarithmic=True,
            ),
            "read": RangeRow(
                "Read noise / share of the brightness",
                "Noise without light: 0.01 is a hundredth of a bright pixel.",
                (0.0001, 0.2),
                decimals=4,
                is_logarithmic=True,
            ),
        }
        fill(self, *self.rows.values(), spacing=3)
        for row in self.rows.values():
            row.changed.connect(self._take)
        self.set_instrument(self._instrument)

    @property
    def instrument(self) -> Instrument:
        """The instrument to train for."""
        return self._instrument

    def set_instrument(self, instrument: Instrument) -> None:
        """Show an instrument."""
        self._instrument = instrument
        for figure, row in self.rows.items():
            value: Range | None = getattr(instrument, figure)
            row.setEnabled(value is not None)
            if value is not None:
                row.set_value(value)
        # A measured point-spread function has no width to choose.
        self.rows["psf_sigma"].setEnabled(instrument.psf_image is None)
        self.changed.emit()

    def show_noise(self, is_shown: bool) -> None:
        """Show the rows of the noise, or leave the blur alone."""
        for figure in ("photons", "read"):
            self.rows[figure].setVisible(is_shown)

    def _take(self) -> None:
        """Take over the figure that the user changed."""
        changed = {
            figure: row.value
            for figure, row in self.rows.items()
            if row is self.sender()
        }
        self._instrument = self._instrument.model_copy(update=changed)
        self.changed.emit()
