"""The short ways in to a training, and settings that suit what it starts from.

This module alone knows what is sensible when little is said: how long, how fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from napari_sr.image.stack import StackError
from napari_sr.instrument.ranges import Instrument, with_psf_sigma
from napari_sr.metrics.along_z import middle_of, width_along_z
from napari_sr.settings import (
    AdversarialSettings,
    ForZ,
    TrainingSettings,
    UpscaleSettings,
)
from napari_sr.training.calibration import calibrated_model
from napari_sr.training.session import Training, as_base
from napari_sr.upscaling.flow import opened
from napari_sr.upscaling.plan import planes_along_z

if TYPE_CHECKING:
    import os

    from napari_sr.datasets import Sources
    from napari_sr.models.sr_model import SRModel
    from napari_sr.upscaling.flow import StackLike

FINETUNING_MINUTES = 5.0
FINETUNING_RATE = 5e-4
"""Highest learning rate from trained weights; from none it is twice that."""
_NOTABLE = 0.5
"""Of a step along z, a blur that is worth undoing: less is within its error."""
NO_END = 1_000_000
"""Steps of a training that ends with its time."""


def settings_for(
    base: SRModel | str | os.PathLike[str] | None,
    *,
    minutes: float | None = None,
    iterations: int | None = None,
    adversarial: bool | AdversarialSettings | None = None,
    instrument: Instrument | None = None,
    psf_sigma: float | None = None,
    **others: object,
) -> TrainingSettings:
    """Choose settings that suit a base and the available time.

    Parameters
    ----------
    base
        The model to start from; `None` trains from nothing.
    minutes
        Time to spend.
    iterations
        Steps of the fidelity stage. With neither, five minutes from a base, and the
        default number of steps from nothing.
    adversarial
        Whether an adversarial stage follows, or how.
    instrument
        To train for; the base's when not given.
    psf_sigma
        The blur of the instrument, if it is known: a standard deviation in pixels of
        the result.
    **others
        Further fields of `TrainingSettings`.
    """
    model = as_base(base)
    chosen: dict[str, Any] = {"minutes": minutes, **others}
    if model is not None:
        card = model.card
        chosen = {
            "factor": card.factor,
            "architecture": card.architecture,
            "arguments": card.arguments,
            "instrument": card.instrument,
            "learning_rate": FINETUNING_RATE,
            "batch": 8,
            **chosen,
        }
        if minutes is None and iterations is None:
            chosen["minutes"] = FINETUNING_MINUTES
    if iterations is not None:
        chosen["iterations"] = iterations
    elif chosen["minutes"] is not None:
        chosen["iterations"] = NO_END
    if instrument is not None:
        chosen["instrument"] = instrument
    if psf_sigma is not None:
        before = chosen.get("instrument", Instrument())
        factor = chosen.get("factor", TrainingSettings().factor)
        chosen["instrument"] = with_psf_sigma(before, psf_sigma, factor)
    if adversarial is True:
        adversarial = AdversarialSettings()
        if model is not None and "discriminator" in model.weights:
            # It knows its trade: no time is spent on it alone, and few images do not
            # make it forget what it sees.
            adversarial = AdversarialSettings(head_start=0, discriminator_learns="end")
    if adversarial:
        chosen["adversarial"] = adversarial
    return TrainingSettings(**chosen)


def for_z_of(
    recording: StackLike,
    ratio: float | None = None,
    blur: float | Literal["auto"] = 0.0,
) -> ForZ:
    """Find out how a volume is recorded along z, to train for it.

    Parameters
    ----------
    recording
        A volume, as `sr.upscale` takes it.
    ratio
        Step along z over pixel in the plane; from the size of a voxel when not given.
    blur
        Standard deviation of a Gaussian along z beside the box of the step, in pixels
        of the plane; see `estimated_blur_along_z` for `auto`. A blur that is not there
        makes results far worse (16 dB on bone), so none is assumed.

    Raises
    ------
    StackError
        If there is no axis z, or its step is unknown.
    """
    with opened(recording) as stack:
        settings = UpscaleSettings(z=ratio or "isotropic", factor=1)
        found = planes_along_z(stack, 1, settings)
        if found <= 1:
            raise StackError(
                f"{stack.name} already has planes as close as its pixels, so there is "
                "nothing to learn for z. Give the ratio of step to pixel as a number."
            )
        if blur == "auto":
            blur = estimated_blur_along_z(stack, found)
    return ForZ(ratio=found, blur=round(blur, 2))


def estimated_blur_along_z(recording: StackLike, ratio: float) -> float:
    """Estimate the blur of a volume along z from its spectra along z and in the plane.

    Only right for a specimen that looks alike in all directions: layers and fibres that
    lie in the plane hold less detail along z without any blur.

    Parameters
    ----------
    recording
        A volume, as `sr.upscale` takes it.
    ratio
        Step along z over pixel in the plane.

    Returns
    -------
    float
        Standard deviation of a Gaussian in pixels of the plane; 0 where it is less than
        half a step, or cannot be determined.
    """
    with opened(recording) as stack:
        names = [axis.name for axis in stack.axes[:-2]]
        volume, _ = middle_of(stack, names.index("z") if "z" in names else 0)
    blur = width_along_z(volume, (ratio, 1.0, 1.0)) or 0.0
    return round(blur, 2) if blur > _NOTABLE * ratio else 0.0


def train(
    images: Sources,
    settings: TrainingSettings | None = None,
    **options: Any,  # noqa: ANN401
) -> Training:
    """Train a generator; iterate over what is returned.

    Parameters
    ----------
    images, **options
        As for `Training`.
    settings
        When not given, those that suit the base (an option).

    Returns
    -------
    Training
        Yields a `TrainingStep` after each step; its `model` is the best so far.
    """
    chosen = settings or settings_for(options.get("base"))
    return Training(images, chosen, **options)


def finetune(
    images: Sources | None = None,
    base: SRModel | str | os.PathLike[str] = "general-x2",
    *,
    recordings_only: Sources | None = None,
    minutes: float | None = None,
    iterations: int | None = None,
    adversarial: bool | AdversarialSettings | None = None,
    instrument: Instrument | None = None,
    psf_sigma: float | None = None,
    for_z: ForZ | bool = False,
    settings: TrainingSettings | None = None,
    **options: Any,  # noqa: ANN401
) -> SRModel:
    """Adapt a model to a lab's own images.

    Parameters
    ----------
    images
        Sharp images of your own kind of specimen, or the sharp half of measured pairs.
    base
        The model to start from.
    recordings_only
        Recordings instead of images, if there are no sharp images (self-supervised).
        The noise is estimated from them; the blur is that of the base's instrument, or
        of `instrument`.
    minutes
        Time to spend; 5 when neither iterations nor settings are given.
    iterations, adversarial, instrument, psf_sigma
        As for `settings_for`.
    for_z
        Learn from the planes of one volume (`images`) to super-resolve it along z. Its
        step along z is that of its voxels (`for_z_of`); a blur along z is to be given.
    settings
        All settings at once, instead of these five.
    **options
        As for `Training`: low_images, checkpoint, name, ….

    Returns
    -------
    SRModel
        The best model of the training. `model.card.verdict` compares it with the base
        and with bicubic on held-out images; `model.card.is_better` is false if it is
        not a gain.
    """
    sources = _one_of(images, recordings_only)
    if settings is None:
        if for_z is True:
            for_z = for_z_of(sources)  # type: ignore[arg-type]
        settings = settings_for(
            base,
            for_z=for_z or None,
            minutes=minutes,
            iterations=iterations,
            adversarial=adversarial,
            instrument=instrument,
            psf_sigma=psf_sigma,
        )
    is_alone = images is None
    training = Training(
        sources, settings, base=base, recordings_only=is_alone, **options
    )
    for _ in training:
        pass
    return calibrated_model(training)


def _one_of(images: Sources | None, recordings_only: Sources | None) -> Sources:
    """Take the one of the two that is given."""
    given = [sources for sources in (images, recordings_only) if sources is not None]
    if len(given) != 1:
        raise ValueError(
            "Give either sharp images, or recordings_only if there are none; not "
            f"{'both' if given else 'neither'}."
        )
    return given[0]
