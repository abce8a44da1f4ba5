"""What is known about how a result was made, as far as it takes part in judging it.

This module alone finds it out: what the result says of itself, else what the available
model makes of the recording, else what the recording shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_sr.cards.descriptors import noise_deviation
from napari_sr.cards.model_card import ModelFormatError
from napari_sr.catalogue.lookup import load_with_options
from napari_sr.image.intensity import NoiseLevel, fill_gaps
from napari_sr.image.sampling import spread_indices
from napari_sr.models.sr_model import SRModel
from napari_sr.settings import UpscaleSettings
from napari_sr.upscaling.flow import as_upscaler, upscale_plane
from napari_sr.upscaling.plan import Plan, make_plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_sr.cards.interval import Interval
    from napari_sr.cards.model_card import ModelCard
    from napari_sr.image.stack import Stack
    from napari_sr.upscaling.flow import ModelLike

_N_PLANES = 8


@dataclass(frozen=True, slots=True)
class ResultOrigin:
    """How a result was made."""

    plan: Plan | None
    model: SRModel | None
    """What made it, if it is available."""
    noise: NoiseLevel
    """Of the recording, in counts."""
    noise_from: str
    remarks: tuple[str, ...]
    """What could not be found out, and why."""

    @property
    def card(self) -> ModelCard | None:
        """Of the model."""
        return None if self.model is None else self.model.card

    @property
    def psf_sigma(self) -> float:
        """Blur with which the result agrees, in pixels of the result."""
        return 0.0 if self.plan is None else self.plan.psf_sigma

    @property
    def has_heights(self) -> bool:
        """Whether pixels are heights."""
        return self.card is not None and self.card.domain == "topography"

    def faithful(self, low: NDArray) -> NDArray | None:
        """Make the same result at the faithful end of the dial.

        Parameters
        ----------
        low
            `(y, x)` recording.

        Returns
        -------
        ndarray or None
            `(factor·y, factor·x)` float32 counts; `None` where the result is at that
            end already, or its model is not available.
        """
        if self.plan is None or self.model is None or not self.plan.dial:
            return None
        model = self.model.at_dial(0.0).to("cpu")
        return upscale_plane(low, model, on_cpu(self.plan))

    @property
    def interval(self) -> Interval | None:
        """How the model that made the result is calibrated, if it is and is known."""
        return None if self.card is None else self.card.interval

    @property
    def uncertainty(self) -> str:
        """Say what is promised of intervals, or why there are none."""
        if self.interval is not None:
            return self.interval.in_words()
        if self.model is None:
            return "No intervals: the model that made the result is not available."
        return f"No intervals: {self.model.name} has not been calibrated."


def on_cpu(plan: Plan) -> Plan:
    """Give a plan for doing the same here, in full precision."""
    here = {"device": "cpu", "precision": "float32", "dtype": "float32"}
    return plan.model_copy(update=here)


def find_origin(
    result: Stack, recording: Stack, model: ModelLike | None
) -> ResultOrigin:
    """Find out how a result was made.

    Parameters
    ----------
    result
        Perhaps with provenance.
    recording
        What it was made from.
    model
        What made it, if it does not say so itself.
    """
    plan = _said_plan(result)
    trained, remarks = _trained(model, plan)
    noise_from = "the settings of the result"
    if plan is None and trained is not None:
        # The result is taken for one that was made with the default settings.
        plan = make_plan(recording, trained, UpscaleSettings(device="cpu"))
        remarks.append(
            "The result does not state how it was made; noise and blur are those "
            f"that {trained.name} estimates from the recording."
        )
        noise_from = f"the estimate of {trained.name}"
    if plan is not None and plan.noise is not None:
        noise = plan.noise
    else:
        noise, noise_from = NoiseLevel(read=_seen_noise(recording)), "its finest detail"
        remarks.append(
            "The noise of the recording is estimated from its finest detail, so the "
            "test of agreement is approximate."
        )
    return ResultOrigin(
        plan, trained, noise, noise_from, tuple(remarks + _missing(trained))
    )


def _said_plan(result: Stack) -> Plan | None:
    """Read the plan that a result of this package carries."""
    try:
        return Plan.model_validate(result.provenance.get("plan"))
    except ValidationError:
        return None


def _trained(
    model: ModelLike | None, plan: Plan | None
) -> tuple[SRModel | None, list[str]]:
    """Find the trained model that made the result; say so where there is none."""
    if model is None and plan is None:
        return None, ["Neither the result nor the user names the model that made it."]
    try:
        upscaler = (
            load_with_options(plan.model, plan.factor, plan.options)
            if model is None and plan is not None
            else as_upscaler(model, UpscaleSettings(device="cpu"))  # type: ignore[arg-type]
        )
    except ModelFormatError:
        assert plan is not None
        return None, [f"The model {plan.model} that made the result is not available."]
    if not isinstance(upscaler, SRModel):
        return None, []
    if plan is not None and plan.model_sha256 != upscaler.digest:
        return None, [
            f"The result was made by another version of {plan.model} than the "
            "available one, so the information of its card is not used."
        ]
    return upscaler, []


def _missing(model: SRModel | None) -> list[str]:
    if model is None or model.card.training_statistics is not None:
        return []
    return [
        f"The card of {model.name} has no statistics of its training images, so it is "
        "unknown whether this recording resembles them."
    ]


def _seen_noise(recording: Stack) -> float:
    """Estimate the noise of a stack from the finest detail of some planes."""
    deviations = [
        noise_deviation(fill_gaps(recording.plane(index))[0])
        for index in spread_indices(recording, _N_PLANES)
    ]
    return float(sorted(deviations)[len(deviations) // 2])
