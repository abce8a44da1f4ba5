"""A part of a widget that can be folded away.

This module alone knows how such a part looks in napari's themes.
"""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QWidget
from superqt import QCollapsible

_HEADING = (
    "QPushButton, QPushButton:checked, QPushButton:hover, QPushButton:disabled "
    "{{ text-align: left; border: none; background: transparent; padding: 3px 0; "
    "font-weight: {weight}; }} QPushButton:focus {{ text-decoration: underline; }}"
)


class Section(QCollapsible):
    """A heading with what belongs to it, which is shown or folded away.

    Parameters
    ----------
    title
        Of the section.
    content
        What is shown and folded away.
    is_open
        Whether it is shown at first.
    """

    def __init__(self, title: str, content: QWidget, *, is_open: bool = True) -> None:
        # The arrows of the base class keep the colour of the theme they were made in.
        nothing = QPixmap(1, 1)  # an icon without a pixmap is taken for none
        nothing.fill(Qt.GlobalColor.transparent)
        icon = QIcon(nothing)
        super().__init__(title, expandedIcon=icon, collapsedIcon=icon)
        self._title = title
        self.toggled.connect(self._show_arrow)
        self._show_arrow(False)
        weight = "bold" if is_open else "normal"
        self.toggleButton().setStyleSheet(_HEADING.format(weight=weight))
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
        self.content().layout().setContentsMargins(0, 2, 0, 2)
        self.addWidget(content)
        self.show_content(is_open)

    def show_content(self, shown: bool) -> None:
        """Show or fold away, at once."""
        if shown:
            self.expand(animate=False)
        else:
            self.collapse(animate=False)

    def _show_arrow(self, is_open: bool) -> None:
        self.setText(f"{'▾' if is_open else '▸'}  {self._title}")
