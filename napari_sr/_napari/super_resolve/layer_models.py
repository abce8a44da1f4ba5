"""Which model each of several layers gets that one click runs.

This module alone knows which models those can be: of one factor, so that the results
are of one size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sr._napari.parts.model_choice import ModelChoice
from napari_sr._napari.parts.panel import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Image

AS_ABOVE = "as above"
_LETTERS = 18
"""Of a name that has room in letters of any size."""


class OwnModel(ModelChoice):
    """Offers the model of all layers, then those of its factor.

    Parameters
    ----------
    layer
        Whose model it is.
    factor
        Of the models; methods have any.
    """

    def __init__(self, layer: Image, factor: int) -> None:
        self._factor = factor
        self.of = layer.name
        name = self.of if len(self.of) <= _LETTERS else f"{self.of[: _LETTERS - 1]}…"
        super().__init__(lambda offered: offered[0], label=name)
        self.tooltip = f"Model for {self.of}; by default the one chosen above."

    def _offered(self, _widget: Any = None) -> list[tuple[str, str]]:  # noqa: ANN401
        offered, cards = super()._offered(), self._cards
        return [
            (AS_ABOVE, ""),
            *(
                (text, name)
                for text, name in offered
                if name not in cards or cards[name].factor == self._factor
            ),
        ]


class LayerModels(Rows):
    """A row for each layer."""

    def __init__(self) -> None:
        self._known: tuple[list[Image], int] = ([], 0)
        self._rows: list[OwnModel] = []
        super().__init__(name="models")

    def offer(self, layers: list[Image], factor: int) -> None:
        """Have a row for each layer; what was chosen for one stays so."""
        if self._known == (layers, factor):
            return
        before = {row.of: row for row in self._rows}
        self._known = (list(layers), factor)
        self._rows = [OwnModel(layer, factor) for layer in layers]
        for row in self._rows:
            if row.of in before:
                row.choose_as(before[row.of])
        self.clear()
        self.extend(self._rows)

    @property
    def value(self) -> dict[str, str]:
        """The models that were chosen for some of the layers, by name of the layer."""
        return {row.of: row.value for row in self._rows if row.value}

    @value.setter
    def value(self, models: Mapping[str, str]) -> None:
        known = [row.of for row in self._rows]
        if unknown := models.keys() - {*known}:
            raise ValueError(
                f"Models are chosen for the layers that are run ({', '.join(known)}), "
                f"and {', '.join(sorted(unknown))} is none of them."
            )
        for row in self._rows:
            row.value = models.get(row.of, "")

    def of(self, layer: Image) -> OwnModel | None:
        """Give the row of a layer for which a model was chosen."""
        rows = zip(self._known[0], self._rows, strict=True)
        return next((row for one, row in rows if one == layer and row.value), None)
