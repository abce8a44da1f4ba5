"""Pre- and postprocessing of bioimage.io → one range for a stack, and linear steps.

This module alone knows how each of their steps is met here. Whatever they measure in an
image is measured once per stack, by an `IntensityPolicy`; what remains is linear or
cuts off, pixel by pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isclose, isfinite
from typing import TYPE_CHECKING, Any

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.image.intensity import IntensityPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_MET = (
    "scale_range, zero_mean_unit_variance, fixed_zero_mean_unit_variance, "
    "scale_linear, clip, ensure_dtype"
)
_FLOATS = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class Linear:
    """`gain` × image + `offset`, cut off at `low` and `high`."""

    gain: float = 1.0
    offset: float = 0.0
    low: float = -inf
    high: float = inf

    def __call__(self, image: Tensor) -> Tensor:
        """Apply it to an image of any shape."""
        scaled = image * self.gain + self.offset
        return scaled.clamp(self.low, self.high) if self.cuts else scaled

    @property
    def cuts(self) -> bool:
        """Whether anything is cut off."""
        return (self.low, self.high) != (-inf, inf)

    def then(self, after: Linear) -> Linear:
        """Give both in one, without what they cut off."""
        offset = self.offset * after.gain + after.offset
        return Linear(self.gain * after.gain, offset)

    def undone(self) -> Linear:
        """Give what takes it back, as far as nothing was cut off."""
        return Linear(1 / self.gain, -self.offset / self.gain)


@dataclass(frozen=True, slots=True)
class Processing:
    """What is done to counts before a network, and to what it gives."""

    policy: IntensityPolicy
    """From counts to network range."""
    before: tuple[Linear, ...]
    """From network range to what the network takes."""
    after: tuple[Linear, ...]
    """From what it gives back to network range."""


def read_processing(name: str, model_input: Any, output: Any) -> Processing:  # noqa: ANN401
    """Find out how counts go into a network and come back.

    Parameters
    ----------
    name
        Of the package, for errors.
    model_input, output
        Descriptions of the only input and output tensor (0.5).

    Raises
    ------
    ModelFormatError
        If a step cannot be met once per stack.
    """
    reader = _Reader(name, str(model_input.id), {str(a.id) for a in model_input.axes})
    policy, before = reader.preprocessing(model_input.preprocessing)
    after = reader.postprocessing(output.postprocessing)
    return Processing(policy, before, (*after, _inverse(policy, before, after)))


def _inverse(
    policy: IntensityPolicy, before: Sequence[Linear], after: Sequence[Linear]
) -> Linear:
    """Go back to network range from the network's units, or from counts.

    A result is in counts where fixed numbers lead away from them and fixed numbers
    exactly back; else it is in the units that the network takes.
    """
    into, out_of = _joined(before), _joined(after)
    if policy.kind == "fixed":
        span = policy.high - policy.low
        normalized = Linear(1 / span, -policy.low / span)
        there_and_back = normalized.then(into).then(out_of)
        if isclose(there_and_back.gain, 1, rel_tol=1e-6) and isclose(
            there_and_back.offset, 0, abs_tol=1e-6 * span
        ):
            return normalized
    return into.undone()


def _joined(steps: Sequence[Linear]) -> Linear:
    whole = Linear()
    for step in steps:
        whole = whole.then(step)
    return whole


class _Reader:
    """Reads steps of one package."""

    def __init__(self, name: str, tensor: str, axes: set[str]) -> None:
        self._name, self._tensor, self._axes = name, tensor, axes

    def preprocessing(
        self, steps: Sequence[Any]
    ) -> tuple[IntensityPolicy, tuple[Linear, ...]]:
        """Divide steps into a policy and what is left to do."""
        policy: IntensityPolicy | None = None
        linear: list[Linear] = []
        for place, step in enumerate(steps):
            if step.id in ("scale_range", "zero_mean_unit_variance"):
                if policy is not None or any(each.cuts for each in linear):
                    self._refuse(step, "after another measurement or a clip")
                # A linear step before a measurement changes nothing behind it.
                policy, linear = self._measured(step), []
            elif step.id != "ensure_dtype":
                linear.append(self._linear(step))
            # At the beginning it says what is recorded, and here counts are counts.
            elif place and step.kwargs.dtype not in _FLOATS:
                self._refuse(step, f"to {step.kwargs.dtype}")
        if policy is not None:
            return policy, tuple(linear)
        cuts = [step.cuts for step in linear]
        n_fixed = cuts.index(True) if True in cuts else len(linear)
        away = _joined(linear[:n_fixed]).undone()
        ends = {"low": away.offset, "high": away.gain + away.offset}
        return IntensityPolicy(kind="fixed", **ends), tuple(linear[n_fixed:])

    def postprocessing(self, steps: Sequence[Any]) -> tuple[Linear, ...]:
        """Read steps; rounding to integers is done once, at the end of it all."""
        return tuple(self._linear(step) for step in steps if step.id != "ensure_dtype")

    def _measured(self, step: Any) -> IntensityPolicy:  # noqa: ANN401
        kwargs = step.kwargs
        if kwargs.axes is not None and not {"y", "x"} <= set(map(str, kwargs.axes)):
            self._refuse(step, "of single rows or columns")
        if step.id == "zero_mean_unit_variance":
            return IntensityPolicy(kind="deviations", low=0, high=1)
        if kwargs.reference_tensor not in (None, self._tensor):
            self._refuse(step, f"of another tensor, {str(kwargs.reference_tensor)!r}")
        return IntensityPolicy(low=kwargs.min_percentile, high=kwargs.max_percentile)

    def _linear(self, step: Any) -> Linear:  # noqa: ANN401
        kwargs = step.kwargs
        if step.id == "scale_linear":
            gain, offset = self._number(step, "gain"), self._number(step, "offset")
        elif step.id == "fixed_zero_mean_unit_variance":
            gain = 1 / self._number(step, "std")
            offset = -self._number(step, "mean") * gain
        elif step.id == "clip":
            if {kwargs.min_percentile, kwargs.max_percentile} != {None}:
                self._refuse(step, "at percentiles")
            low = -inf if kwargs.min is None else kwargs.min
            high = inf if kwargs.max is None else kwargs.max
            if not low < high:
                self._refuse(step, f"from {low} to {high}")
            return Linear(low=low, high=high)
        else:
            self._refuse(step)
        if not gain > 0 or not isfinite(gain) or not isfinite(offset):
            self._refuse(step, f"by {gain} and {offset}")
        return Linear(gain, offset)

    def _number(self, step: Any, name: str) -> float:  # noqa: ANN401
        """Give a number, also where it is the only one of a list."""
        value = getattr(step.kwargs, name)
        if isinstance(value, list):
            if len(value) != 1:
                self._refuse(step, f"with {len(value)} values along an axis")
            value = value[0]
        return float(value)

    def _refuse(self, step: Any, how: str = "") -> None:  # noqa: ANN401
        raise ModelFormatError(
            f"{self._name}: its processing has {step.id!r}{how and ' ' + how}, which "
            f"cannot be applied once per stack; {_MET} can. Choose another model."
        )
