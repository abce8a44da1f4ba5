"""What a user's hands do: choose in menus, click, type. Qt events and nothing else."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

LEFT = Qt.MouseButton.LeftButton


def click(widget) -> None:
    """Click where a user could: on what is there and can be used."""
    assert widget.isVisible()
    assert widget.isEnabled(), widget.text()
    QTest.mouseClick(widget, LEFT)


def key(widget, which) -> None:
    """Press and release a key."""
    assert widget.isVisible()
    assert widget.isEnabled()
    widget.setFocus()
    QTest.keyClick(widget, which)


def type_over(field, text) -> None:
    """Type into a field instead of what is there."""
    assert field.isVisible()
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def choose(box, first_letters) -> None:
    """Choose the first entry that begins so, with the keys."""
    assert box.isVisible()
    key(box, Qt.Key.Key_Home)
    for _ in range(box.count()):
        if box.currentText().startswith(first_letters):
            return
        key(box, Qt.Key.Key_Down)
    raise AssertionError(f"{first_letters!r} is not offered")


def choose_in_menu(menu, *words) -> None:
    """Go through a menu, by words that the entries hold, to an action."""
    menu.aboutToShow.emit()
    found = [one for one in menu.actions() if words[0] in one.text().replace("&", "")]
    assert len(found) == 1, (words[0], [one.text() for one in menu.actions()])
    (action,) = found
    if len(words) > 1:
        choose_in_menu(action.menu(), *words[1:])
    else:
        assert action.isEnabled(), action.text()
        action.trigger()
        QApplication.processEvents()


def answer_save_dialog(monkeypatch, path, kind) -> None:
    """Let the next dialog for saving name a file, and choose what kind it is."""

    def answer(*_args, filter="", **_rest):
        (chosen,) = (one for one in filter.split(";;") if kind in one)
        return str(path), chosen

    where = "napari._qt.qt_viewer.QFileDialog.getSaveFileName"
    monkeypatch.setattr(where, answer)


def answer_open_dialog(monkeypatch, path) -> None:
    """Let the next dialog for opening name a file or a folder."""
    where = "napari._qt.qt_viewer.QFileDialog"
    monkeypatch.setattr(f"{where}.getExistingDirectory", lambda *_, **__: str(path))
    monkeypatch.setattr(f"{where}.getOpenFileNames", lambda *_, **__: ([str(path)], ""))
