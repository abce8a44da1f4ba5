"""Texts and columns of Qt alone, for parts other than the forms of magicgui."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QLayout, QSizePolicy, QVBoxLayout, QWidget


def caption(words: str = "") -> QLabel:
    """Make a text that breaks into lines, and widens nothing."""
    label = QLabel(words)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def fill(widget: QWidget, *parts: QWidget | QLayout, spacing: int) -> None:
    """Put parts into a widget, one below the other, up to its edges."""
    column = QVBoxLayout(widget)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(spacing)
    for part in parts:
        (column.addWidget if isinstance(part, QWidget) else column.addLayout)(part)
