"""The buttons of the widget: preview, run, and how it goes.

This module alone knows how they look and where they stand; what they do is connected
from outside.
"""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.parts.form import button, hint, line, row, show_progress

CURTAIN_STEPS = 200


class Actions(QWidget):
    """What the user can do.

    Parameters
    ----------
    key
        Which key on the canvas does the same as the button "Before".
    parent
        The widget.
    """

    def __init__(self, key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.preview = button(
            "Preview",
            "Super-resolve what is in view, with the pixels that Run would give. "
            "Follows the view, the plane and the choices above.",
        )
        self.preview.setCheckable(True)
        self.before = button(
            f"Before ({key})",
            f"Hold it down, or the {key} key on the canvas, to see the recording.",
        )
        self.curtain = QSlider(Qt.Orientation.Horizontal)
        self.curtain.setRange(0, CURTAIN_STEPS)
        self.curtain.setToolTip(
            "Curtain: left of it the preview shows the recording, right of it the "
            "result."
        )
        self.run = button("Run", "")
        self.run.setObjectName("run")
        self.stop = button("Stop", "Stop after this tile; the planes done are kept.")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        keep = self.bar.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(keep)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)
        # Room for two lines from the start, so that nothing jumps.
        self.status.setMinimumHeight(2 * self.status.fontMetrics().lineSpacing() + 4)
        self.save_result = button(
            "Save result …",
            "Write the selected result, or the newest one, with its pixel size and "
            "how it was made.",
        )
        self.copy = button(
            "Copy as Python", "Put a script that does the same into the clipboard."
        )
        self.save = button(
            "Save as recipe …",
            "Write a file for `napari-sr upscale --recipe FILE` that does the same.",
        )
        self.curtain_row = self._lay_out()
        self.curtain_row.setVisible(False)

    def in_order(self) -> list[QWidget]:
        """List what can be used, from top to bottom."""
        compare = (self.preview, self.before, self.curtain)
        runs = (self.run, self.stop, self.save_result)
        return [*compare, *runs, self.copy, self.save]

    def show_progress(self, done: int, total: int, *, is_on: bool) -> None:
        """Set the bar; without a total it only says that something is going on."""
        # Only when it changes, here and below: whatever touches the layout has all of
        # the window laid out and drawn again, and this is called after each tile.
        if self.bar.isHidden() == is_on:
            self.bar.setVisible(is_on)
        show_progress(self.bar, done, total)

    def offer_run(self, n_missing: int) -> None:
        """Say what Run does: everything, or what is missing."""
        text = "Run the rest" if n_missing else "Run"
        if self.run.text() != text:
            self.run.setText(text)
        self.run.setToolTip(
            f"Do the {n_missing} planes that are missing, into the same layer."
            if n_missing
            else "Super-resolve all planes; they appear as they are done."
        )

    def _lay_out(self) -> QWidget:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(line())
        column.addLayout(row(self.preview, self.before))
        curtain_row = QWidget()
        side_by_side = QHBoxLayout(curtain_row)
        side_by_side.setContentsMargins(0, 0, 0, 0)
        for part in (hint("recording"), self.curtain, hint("result")):
            side_by_side.addWidget(part)
        column.addWidget(curtain_row)
        column.addWidget(line())
        column.addLayout(row(self.run, self.stop))
        column.addWidget(self.bar)
        column.addWidget(self.status)
        column.addWidget(self.save_result)
        column.addLayout(row(self.copy, self.save))
        return curtain_row
