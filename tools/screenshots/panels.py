"""Every panel at the smallest size that must do, in all fonts and both themes.

Run as `python -m tools.screenshots.panels [FOLDER [TITLE …]]`, with a screen or Xvfb.
Of each panel one sheet is written: fonts from left to right, dark above light. What
wants more room than that is printed, and so is every text that is cut off.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import napari
from napari.settings import get_settings
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QPainter, QPixmap
from qtpy.QtWidgets import QAbstractButton, QLabel, QWidget

from napari_sr._napari.parts.section import Section
from tools.screenshots.super_resolve import nothing_remembered, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

TITLES = ("Super-resolve", "Fine-tune", "Quality", "Compare", "Batch", "Models")
WIDTH, HEIGHT = 320, 500
FONTS = (9, 12, 16, 20)
THEMES = ("dark", "light")


def sheet_of(viewer: napari.Viewer, title: str) -> tuple[QPixmap, set[str]]:
    """Show a panel in all fonts and themes; give the sheet, and what does not fit."""
    dock, _ = viewer.window.add_plugin_dock_widget("napari-sr", title)
    dock.setFloating(True)
    for section in dock.findChildren(Section):
        section.show_content(True)
    sheet = QPixmap(len(FONTS) * WIDTH, len(THEMES) * HEIGHT)
    sheet.fill(Qt.GlobalColor.red)
    painter, faults = QPainter(sheet), set()
    for row, theme in enumerate(THEMES):
        get_settings().appearance.theme = theme
        for column, size in enumerate(FONTS):
            get_settings().appearance.font_size = size
            settle(0.3)
            for _ in range(2):  # the first is of the size before
                dock.resize(WIDTH, HEIGHT)
                settle(0.3)
            painter.drawPixmap(column * WIDTH, row * HEIGHT, dock.grab())
            faults |= {f"font {size}: {fault}" for fault in faults_of(dock)}
    painter.end()
    viewer.window.remove_dock_widget(dock)
    return sheet, faults


def faults_of(dock: QWidget) -> Iterator[str]:
    """Say what wants more room, and whose text is cut off."""
    if (dock.width(), dock.height()) != (WIDTH, HEIGHT):
        yield f"needs {dock.width()} × {dock.height()} px"
    for part in dock.findChildren(QWidget):
        if not part.isVisibleTo(dock):
            continue
        right = part.mapTo(dock, QPoint(part.width(), 0)).x()
        if right > WIDTH:
            yield f"{type(part).__name__} ends {right - WIDTH} px beyond the panel"
        if isinstance(part, QAbstractButton) and part.text():
            needed = part.fontMetrics().horizontalAdvance(part.text().replace("&", ""))
        elif isinstance(part, QLabel) and part.text() and not part.wordWrap():
            needed = part.fontMetrics().horizontalAdvance(part.text())
        elif isinstance(part, QLabel) and part.text():
            if part.height() < part.heightForWidth(part.width()):
                yield f"cut off below: {part.text()[:30]!r}"
            continue
        else:
            continue
        if needed > part.width() + 1:
            yield f"cut off: {part.text()!r}, {needed} px in {part.width()}"


def main(folder: Path, titles: list[str]) -> None:
    """Write a sheet of each panel, and print what does not fit."""
    folder.mkdir(parents=True, exist_ok=True)
    with nothing_remembered():
        viewer = napari.Viewer()
        viewer.open_sample("napari-sr", "nuclei")
        for title in titles or TITLES:
            sheet, faults = sheet_of(viewer, title)
            path = folder / f"{title.lower().replace('-', '_')}.png"
            sheet.save(str(path))
            print(path, *sorted(faults), sep="\n    ")
        viewer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "panels"), sys.argv[2:])
