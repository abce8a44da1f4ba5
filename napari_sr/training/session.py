"""One training: what it learns from, where it stands, and the model it has found.

This module alone gathers and checks the images of a training, keeps some back, and puts
what was found into a model and its card.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_sr.cards.model_card import ModelCard, TrainingImage
from napari_sr.catalogue.lookup import load_trained
from napari_sr.datasets import divide, gather_images, groups_of, hold_out
from napari_sr.datasets.pairs import gather_pairs
from napari_sr.image.intensity import IntensityPolicy, NoiseLevel
from napari_sr.models.sr_model import SRModel
from napari_sr.training.auxiliary.noise_estimator import train_noise_estimator
from napari_sr.training.auxiliary.statistics import (
    measured_recording,
    simulated_recordings,
    statistics_of,
)
from napari_sr.training.batches import Examples, MeasuredExamples, SimulatedExamples
from napari_sr.training.checkpoint import CheckpointError, TrainingState
from napari_sr.training.content_losses import check_losses
from napari_sr.training.flow import train_steps
from napari_sr.training.self_supervised import (
    agreement,
    coarser_images,
    doubt_about,
    fields_of,
    is_correlated,
    with_noise_of,
)
from napari_sr.training.validation import held_out, held_out_pairs
from napari_sr.training.verdict import Verdict, judge, recommended_dial

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_sr.cards.suitability import TrainingStatistics
    from napari_sr.datasets import SharpImage, Sources
    from napari_sr.datasets.pairs import MeasuredPair
    from napari_sr.instrument.noise import AnyNoiseEstimator
    from napari_sr.networks import Generator
    from napari_sr.networks.weights import Weights
    from napari_sr.settings import TrainingSettings
    from napari_sr.training.flow import TrainingStep
    from napari_sr.training.self_supervised import Field
    from napari_sr.training.validation import HeldOut

N_RECORDINGS = 3_000
"""From which the noise estimator of a model without a base learns."""
FINDS_CORRELATION = "general-x4"
"""The shipped model whose noise estimator knows noise that is not white."""
SMALLEST_PATCH = 16
"""Smaller ones have hardly any inside left."""


class Training:
    """A training: iterate to continue it, ask for its `model` at any time.

    Parameters
    ----------
    images
        Sharp images, as `gather_images` takes them; with `low_images`, the sharp half
        of measured pairs.
    settings
        How to train.
    low_images
        Recordings of the same fields as `images`, `factor` times coarser.
    base
        A model, or its name or path, to start from.
    checkpoint
        File for what is needed to resume. If it exists, the training is resumed.
    name, domain, description
        Of the model.
    weights
        How often each image is drawn; equally when not given.
    judged_by
        Sharp images for validation and test; without, some of `images` are held out.
    recordings_only
        Whether `images` are recordings, without sharp images (self-supervised): the
        training images are the base's results on them, downsampled. The blur is that of
        the settings' instrument, the noise is estimated from them.

    Raises
    ------
    ValueError
        For images, pairs, a base or a checkpoint that cannot be used, in one sentence.
    """

    def __init__(
        self,
        images: Sources,
        settings: TrainingSettings,
        *,
        low_images: Sources | None = None,
        base: SRModel | str | os.PathLike[str] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        name: str = "trained",
        domain: str | None = None,
        description: str = "",
        weights: Sequence[float] | None = None,
        judged_by: Sources | None = None,
        recordings_only: bool = False,
    ) -> None:
        self.base = as_base(base)
        self.settings = settings
        _check_base(self.base, self.settings)
        self.name, self.domain, self.description = name, domain, description
        self.checkpoint = Path(checkpoint) if checkpoint is not None else None
        self._weights = weights
        self.notes: list[str] = []
        """What was found about the images: sentences for a person."""
        self.estimator: Weights | None = None
        self._unseen: list[Field] = []
        self._doubt = ""
        if recordings_only:
            self._take_recordings(images, low_images, judged_by)
        elif low_images is None:
            self._take_images(images, judged_by)
        elif judged_by is not None:
            raise ValueError(
                "With measured pairs some of them are held out to evaluate the model. "
                "Leave out judged_by."
            )
        elif settings.for_z is not None:
            raise ValueError(
                "A training for z learns from planes that are degraded along one "
                "axis, not from measured pairs. Leave one out."
            )
        else:
            self._take_pairs(low_images, images)
        check_losses(self.settings)
        self.state = self._state()

    def __iter__(self) -> Iterator[TrainingStep]:
        """Train from where it stands; each step says how it goes."""
        yield from train_steps(
            self.state, self.examples, self.held_out, self.checkpoint
        )

    def save(self) -> None:
        """Write the checkpoint now, between two steps, if there is to be one."""
        if self.checkpoint is not None:
            self.state.save(self.checkpoint)

    # ── what it learns from ─────────────────────────────────────────────────────

    @property
    def policy(self) -> IntensityPolicy:
        """How intensity ranges are measured: as for the base."""
        return self.base.intensity_policy if self.base else IntensityPolicy()

    held_out: HeldOut
    """The validation images, which select the weights and the dial."""
    judging: HeldOut
    """The test images, which give the verdict: other images than those for validation,
    unless there are too few."""
    learnt_recordings: Callable[[], HeldOut] | None = None
    """Simulates recordings of some training images, like those that are held out; none
    if the ground truth is unknown."""
    _images: Sequence[SharpImage | MeasuredPair]
    _learnt: list[SharpImage]
    _seen: tuple[TrainingImage, ...]
    _described: Sequence[SharpImage | MeasuredPair]
    """What the statistics of the card are taken from."""
    _recordings_of: Callable[[Any], list[NDArray]]
    """Gives recordings of one of them: measured or simulated ones."""

    def _take_images(self, images: Sources, judged_by: Sources | None) -> None:
        gathered = gather_images(images, self.policy)
        self._images = gathered
        if judged_by is None:
            learnt, kept, how = hold_out(
                gathered, self.settings.share_held_out, self.settings.seed
            )
            self.notes.append(how)
        else:
            learnt, kept = gathered, gather_images(judged_by, self.policy)
        self._learnt = learnt
        self._seen = _seen(learnt, gathered)
        self._described = learnt
        self._recordings_of = partial(simulated_recordings, settings=self.settings)
        self._fit_patch(max(min(image.shape) for image in learnt))
        self.examples: Examples = SimulatedExamples(
            learnt, self.settings, self._weights
        )
        self._divide(
            kept,
            gathered if judged_by is None else kept,
            lambda part, together: held_out(part, self.settings, together),
        )
        self.learnt_recordings = partial(held_out, learnt, self.settings)

    def _take_recordings(
        self, recordings: Sources, low: Sources | None, judged_by: Sources | None
    ) -> None:
        """Learn from what the base makes of recordings, seen coarser."""
        base = self._base_for_recordings(low, judged_by)
        factor, network = self.settings.factor, base.at_dial(0.0).network
        gathered = gather_images(recordings, self.policy)
        self._images = gathered
        learnt, kept, how = hold_out(
            gathered, self.settings.share_held_out, self.settings.seed
        )
        self.notes.append(how)
        estimator, found = self._noise_in(learnt, base)
        instrument = with_noise_of(found, self.settings.instrument)
        self.settings = self.settings.model_copy(update={"instrument": instrument})
        self._learnt = coarser_images(found, network, factor)
        self._seen = _seen(learnt, gathered)
        self._described, self._recordings_of = learnt, measured_recording
        self._fit_patch(max(min(image.shape) for image in self._learnt))
        self.examples = SimulatedExamples(self._learnt, self.settings, self._weights)
        self._unseen = fields_of(kept, estimator)

        def record(part: Sequence[Any], together: list[int]) -> HeldOut:
            fields = fields_of(part, estimator)
            coarse = coarser_images(fields, network, factor)
            groups = dict(zip([item.stack for item in part], together, strict=True))
            return held_out(
                coarse, self.settings, [groups[image.stack] for image in coarse]
            )

        self._divide(kept, gathered, record)

    def _noise_in(
        self, images: Sequence[SharpImage], base: SRModel
    ) -> tuple[AnyNoiseEstimator, list[Field]]:
        """Find the noise of recordings; by another estimator where it is correlated.

        Those of most models know white noise alone. The model then gets the same
        conditioning in use as here.
        """
        other = load_trained(FINDS_CORRELATION, "lend its estimator").noise_estimator
        found = fields_of(images, other)
        self._doubt = doubt_about(base, self.settings.instrument, found)
        if self._doubt:
            self.notes.append(self._doubt)
        if is_correlated(found):
            self.estimator = other.state_dict()
            return other, found
        return base.noise_estimator, fields_of(images, base.noise_estimator)

    def _base_for_recordings(
        self, low: Sources | None, judged_by: Sources | None
    ) -> SRModel:
        """Refuse what cannot go with recordings alone."""
        if low is not None or judged_by is not None:
            raise ValueError(
                "With recordings alone there are no measured pairs and no sharp "
                "images to evaluate with. Leave out low_images and judged_by."
            )
        if self.base is None or "noise_estimator" not in self.base.weights:
            raise ValueError(
                "To learn from recordings alone, start from a noise-conditioned "
                "model, such as general-x2."
            )
        if self.settings.for_z is not None:
            raise ValueError(
                "Along z a network learns from the planes of one volume. Give the "
                "volume as images, or leave out for_z."
            )
        if self.settings.adversarial is not None:
            raise ValueError(
                "Texture cannot be learnt from recordings alone, without sharp "
                "images. Leave out the adversarial stage."
            )
        return self.base

    def _fit_patch(self, side: int) -> None:
        """Take smaller patches where no image is as large as the usual ones."""
        largest = side // self.settings.factor
        if SMALLEST_PATCH <= largest < self.settings.patch:
            self.notes.append(
                f"Patches are {largest} px instead of {self.settings.patch}, because "
                "of the size of the images."
            )
            self.settings = self.settings.model_copy(update={"patch": largest})

    def _take_pairs(self, low: Sources, sharp: Sources) -> None:
        gathered = gather_pairs(low, sharp, self.settings.factor, self.policy)
        pairs = gathered.pairs
        self._images = pairs
        self.notes += gathered.notes
        learnt, kept, how = hold_out(
            pairs, self.settings.share_held_out, self.settings.seed
        )
        self.notes.append(how)
        self._learnt = [pair.high for pair in learnt]
        self._seen = _seen(learnt, pairs)
        self._described = learnt
        self._recordings_of = lambda pair: measured_recording(pair.low)
        self._fit_patch(max(min(image.shape) for image in self._learnt))
        noise = [self._noise_of(pair) for pair in learnt]
        self.examples = MeasuredExamples(learnt, self.settings, noise, self._weights)
        factor = self.settings.factor
        self._divide(
            kept,
            pairs,
            lambda part, together: held_out_pairs(
                part, [self._noise_of(pair) for pair in part], factor, together
            ),
        )
        self.learnt_recordings = partial(held_out_pairs, learnt, noise, factor)

    def _divide(
        self,
        kept: Sequence[Any],
        of_all: Sequence[Any],
        record: Callable[[Sequence[Any], list[int]], HeldOut],
    ) -> None:
        """Let some of what is held out choose among weights, and others judge them."""
        groups = zip(of_all, groups_of(of_all), strict=True)
        group_of = {item.stack: group for item, group in groups}
        choosing, judging, how = divide(kept, [group_of[item.stack] for item in kept])
        self.notes.append(how)
        self._has_chosen = choosing is judging
        self.held_out, self.judging = (
            record(part, [group_of[item.stack] for item in part])
            for part in (choosing, judging)
        )

    def _noise_of(self, pair: MeasuredPair) -> NoiseLevel:
        """Estimate the conditioning inputs of the generator, as in use."""
        if self.base is None or "noise_estimator" not in self.base.weights:
            return NoiseLevel()
        low = torch.from_numpy(pair.low[:, :])
        return self.base.noise_estimator.estimate([low])

    # ── where it stands ─────────────────────────────────────────────────────────

    @property
    def origin(self) -> str:
        """What a checkpoint must have started from to be resumed."""
        base = self.base.digest if self.base else "none"
        names = ";".join(f"{image.name}{image.shape}" for image in self._images)
        return hashlib.sha256(f"{base}|{names}".encode()).hexdigest()

    def _state(self) -> TrainingState:
        path = self.checkpoint
        if path is not None and path.exists():
            state = TrainingState.load(path)
            if other := self._what_differs(state):
                raise CheckpointError(
                    f"{path} belongs to a training with {other}. Remove it to start "
                    "again, or use the same."
                )
            return state
        state = TrainingState(
            self.settings,
            start=_part(self.base, "faithful"),
            discriminator=_part(self.base, "discriminator"),
            output_step=self.base.card.output_step if self.base else None,
        )
        state.origin = self.origin
        return state

    def _what_differs(self, state: TrainingState) -> str:
        """Name the settings in which a checkpoint differs; empty if it is of this."""
        now, then = self.settings.model_dump(), state.settings.model_dump()
        differing = [
            f"{name.replace('_', ' ')} {then[name]!r} instead of {now[name]!r}"
            for name in now
            if now[name] != then[name]
        ]
        if not differing and state.origin != self.origin:
            return "other images or another base model"
        return " and ".join(differing)

    # ── what it has found ───────────────────────────────────────────────────────

    @property
    def model(self) -> SRModel:
        """The best model so far, with the verdict in its card."""
        state = self.state
        faithful = state.faithful or state.best.weights or state.averaged_weights()
        textured = state.textured
        if state.stage == "adversarial":
            textured = state.best.weights or None
        parts: dict[str, Weights] = {"faithful": faithful}
        if textured is not None:
            parts["textured"] = textured
            if state.settings.adversarial and state.discriminator is not None:
                parts["discriminator"] = state.discriminator.state_dict()
        network = self._network()
        dial = self._dial(network, faithful, textured)
        if network.in_channels == 2:
            parts["noise_estimator"] = self._noise_estimator()
        base = self._base_network()
        verdict = judge(
            network,
            faithful,
            textured,
            self.judging,
            base,
            is_texture_sought=self.settings.adversarial is not None,
            has_chosen=self._has_chosen,
        )
        if self._unseen and base is not None:
            network.load_state_dict(faithful)
            assert self.base is not None
            estimate = self.base.noise_estimator.estimate
            agrees = agreement(
                network,
                base,
                self._unseen,
                self.settings,
                [estimate([field.low[0, 0]]) for field in self._unseen],
            )
            verdict = replace(verdict, agreement=agrees, doubt=self._doubt)
        return SRModel(self._card(verdict, network, dial), _on_cpu(parts))

    def _dial(
        self, network: nn.Module, faithful: Weights, textured: Weights | None
    ) -> float:
        if textured is None:
            return 0.0
        adversarial = self.settings.adversarial
        if adversarial is not None and adversarial.recommended_dial is not None:
            return adversarial.recommended_dial
        return recommended_dial(network, faithful, textured, self.held_out)

    def baselines(self) -> dict[str, float]:
        """PSNR of the baselines on the held-out images."""
        decibels = {"bicubic": self.held_out.judge_bicubic().psnr}
        if (base := self._base_network()) is not None:
            decibels["base"] = self.held_out.judge(base).psnr
        return decibels

    def _network(self) -> Generator:
        """Copy the generator: same output step, same device, weights to be loaded."""
        network: Generator = copy.deepcopy(self.state.generator)
        return network.eval()

    def _base_network(self) -> Generator | None:
        if self.base is None:
            return None
        network = self._network()
        network.load_state_dict(self.base.weights["faithful"])
        return network

    def _noise_estimator(self) -> Weights:
        """Take the base's; without one, train on recordings like the generator's."""
        weights = self.estimator or _part(self.base, "noise_estimator")
        if weights is None:
            estimator = train_noise_estimator(
                self._learnt, self._weights, self.settings, N_RECORDINGS
            )
            weights = self.estimator = estimator.state_dict()
        return weights

    @cached_property
    def _statistics(self) -> TrainingStatistics | None:
        """What the training images are like; `None` where no warning can follow."""
        # Nothing would be unlike all kinds; along z, recordings are not binned.
        if self.domain == "general" or self.settings.for_z is not None:
            return None
        specimen_of = {image.file: image.specimen for image in self._seen}
        specimens = [specimen_of[image.stack] for image in self._described]
        return statistics_of(self._described, specimens, self._recordings_of)

    def _card(self, verdict: Verdict, network: Generator, dial: float) -> ModelCard:
        settings, base = self.settings, self.base
        description = self.description
        if not description and base is not None:
            what = "" if settings.for_z is None else " for z"
            description = f"Fine-tuned{what} from {base.name}."
        return ModelCard(
            name=self.name,
            description=description,
            domain=self.domain or (base.domain if base else "any"),
            factor=settings.factor,
            architecture=settings.architecture,
            arguments=settings.arguments,
            intensity=self.policy,
            halo=network.halo,
            output_scale=network.output_step[0],
            output_offset=network.output_step[1],
            instrument=settings.instrument,
            recommended_dial=dial,
            training_settings=settings.model_dump(mode="json"),
            training_images=self._seen,
            training_statistics=self._statistics,
            from_pairs=isinstance(self.examples, MeasuredExamples),
            verdict=str(verdict),
            is_better=verdict.is_better,
            base=f"{base.name} {base.digest[:12]}" if base else "",
        )


def as_base(base: SRModel | str | os.PathLike[str] | None) -> SRModel | None:
    """Load the model to start from; a method without weights has nothing to."""
    return None if base is None else load_trained(base, "be fine-tuned")


def _seen(
    learnt: Sequence[SharpImage | MeasuredPair],
    gathered: Sequence[SharpImage | MeasuredPair],
) -> tuple[TrainingImage, ...]:
    """List the images that were learnt from; slices of one volume are one specimen."""
    specimens = dict(
        zip((item.stack for item in gathered), groups_of(gathered), strict=True)
    )
    return tuple(
        TrainingImage(
            file=stack,
            licence="not stated",
            source="the user",
            specimen=f"specimen {specimens[stack] + 1}",
        )
        for stack in dict.fromkeys(item.stack for item in learnt)
    )


def _on_cpu(parts: Mapping[str, Weights]) -> dict[str, Weights]:
    """Copy what was trained on a device, so that the model holds nothing there."""
    return {
        part: {name: tensor.cpu() for name, tensor in weights.items()}
        for part, weights in parts.items()
    }


def _part(base: SRModel | None, part: str) -> Weights | None:
    return base.weights[part] if base is not None and part in base.weights else None


def _check_base(base: SRModel | None, settings: TrainingSettings) -> None:
    adversarial = settings.adversarial
    if adversarial is not None and adversarial.discriminator_learns == "end":
        if _part(base, "discriminator") is None or adversarial.discriminator != "unet":
            raise ValueError(
                "discriminator_learns='end' needs a base that comes with a U-Net "
                "discriminator. Choose such a base, or discriminator_learns='all'."
            )
    if base is None:
        return
    card = base.card
    wanted = (settings.factor, settings.architecture, settings.arguments)
    if wanted != (card.factor, card.architecture, card.arguments):
        raise ValueError(
            f"The settings ask for ×{settings.factor} {settings.architecture} "
            f"{settings.arguments}, but the base {base.name!r} is ×{card.factor} "
            f"{card.architecture} {card.arguments}. Use settings_for(base)."
        )
