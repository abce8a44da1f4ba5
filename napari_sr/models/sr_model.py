"""The model: networks and the card that says how they are to be used.

This module alone knows how the parts of a model file become something that computes:
two ends and a dial between them, and the noise conditioning of the network.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from safetensors.torch import save
from torch.nn import functional

from napari_sr.cards.model_card import PARTS, ModelFormatError, as_header, read_card
from napari_sr.device import full_precision
from napari_sr.files.atomic import written_atomically
from napari_sr.image.intensity import NoiseLevel, fill_gaps
from napari_sr.image.sampling import spread_indices
from napari_sr.image.tiling import pad_plane
from napari_sr.instrument.data_consistency import fitted_sigma
from napari_sr.instrument.noise import (
    SIGNAL_RADIUS,
    AnyNoiseEstimator,
    estimator_for,
    noise_map,
)
from napari_sr.instrument.ranges import describe_for_digest
from napari_sr.models.file import PartsOnDisk, digests_of
from napari_sr.models.upscaler import Prepared, Upscaler
from napari_sr.networks import build_generator, find_architecture
from napari_sr.networks.bounded import no_larger_than
from napari_sr.networks.inference.fold import fold_batch_norm
from napari_sr.networks.inference.runners import for_inference
from napari_sr.networks.weights import Weights, between, fitting

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from torch import Tensor

    from napari_sr.cards.model_card import ModelCard
    from napari_sr.image.intensity import IntensityRange
    from napari_sr.image.stack import Stack
    from napari_sr.networks import Condition, Generator
    from napari_sr.networks.inference.runners import Runner
    from napari_sr.networks.weights import Weights

__all__ = ["SRModel", "read_model", "save_model"]

COMPUTES = {
    "factor",
    "architecture",
    "arguments",
    "intensity",
    "halo",
    "output_scale",
    "output_offset",
    "instrument",
}
"""Fields of a card on which pixels depend."""
SIDE_FOR_BLUR = 192
"""Side of the part of a stack on which its blur is fitted, in recorded pixels."""
N_PLANES_FOR_NOISE = 8
"""The noise of a stack is estimated from so many planes, evenly spread."""


class SRModel(Upscaler):
    """A trained super-resolution model: an upscaler.

    Calling it maps a batch `(n, c, h, w)` in network range to `(n, 1, f·h, f·w)`; `c`
    is 1 (the image) or 2 (with its noise map, see `inputs`). The batch is used as it
    is: the caller pads by `halo` and crops.

    Parameters
    ----------
    card
        What the model is.
    weights
        For each part of `PARTS` that there is, its tensors by name.
    dial
        From faithful (0) to textured (1); the card's recommendation if `None`.
    device
        Where the network runs.

    Raises
    ------
    ValueError
        If a part is unknown or missing, or the model has no weights for the dial.
    """

    dial: float
    device: torch.device

    def __init__(
        self,
        card: ModelCard,
        weights: Mapping[str, Weights],
        *,
        dial: float | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.card = card
        self.name, self.description, self.domain = (
            card.name,
            card.description,
            card.domain,
        )
        self.factor, self.halo = card.factor, card.halo
        self.intensity_policy, self.instrument = card.intensity, card.instrument
        for_z = card.training_settings.get("for_z") or {}
        self.undoes_blur_along_z = for_z.get("blur", 0.0) > 0
        self.from_pairs = card.from_pairs
        self.weights = weights
        self.dial = card.recommended_dial if dial is None else dial
        self.device = torch.device(device)
        wrong = (set(weights) - set(PARTS)) | ({"faithful"} - set(weights))
        if wrong:
            raise ValueError(
                "A model has faithful weights, and may have others of "
                f"{', '.join(PARTS)}. Missing or unknown: {', '.join(sorted(wrong))}."
            )
        if not 0 <= self.dial <= 1:
            raise ValueError(f"The dial goes from 0 to 1, got {self.dial}.")
        if self.dial > 0 and "textured" not in weights:
            raise ValueError(
                f"Model {card.name!r} has no textured end, so its dial stays at 0, got "
                f"{self.dial}. Leave the dial out or choose another model."
            )

    def __repr__(self) -> str:
        """Show name, factor and domain."""
        return f"<SRModel {self.name}: ×{self.factor}, {self.domain}>"

    @cached_property
    def bytes_per_pixel(self) -> int:  # type: ignore[override]
        """Working memory per recorded pixel in float32, of a large tile."""
        return self.runner.bytes_per_pixel

    def to(self, device: torch.device | str) -> Self:
        """Give the same model on a device; itself if it is there."""
        if torch.device(device) == self.device:
            return self
        return self._with(device=device)

    def at_dial(self, dial: float) -> Self:
        """Give the same model at another dial between faithful and textured."""
        return self._with(dial=dial)

    def used_with(self, options: Mapping[str, object]) -> Self:
        """Give the same model with arguments that may be chosen when it is used.

        Parameters
        ----------
        options
            Such as `n_views`, where the architecture has it.

        Raises
        ------
        ValueError
            If the architecture has no such option, or not that value.
        """
        known = getattr(find_architecture(self.card.architecture), "at_use", ())
        if unknown := set(options) - set(known):
            takes = f"only the options {', '.join(known)}" if known else "no options"
            raise ValueError(
                f"Model {self.name!r} takes {takes}, got "
                f"{', '.join(sorted(unknown))}. Leave them out: its card says how it "
                f"is used."
            )
        chosen = {name: int(value) for name, value in options.items()}  # type: ignore[call-overload]
        arguments = {**self.card.arguments, **chosen}
        changed = self._with(card=self.card.model_copy(update={"arguments": arguments}))
        changed.options = {name: float(value) for name, value in chosen.items()}
        _ = changed.network  # refused now, not in the middle of a run
        return changed

    def _with(self, **changes: object) -> Self:
        """Give the same model but for its card, dial or device."""
        arguments: dict[str, Any] = {
            "card": self.card,
            "dial": self.dial,
            "device": self.device,
            **changes,
        }
        same = type(self)(arguments.pop("card"), self.weights, **arguments)
        same.options = self.options
        return same

    @cached_property
    def digest(self) -> str:
        """SHA-256 that says which model this is: of all that its pixels depend on.

        Other entries of a card (metrics, a better description) may change: results stay
        reproducible, and trainings from this model can go on.
        """
        content = self.card.model_dump(mode="json", include=COMPUTES)
        content["instrument"] = describe_for_digest(self.card.instrument)
        content["digests"] = digests_of(self.weights)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def network(self) -> Generator:
        """The generator at the dial, on the device; `runner` is what computes."""
        card = self.card
        faithful = self.weights["faithful"]
        with no_larger_than(faithful, self.name, card.arguments):
            network = build_generator(
                card.architecture, card.factor, card.arguments, card.output_step
            )
        if network.halo > self.halo:
            raise ModelFormatError(
                f"The card of model {self.name!r} says a halo of {self.halo} px, but "
                f"its network sees {network.halo} px around it. Correct the card."
            )
        weights = fitting(network, faithful, self.name)
        if self.dial > 0:
            textured = fitting(network, self.weights["textured"], self.name)
            weights = between(weights, textured, self.dial)
        network.load_state_dict(weights)
        fold_batch_norm(network.eval().requires_grad_(False)).to(self.device)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    @cached_property
    def runner(self) -> Runner:
        """The generator at the dial, arranged for inference, on the device."""
        runner = for_inference(self.network).to(self.device).requires_grad_(False)
        runner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return runner

    @cached_property
    def noise_estimator(self) -> AnyNoiseEstimator:
        """The network that estimates the noise for `noise="auto"`."""
        weights = self.weights["noise_estimator"]
        estimator = estimator_for(weights)
        estimator.load_state_dict(fitting(estimator, weights, self.name))
        return estimator.eval()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The inputs of its network besides the image."""
        return self.network.conditions

    @property
    def reach(self) -> int:
        """Recorded pixels on which a result depends; the noise map averages them."""
        return self.halo + (SIGNAL_RADIUS if "noise" in self.conditions else 0)

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> Prepared:
        """Find, once per stack, how much noise to remove.

        Parameters
        ----------
        stack
            The recording.
        intensity
            Its range.
        noise
            The user's setting.

        Returns
        -------
        Prepared
            With the noise level, if the network is noise-conditioned.

        Raises
        ------
        ValueError
            If a level is given, but the model is not noise-conditioned.
        """
        if "noise" not in self.conditions:
            return super().prepare(stack, intensity, noise)
        if noise != "auto":
            return Prepared(noise=noise)
        if "noise_estimator" not in self.weights:
            raise ValueError(
                f"Model {self.name!r} has no noise estimator. Give the noise: 0, or "
                f"NoiseLevel(gain=…, read=…, offset=…) in counts."
            )
        planes = (
            torch.from_numpy(intensity.normalize(fill_gaps(stack.plane(index))[0]))
            for index in spread_indices(stack, N_PLANES_FOR_NOISE)
        )
        with full_precision():
            level = self.noise_estimator.estimate(planes)
        return Prepared(noise=intensity.noise_to_counts(level))

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Stack a whole plane with the conditioning inputs of the network.

        Parameters
        ----------
        plane
            `(1, 1, y, x)` float32 in network range.
        intensity
            The stack's range.
        prepared
            What `prepare` found for the stack.

        Returns
        -------
        Tensor
            `(1, c, y, x)` float32.
        """
        if prepared.noise is None:
            return plane
        level = intensity.noise_to_network(prepared.noise)
        sigma = noise_map(plane, level.gain, level.read, level.offset)
        return torch.cat([plane, sigma], dim=1)

    def fitted_blur(
        self, stack: Stack, intensity: IntensityRange, prepared: Prepared
    ) -> float:
        """Fit the blur that relates results of the middle of a stack to its recording.

        A model that is trained for blurred recordings deblurs them, by as much as it
        estimates them to be blurred.

        Parameters
        ----------
        stack, intensity, prepared
            As for `inputs`.
        """
        within = self.card.instrument.psf_sigma
        if within[0] == within[1]:
            return within[0]
        middle = tuple(length // 2 for length in stack.leading_shape)
        starts = [max(0, (side - SIDE_FOR_BLUR) // 2) for side in stack.plane_shape]
        part = tuple(slice(start, start + SIDE_FOR_BLUR) for start in starts)
        low = intensity.normalize(fill_gaps(stack.plane(middle)[part])[0])
        inputs = self.inputs(torch.from_numpy(low)[None, None], intensity, prepared)
        padded = [pad_plane(channel, self.halo) for channel in inputs[0].numpy()]
        batch = torch.from_numpy(np.stack(padded))[None]
        with full_precision():
            high = self(batch.to(self.device))[0, 0].float().cpu().numpy()
        inside = slice(self.halo * self.factor, -self.halo * self.factor)
        return fitted_sigma(high[inside, inside], low, self.factor, within)

    @torch.inference_mode()
    def __call__(self, batch: Tensor) -> Tensor:
        """Super-resolve a batch `(n, c, h, w)` to `(n, 1, f·h, f·w)`, network range.

        Pixels within the network's halo of the border are zero: a caller crops them.
        """
        ring = self.factor * self.runner.halo
        if min(batch.shape[-2:]) <= 2 * self.runner.halo:
            height, width = (self.factor * side for side in batch.shape[-2:])
            return batch.new_zeros((len(batch), 1, height, width))
        batch = batch.contiguous(memory_format=torch.channels_last)
        inner: Tensor = self.runner(batch)
        return functional.pad(inner, [ring] * 4)


def read_model(path: str | os.PathLike[str]) -> SRModel:
    """Read a model file.

    Parameters
    ----------
    path
        A `.safetensors` file that `save_model` wrote.

    Returns
    -------
    SRModel
        On the CPU, at the recommended dial. What every use needs has been read and
        checked; the other parts are read when they are first used.

    Raises
    ------
    ModelFormatError
        If the file is not a usable model, in one sentence.
    """
    path = Path(path)
    card = read_card(path)
    weights = PartsOnDisk(path, card)
    try:
        model = SRModel(card, weights)
        # What cannot be built is refused now, not in the middle of a run.
        _ = model.network
        if "noise_estimator" in weights:
            _ = model.noise_estimator
    except ModelFormatError:
        raise
    except ValueError as error:  # an unknown architecture, a dial without its end
        raise ModelFormatError(f"{path.name}: not usable: {error}") from error
    return model


def save_model(model: SRModel, path: str | os.PathLike[str]) -> Path:
    """Write a model with all its parts to one `.safetensors` file.

    The file is written aside and renamed: it is whole or absent.

    Parameters
    ----------
    model
        What to write.
    path
        Where; an existing file is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the name does not end in `.safetensors`.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"A model file ends in .safetensors, got {path.name!r}.")
    weights = {part: dict(model.weights[part]) for part in model.weights}
    card = model.card.model_copy(update={"digests": digests_of(weights)})
    tensors = {
        f"{part}.{name}": tensor.detach().cpu().contiguous()
        for part, named in weights.items()
        for name, tensor in named.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as partial:
        partial.write_bytes(save(tensors, metadata=as_header(card)))
    return path
