"""What a training has come to, in numbers and in plain words.

This module alone decides whether a model is better than what there was, and how much of
its texture is recommended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_sr.metrics.paired import Gain, paired_gain
from napari_sr.metrics.quality import most_on_images
from napari_sr.networks.weights import between

if TYPE_CHECKING:
    from torch import nn

    from napari_sr.networks.weights import Weights
    from napari_sr.training.validation import HeldOut, Validation

NOTICEABLE = 0.05
"""Decibels of PSNR below which two results are called equal."""
DIAL_LOSS = 0.15
"""Decibels of PSNR that the recommended dial may cost on the held-out images: half of
what it may on others (0.3), since a few images are an uncertain judge."""
NO_TEXTURE = (
    "The adversarial stage brought no useful textured end, so the dial stays at 0: "
    "give the stage more time."
)


@dataclass(frozen=True, slots=True)
class Texture:
    """What the textured end changes on held-out images."""

    gain: float
    """In PSNR over the faithful end, in decibels; mostly below 0."""
    spectrum_errors: tuple[float, float]
    """Of the faithful and of the textured end."""

    def __str__(self) -> str:
        """Say it in one sentence."""
        before, after = self.spectrum_errors
        return (
            f"The textured end brings the spectrum error from {before:.2f} to "
            f"{after:.2f}, at {self.gain:+.2f} dB."
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Gains of the faithful end in PSNR on held-out images, in decibels.

    What is called better than its base, or than bicubic where there was none, is so on
    images like these: the interval of the gain holds neither zero nor less.
    """

    over_bicubic: Gain
    over_base: Gain | None
    """`None` where there was no base."""
    n_images: int
    """Files or volumes; of a single one its parts tell the spread."""
    has_chosen: bool = False
    """Whether the only one also chose the weights, being too small to be divided."""
    texture: Texture | None = None
    """`None` where no textured end was found."""
    is_texture_missed: bool = False
    """Whether one was looked for in vain."""
    agreement: Gain | None = None
    """Where no truth is known: the gain in agreement with noise that was not seen, of
    the recordings themselves, in decibels. The other gains are then those on coarser
    versions of the recordings."""

    doubt: str = ""
    """Why nothing that was found without a truth is to be believed, as a sentence."""

    @property
    def is_better(self) -> bool:
        """Whether the model is worth having: by its pixels, or by new texture alone."""
        if self.over_base is None:
            return _is_above(self.over_bicubic)
        if self.doubt:
            return False
        if self.agreement is not None and self.agreement.mean < 0:
            return False  # coarser versions alone were wrong by up to 0.4 dB
        if self.over_bicubic.mean < NOTICEABLE:
            return False
        has_new_texture = self.texture is not None and self.over_base.mean > -NOTICEABLE
        return _is_above(self.over_base) or has_new_texture

    def __str__(self) -> str:
        """Say it in a sentence, and in a second one if there is texture."""
        parts = [_compared(self.over_bicubic, "bicubic")]
        if self.over_base is not None:
            parts.insert(0, _compared(self.over_base, "the base"))
        text = f"{' and '.join(parts)} on {self._images()}."
        if self.doubt:
            text = f"Not reliable: {self.doubt} In numbers: {text}"
        else:
            text = (
                f"{text[0].upper()}{text[1:]}"
                if self.is_better
                else f"Not better: {text}"
            )
        if self.agreement is not None:
            without_truth = self._without_truth(self.agreement)
            return f"{text} {without_truth}"
        if self.is_texture_missed:
            return f"{text} {NO_TEXTURE}"
        return text if self.texture is None else f"{text} {self.texture}"

    @staticmethod
    def _without_truth(agreement: Gain) -> str:
        """Say what it was judged by, where there was nothing sharp."""
        how = "less well than" if agreement.mean < 0 else "as well as"
        if agreement.low > 0:
            how = "better than"
        within = f"{agreement.low:+.3f} to {agreement.high:+.3f}"
        return (
            "Evaluated without ground truth, on downsampled recordings; on the "
            "recordings themselves, the results predict a copy with independent "
            f"noise {how} those of the base ({agreement.mean:+.3f} dB, {within})."
        )

    def _images(self) -> str:
        """Say how few they are, and what follows from it."""
        if self.n_images > 1:
            return f"{self.n_images} held-out images"
        also = ", which also selected the weights" if self.has_chosen else ""
        return (
            f"1 held-out image{also} (the interval is over its parts, not over other "
            "images)"
        )


def _is_above(gain: Gain) -> bool:
    return gain.low > 0 and gain.mean >= NOTICEABLE


def _compared(gain: Gain, baseline: str) -> str:
    within = f"{gain.low:+.2f} to {gain.high:+.2f}"
    if abs(gain.mean) < NOTICEABLE:
        return f"equal to {baseline} ({gain.mean:+.2f} dB, {within})"
    if gain.low <= 0 <= gain.high:
        how = f"not significantly different from {baseline}"
        return f"{how} ({gain.mean:+.2f} dB, {within})"
    how = "better" if gain.mean > 0 else "worse"
    return f"{how} than {baseline} by {abs(gain.mean):.2f} dB ({within})"


def judge(
    network: nn.Module,
    faithful: Weights,
    textured: Weights | None,
    held_out: HeldOut,
    base: nn.Module | None,
    *,
    is_texture_sought: bool = False,
    has_chosen: bool = False,
) -> Verdict:
    """Compare a generator with bicubic and with the one it started from.

    Parameters
    ----------
    network
        A generator of the same shape as the ends; its weights are changed.
    faithful, textured
        The two ends; `None` where there is no texture.
    held_out
        What is looked at.
    base
        The generator it started from, if there was one.
    is_texture_sought
        Whether a textured end was to be trained.
    has_chosen
        Whether what is looked at also chose the weights.
    """
    network.load_state_dict(faithful)
    figures, of_images = held_out.judge(network), held_out.by_image(network)
    texture = None
    if textured is not None:
        network.load_state_dict(textured)
        texture = _texture(figures, held_out.judge(network))
    return Verdict(
        over_bicubic=paired_gain(of_images, held_out.by_image(None)),
        over_base=None
        if base is None
        else paired_gain(of_images, held_out.by_image(base)),
        n_images=len(set(held_out.groups)),
        has_chosen=has_chosen,
        texture=texture,
        is_texture_missed=is_texture_sought and texture is None,
    )


def _texture(faithful: Validation, textured: Validation) -> Texture:
    return Texture(
        gain=textured.psnr - faithful.psnr,
        spectrum_errors=(faithful.spectrum_error, textured.spectrum_error),
    )


def recommended_dial(
    network: nn.Module, faithful: Weights, textured: Weights, held_out: HeldOut
) -> float:
    """Find the most texture that costs little on held-out images, and has no lattice.

    It costs no more than `DIAL_LOSS`, and the lattice is within the bound for images.

    Parameters
    ----------
    network
        A generator of the same shape; its weights are changed.
    faithful, textured
        The two ends.
    held_out
        What is looked at.

    Returns
    -------
    float
        From 0 to 1 in tenths.
    """
    network.load_state_dict(faithful)
    lowest = held_out.judge(network).psnr - DIAL_LOSS
    # Both grow along the dial, so the bracket of where it is too much is halved.
    enough, most = 0, 10
    while enough < most:
        tenths = (enough + most + 1) // 2
        network.load_state_dict(between(faithful, textured, tenths / 10))
        figures = held_out.judge(network)
        has_lattice = figures.lattice > most_on_images(figures.true_lattice)
        if figures.psnr >= lowest and not has_lattice:
            enough = tenths
        else:
            most = tenths - 1
    return enough / 10
