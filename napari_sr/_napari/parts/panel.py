"""What panels are made of: magicgui's widgets, as a narrow dock needs them.

This module alone knows how a panel scrolls instead of asking for room, what of it stays
in view meanwhile, how a row breaks where one label and field have no room beside each
other, and how long texts are shortened.
Everything that holds a value is a widget of magicgui, so that a panel can be driven
from the console: `widget.model.value = "general-x2"; widget.run()`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from inspect import cleandoc
from itertools import pairwise
from typing import Any, Generic, TypeVar
from weakref import WeakMethod

from magicgui.application import use_app
from magicgui.widgets import Label, PushButton, Widget
from magicgui.widgets.bases import (
    BaseValueWidget,
    ButtonWidget,
    CategoricalWidget,
    ContainerWidget,
)
from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QBoxLayout,
    QComboBox,
    QFormLayout,
    QFrame,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

from napari_sr._napari.parts.numbers import take_either_point
from napari_sr._napari.parts.plain import fill
from napari_sr._napari.parts.section import Section

T = TypeVar("T")
TEXT_MARGIN = 8
"""Pixels that napari's themes leave beside the text of a combo box."""
USUAL_WIDTH, LEAST_WIDTH = 310, 220
"""Pixels of a panel."""
BRIEF = 0.25
"""Share of a panel's height for texts that stay in view."""
FIELD_LETTERS = 18
"""A field beside its label has room for so many letters."""
STYLE = """
QLabel#about { font-style: italic; }
QLabel#warning { border-left: 3px solid #d9822b; padding-left: 6px; }
QPushButton#run { font-weight: bold; }
QPushButton:focus, QToolButton:focus, QComboBox:focus, QAbstractSpinBox:focus,
QLineEdit:focus, QListView:focus { border: 1px solid #8a8a8a; }
QAbstractItemView::indicator:unchecked { border: 1px solid #8a8a8a; }
"""
"""The grey is seen in dark themes and in light ones; all else is the theme's."""

_Container: Any = use_app("qt").get_obj("Container")
_ComboBox: Any = use_app("qt").get_obj("ComboBox")


# ── choosing ────────────────────────────────────────────────────────────────────────


class ShortenedBox(QComboBox):
    """A combo box that a long text does not widen: without room it ends in dots."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        self.setSizeAdjustPolicy(policy)
        self.setMinimumContentsLength(5)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def paintEvent(self, _event: QEvent) -> None:
        """Draw as usual, with as much of the text as there is room for."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        kind, field = (
            QStyle.ComplexControl.CC_ComboBox,
            QStyle.SubControl.SC_ComboBoxEditField,
        )
        room = self.style().subControlRect(kind, option, field, self).width()
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, room - TEXT_MARGIN
        )
        painter = QStylePainter(self)
        painter.drawComplexControl(kind, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()


class _ChoosingBox(_ComboBox):
    def __init__(self, **options: object) -> None:
        super(_ComboBox, self).__init__(
            ShortenedBox, "isChecked", "setCurrentIndex", "", **options
        )
        self._qwidget.currentIndexChanged.connect(self._emit_data)

    def _mgui_set_choice(self, text: str, data: object) -> None:
        super()._mgui_set_choice(text, data)
        place = self._qwidget.findText(text)
        self._qwidget.setItemData(place, text, Qt.ItemDataRole.ToolTipRole)


def _first(offered: tuple[Any, ...]) -> object:
    return offered[0] if offered else None


class Choice(CategoricalWidget[Any]):
    """One of several, whose value stays while it is offered.

    Parameters
    ----------
    choices
        Values, or pairs of text and value, or a function of this widget that gives
        them.
    otherwise
        Chooses among the values where that which was chosen is gone; none of them for
        None.
    **options
        As for all widgets: label, tooltip, name.
    """

    def __init__(
        self,
        choices: Any,  # noqa: ANN401
        *,
        otherwise: Callable[[tuple[Any, ...]], object] = _first,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self._otherwise = otherwise
        self.is_by_hand = False
        """Whether the user, or the console, has chosen what is chosen."""
        super().__init__(choices=choices, widget_type=_ChoosingBox, **options)
        self.native.activated.connect(self._chosen)

    @property
    def text(self) -> str:
        """What is shown."""
        return str(self.native.currentText())

    def set_value(self, value: Any) -> None:  # noqa: ANN401
        """Choose, as the user does."""
        super().set_value(value)
        self._chosen()

    def offer(self, value: object) -> bool:
        """Choose a value if it is offered, and tell whether it is; not by hand."""
        offered = self.choices
        if value is not None and value in offered:
            self.native.setCurrentIndex(offered.index(value))
        return value is not None and value in offered

    def reset_choices(self, *_: object) -> None:
        """Offer what there is now, and say so if something else is chosen by it."""
        if not callable(self._default_choices) and self.native.count():
            return  # what is offered never changes
        before = self.native.currentData()
        with self.changed.blocked():
            super().reset_choices()
            offered = self.choices
            is_there = any(before is one or before == one for one in offered)
            self.is_by_hand &= is_there
            wanted = before if is_there else self._otherwise(offered)
            same = (
                n for n, one in enumerate(offered) if one is wanted or one == wanted
            )
            self.native.setCurrentIndex(next(same, -1))
        now = self.native.currentData()
        # Equal is enough: Qt makes a new object of a text whenever it is asked.
        if not (now is before or now == before):
            self.changed.emit(now)

    def _chosen(self, *_: object) -> None:
        self.is_by_hand = True


# ── rows, buttons, panels ───────────────────────────────────────────────────────────


def _owned(widget: Widget) -> QWidget:
    """Give a widget's Qt object, which from now on owns what watches it.

    Without an owner it would be destroyed when Python collects it, in whichever thread
    that is, while Qt delivers events.
    """
    native: QWidget = widget.native
    widget._widget._event_filter.setParent(native)  # type: ignore[attr-defined]
    return native


class _Rows(_Container):
    """A row for each widget; a label without room beside its field stands above it."""

    _layout: Any
    _qwidget: Any

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        QWidget().setLayout(self._layout)  # takes it away
        rows = self._layout = QFormLayout(self._qwidget)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setVerticalSpacing(6)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        _let_narrow(self._qwidget, self._arrange)

    def _arrange(self) -> None:
        """Put labels above their fields if there is no room for one of them beside."""
        rows, needed = self._layout, 0
        for place in range(rows.rowCount()):
            item = rows.itemAt(place, QFormLayout.ItemRole.LabelRole)
            beside = rows.itemAt(place, QFormLayout.ItemRole.FieldRole)
            if item is None or beside is None:
                continue
            label, field = item.widget(), beside.widget()
            letters = FIELD_LETTERS * label.fontMetrics().averageCharWidth()
            needed = max(needed, label.sizeHint().width() + letters)
            if isinstance(field, QLineEdit) and field.font() != label.font():
                field.setFont(label.font())  # napari's themes forget it, and the height
                height = max(20, label.fontMetrics().height())
                field.setStyleSheet(f"min-height: {height}px")
        fits = needed + rows.horizontalSpacing() <= self._qwidget.width()
        policy = QFormLayout.RowWrapPolicy
        rows.setRowWrapPolicy(policy.DontWrapRows if fits else policy.WrapAllRows)

    def _mgui_insert_widget(self, position: int, widget: Widget) -> None:
        if isinstance(widget, Form):  # its rows line up with these
            native = _owned(widget)  # empty, but it must go with this one
            native.setParent(self._qwidget)
            native.hide()
            for part in widget:
                self._mgui_insert_widget(position, part)
            return
        native, rows = _owned(widget), self._layout
        if isinstance(widget, Label | ButtonWidget | ContainerWidget):
            rows.addRow(native)
            return
        rows.addRow(widget.label, native)
        rows.labelForField(native).setToolTip(widget.tooltip)
        native.setAccessibleName(widget.label)

    def _mgui_remove_widget(self, widget: Widget) -> None:
        row = self._layout.takeRow(widget.native)
        for item in filter(None, (row.labelItem, row.fieldItem)):
            item.widget().hide()
            item.widget().deleteLater()


class _Line(_Container):
    """Side by side, or below each other where there is no room for that."""

    def __init__(self, **options: object) -> None:
        super().__init__(**{**options, "layout": "horizontal"})
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        _let_narrow(self._qwidget, self._arrange)

    def _mgui_insert_widget(self, _position: int, widget: Widget) -> None:
        native = _owned(widget)
        native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._layout.addWidget(native, 1)

    def _arrange(self) -> None:
        row, widths = self._layout, []
        for place in range(row.count()):
            widths.append(row.itemAt(place).widget().sizeHint().width())
        needed = len(widths) * max(widths) + row.spacing() * (len(widths) - 1)
        fits = needed <= self._qwidget.width()
        way = QBoxLayout.Direction
        row.setDirection(way.LeftToRight if fits else way.TopToBottom)


class _Area(QScrollArea):
    """Scrolls up and down; a dock opens in the usual width.

    The rows themselves ask for no width, since they break into lines.
    """

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidget(inside)

    def sizeHint(self) -> QSize:
        """Give the usual size."""
        return QSize(USUAL_WIDTH, int(super().sizeHint().height()))

    def minimumSizeHint(self) -> QSize:
        """Give the size below which texts would be cut off."""
        return QSize(LEAST_WIDTH, int(super().minimumSizeHint().height()))


class Brief(_Area):
    """Texts as tall as they are, up to a share of the panel: then they scroll."""

    def __init__(self, *texts: Widget) -> None:
        super().__init__(QWidget())
        fill(self.widget(), *map(_owned, texts), spacing=6)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def event(self, event: QEvent) -> bool:
        """Ask for the height again where the texts have changed."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().event(event))

    def sizeHint(self) -> QSize:
        """Give the height of the texts, or that share."""
        border = self.height() - self.viewport().height()  # of napari's themes
        needed = self.widget().minimumSizeHint().height() + border
        return QSize(
            USUAL_WIDTH, min(int(BRIEF * self.parentWidget().height()), needed)
        )


class _Column(_Container):
    """One below the other, in as much height as there is: it scrolls.

    What is added once `begin_foot` was called stays in view below.
    """

    _qwidget: Any

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        inside, self._qwidget = self._qwidget, QWidget()
        self._foot = QVBoxLayout()
        both = QVBoxLayout(self._qwidget)
        both.setContentsMargins(0, 0, 0, 0)
        both.addWidget(_Area(inside), 1)
        both.addLayout(self._foot)
        for part in (self._layout, self._foot):
            part.setContentsMargins(6, 4, 6, 4)
            part.setSpacing(6)
        both.setSpacing(0)
        _Watching(inside, QEvent.Type.LayoutRequest, self._follow_font)

    def begin_foot(self) -> None:
        """Add what comes from now on to what stays in view."""
        self._layout = self._foot

    def _follow_font(self) -> None:
        """Give tables the letters of buttons: napari's themes forget them."""
        inside = self._qwidget
        button = inside.findChild(QPushButton)
        for view in inside.findChildren(QAbstractItemView) if button else ():
            font, size = view.font(), button.font().pointSizeF()
            if size > 0 and font.pointSizeF() != size:
                font.setPointSizeF(size)
                view.setFont(font)

    def _mgui_get_native_widget(self) -> QWidget:
        return self._qwidget

    def _mgui_insert_widget(self, _position: int, widget: Widget) -> None:
        self._layout.addWidget(_owned(widget))


class _Group(ContainerWidget[Widget]):
    _kind: Any

    def __init__(self, *widgets: Widget, **options: Any) -> None:  # noqa: ANN401
        super().__init__(widgets, labels=False, widget_type=self._kind, **options)


class Rows(_Group):
    """Rows of a label and a field that may come and go."""

    _kind = _Rows


class Form(Rows):
    """Rows of a label and a field, which line up with those of the form around them."""

    def show_row(self, widget: Widget, is_shown: bool) -> None:
        """Show a row with its label, or neither."""
        # It may be a row of the form in which this one is.
        widget.native.parentWidget().layout().setRowVisible(widget.native, is_shown)


class Buttons(_Group):
    """Buttons side by side."""

    _kind = _Line


class Panel(_Group):
    """What is docked: widgets of magicgui and of Qt one below the other."""

    _kind = _Column

    def __init__(self) -> None:
        self._folded: list[Form] = []
        super().__init__()
        _owned(self).setStyleSheet(STYLE)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Find a widget by its name, in the groups and below what is folded as well."""
        if not name.startswith("_"):
            for group in (self, *self._folded):
                if (found := _named(group, name)) is not None:
                    return found
        return object.__getattribute__(self, name)

    def insert(self, key: int, widget: Widget) -> None:
        """Put a widget into its place; the panel itself has no value to be changed.

        magicgui would connect it by a function that keeps the panel alive as long as
        the widget, which is for ever where PySide keeps a slider.
        """
        self._insert_widget(key, widget)

    def fold(self, title: str, form: Form, *, is_open: bool = False) -> Section:
        """Make a section of a form, to be put where it belongs."""
        self._folded.append(form)
        return Section(title, _owned(form), is_open=is_open)

    def put(self, *parts: Widget | QWidget, stretch: int = 0) -> None:
        """Add parts below the others."""
        column = self._widget._layout  # type: ignore[attr-defined]
        for part in parts:
            if isinstance(part, Widget):
                self.append(part)
            else:
                column.addWidget(part)
            column.setStretch(column.count() - 1, stretch)

    def begin_foot(self, *, stretch: int = 1) -> None:
        """Let what is put from now on stay in view, below what scrolls."""
        self._widget._layout.addStretch(stretch)  # type: ignore[attr-defined]
        self._widget.begin_foot()  # type: ignore[attr-defined]

    def end(self, *, stretch: int = 1) -> None:
        """Leave the room below free, and let the tab key go from top to bottom."""
        self._widget._layout.addStretch(stretch)  # type: ignore[attr-defined]
        for before, after in pairwise(in_order(self.native)):
            QWidget.setTabOrder(before, after)
        take_either_point(self.native)


def _named(group: _Group, name: str) -> Widget | None:
    for part in group:
        if part.name == name:
            return part
        if isinstance(part, _Group) and (found := _named(part, name)) is not None:
            return found
    return None


def in_order(widget: QWidget) -> Iterator[QWidget]:
    """Give what takes the keyboard inside of a widget, from top to bottom."""
    inside = widget.widget() if isinstance(widget, QScrollArea) else widget
    layout = inside.layout()
    if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
        yield widget
    elif layout is not None:
        for place in range(layout.count()):
            part = layout.itemAt(place).widget()
            if part is not None:
                yield from in_order(part)


def button(
    text: str, act: Callable[[], object], *, is_main: bool = False
) -> PushButton:
    """Make a button; the main one of a panel stands out.

    Parameters
    ----------
    text
        What stands on it.
    act
        What it does; the first paragraph of its docstring explains it to the user.
    is_main
        Whether it is the main one.
    """
    explained = cleandoc(act.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    made = PushButton(text=text, tooltip=explained)
    connect(act, made)
    if is_main:
        made.native.setObjectName("run")
    return made


class Words(Label):
    """A text that breaks into lines, and is as tall as they are."""

    def __init__(self, words: str, name: str) -> None:
        super().__init__(value=words, name=name)
        label: QLabel = self.native
        label.setWordWrap(True)
        label.setObjectName(name)
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        # However long a word, it does not widen the panel.
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        for kind in (QEvent.Type.Resize, QEvent.Type.FontChange):
            when(label, kind, weakly(self._fit_height))

    def set_value(self, value: Any) -> None:  # noqa: ANN401
        """Say something else."""
        super().set_value(value)
        self._fit_height()

    def _fit_height(self) -> None:
        """Ask for the height: Qt's forms forget it when another row comes or goes."""
        label = self.native
        label.setMinimumHeight(0)  # of which the height that it needs is no less
        label.setMinimumHeight(max(0, label.heightForWidth(label.width())))


def text(words: str = "", name: str = "") -> Words:
    """Make a text that breaks into lines."""
    return Words(words, name)


def bar() -> QProgressBar:
    """Make a bar that takes its room also while it is hidden."""
    made = QProgressBar()
    made.setTextVisible(False)
    made.setFixedHeight(8)
    keep = made.sizePolicy()
    keep.setRetainSizeWhenHidden(True)
    made.setSizePolicy(keep)
    return made


def show_progress(bar: QProgressBar, done: int, total: int) -> None:
    """Set a bar so that it is drawn when its turn comes.

    Qt repaints a bar within `setValue`, and with it all of the window that waits to be
    drawn: that would hold the viewer up.
    """
    bar.setUpdatesEnabled(False)
    bar.setRange(0, total)
    bar.setValue(done)
    bar.setUpdatesEnabled(True)


class _Watching(QObject):
    """Has something done at events of a kind."""

    _kind: QEvent.Type | None = None  # as PySide has it while all is destroyed

    def __init__(
        self, widget: QWidget, kind: QEvent.Type, act: Callable[[], object]
    ) -> None:
        super().__init__(widget)
        self._kind, self._act = kind, act
        widget.installEventFilter(self)

    def eventFilter(self, _widget: QObject, event: QEvent) -> bool:
        """Do it, and let the event go on."""
        if event.type() == self._kind:
            self._act()
        return False


def _let_narrow(widget: QWidget, arrange: Callable[[], object]) -> None:
    """Let a widget be as narrow as it is made, and be arranged for the width it has."""
    widget.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    _Watching(widget, QEvent.Type.Resize, arrange)
    _Watching(widget, QEvent.Type.LayoutRequest, arrange)  # as when fonts change


class _Weakly(Generic[T]):
    """Calls a method for as long as there is somebody whose method it is.

    No closure: a garbage collection empties one before Qt destroys what it is connected
    to, and Python does not survive that it is called then.
    """

    __slots__ = ("__weakref__", "known")

    def __init__(self, act: Callable[..., T]) -> None:
        self.known = WeakMethod(act)

    def __call__(self, *args: object) -> T | None:
        """Call it; do nothing where it is gone, or half collected."""
        try:
            method = self.known()
        except AttributeError:
            return None
        if method is None:
            return None
        # An owner that is let go in here would be destroyed in the middle of its own
        # signal, which Qt does not survive: it is kept until all that is over.
        QTimer.singleShot(0, partial(id, getattr(method, "__self__", None)))
        return method(*args)


def weakly(act: Callable[..., T]) -> Callable[..., T | None]:
    """Give a method to Qt so that Qt does not keep alive whose method it is.

    PySide keeps functions as long as what they are connected to, which the panel holds.
    """
    return _Weakly(act)


def when(widget: QWidget, kind: QEvent.Type, act: Callable[[], object]) -> None:
    """Have something done whenever a widget gets an event of a kind."""
    _Watching(widget, kind, act)


def connect(act: Callable[[], object], *widgets: BaseValueWidget[Any]) -> None:
    """Have something done whenever the value of one of several widgets changes."""
    for widget in widgets:
        widget.changed.connect(lambda *_: act())
