"""Blind models: the blur of a recording is found out, then undone.

This module alone knows how: a predictor guesses the code of the blur, the generator
makes something of it, a corrector sees that and says how the code is to change, seven
times (Gu et al., CVPR 2019). It is found once per stack, and kept in the plan.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional

from napari_sr.device import full_precision
from napari_sr.image.intensity import fill_gaps
from napari_sr.image.sampling import spread_indices
from napari_sr.models import sr_model as models
from napari_sr.models.sr_model import SRModel
from napari_sr.models.upscaler import BlurEstimate, Prepared
from napari_sr.networks.bounded import no_larger_than
from napari_sr.networks.generators.ikc import (
    Corrector,
    Predictor,
    Sftmd,
    gaussian_grid,
    gaussian_kernels,
    with_code,
)
from napari_sr.networks.weights import fitting

if TYPE_CHECKING:
    import os

    from torch import Tensor

    from napari_sr.image.intensity import IntensityRange, NoiseLevel
    from napari_sr.image.stack import Stack
    from napari_sr.networks.weights import Weights

N_CORRECTIONS = 7
"""As in the paper."""
N_WINDOWS, SIDE = 4, 96
"""Parts of a stack that are looked at, and their side in recorded pixels."""


class BlindModel(SRModel):
    """A model that finds out the blur of a recording; see `SRModel`."""

    network: Sftmd

    @cached_property
    def _finders(self) -> tuple[Predictor, Corrector]:
        """What guesses and what corrects."""
        networks: list[Predictor | Corrector] = []
        for part, kind in (("predictor", Predictor), ("corrector", Corrector)):
            if part not in self.weights:
                raise ValueError(
                    f"Model {self.name!r} has no {part}, so it cannot estimate the "
                    "blur. Train one, see tools/zoo/train_methods.py."
                )
            weights = self.weights[part]
            with no_larger_than(weights, self.name):
                network = kind(_width_of(weights))
            network.load_state_dict(fitting(network, weights, self.name))
            networks.append(network.eval().to(self.device))
        predictor, corrector = networks
        assert isinstance(predictor, Predictor)
        assert isinstance(corrector, Corrector)
        return predictor, corrector

    def prepare(
        self,
        stack: Stack,
        intensity: IntensityRange,
        noise: Literal["auto"] | NoiseLevel,
    ) -> Prepared:
        """Find out, once per stack, what blurred it.

        Parameters
        ----------
        stack
            The recording.
        intensity
            Its range.
        noise
            "auto": these models are not noise-conditioned.

        Raises
        ------
        ValueError
            If a noise level is given.
        """
        super().prepare(stack, intensity, noise)
        return Prepared(blur=self.blur_of(_windows(stack, intensity, self.factor)))

    @torch.inference_mode()
    @full_precision()
    def blur_of(self, low: Tensor) -> BlurEstimate:
        """Find out the blur that recordings share.

        Parameters
        ----------
        low
            `(n, 1, h, w)` in network range.
        """
        predictor, corrector = self._finders
        low = low.to(self.device)
        known = self.network.code_of(gaussian_kernels(self.factor).to(self.device))
        least, most = known.amin(0), known.amax(0)
        code = predictor(low).mean(0, keepdim=True).clamp(least, most)
        course = [self._described(code).round_sigma]
        for _ in range(N_CORRECTIONS):
            step = corrector(self._made_with(low, code), code.expand(len(low), -1))
            code = (code + step.mean(0, keepdim=True)).clamp(least, most)
            course.append(self._described(code).round_sigma)
        return self._described(code).model_copy(update={"course": tuple(course)})

    def _made_with(self, low: Tensor, code: Tensor) -> Tensor:
        """Super-resolve with a code, continued by reflection by the halo."""
        halo = min(self.halo, *(side - 1 for side in low.shape[-2:]))
        padded = functional.pad(low, (halo,) * 4, mode="reflect")
        inside = slice(halo * self.factor, -halo * self.factor)
        fine: Tensor = self.network(with_code(padded, code))
        return fine[..., inside, inside]

    def _described(self, code: Tensor) -> BlurEstimate:
        """Find the Gaussian whose kernel comes nearest to that of a code."""
        grid, kernels = _fine_grid(self.factor)
        kernel, code = self.network.kernel_of(code).cpu(), code.cpu()
        nearest = int((kernels - kernel).square().sum((1, 2)).argmin())
        sigma, ratio, angle = grid[nearest].tolist()
        return BlurEstimate(
            code=tuple(code[0].tolist()), sigma=sigma, ratio=ratio, angle=angle
        )

    def inputs(
        self, plane: Tensor, intensity: IntensityRange, prepared: Prepared
    ) -> Tensor:
        """Put the code of the blur beside every pixel of a plane.

        Parameters
        ----------
        plane
            `(1, 1, y, x)` float32 in network range.
        intensity
            The stack's range; not looked at.
        prepared
            What `prepare` found for the stack.

        Returns
        -------
        Tensor
            `(1, 11, y, x)` float32.
        """
        assert prepared.blur is not None
        return with_code(plane, torch.tensor([prepared.blur.code]))


def read_model(path: str | os.PathLike[str]) -> SRModel:
    """Read a model file, blind or not; see `napari_sr.models.sr_model.read_model`."""
    model = models.read_model(path)
    if model.card.architecture == "sftmd":
        return BlindModel(model.card, model.weights, dial=model.dial)
    return model


_GRIDS: dict[int, tuple[Tensor, Tensor]] = {}


def _fine_grid(factor: int) -> tuple[Tensor, Tensor]:
    """Sample Gaussians finely; they are the same for all models of a factor."""
    if factor not in _GRIDS:
        grid = gaussian_grid(factor, n_widths=10 * factor + 1, n_directions=12)
        _GRIDS[factor] = grid, gaussian_kernels(factor, 10 * factor + 1, 12)
    return _GRIDS[factor]


def _width_of(weights: Weights) -> int:
    """Tell the channels of a predictor or a corrector from its first convolution."""
    first = "layers.0.weight" if "layers.0.weight" in weights else "image.0.weight"
    return int(weights[first].shape[0])


def _windows(stack: Stack, intensity: IntensityRange, factor: int) -> Tensor:
    """Take the parts with most structure from planes that stand for a stack."""
    side = min(SIDE, *stack.plane_shape)
    parts: list[tuple[float, Tensor]] = []
    for index in spread_indices(stack, N_WINDOWS):
        plane = intensity.normalize(fill_gaps(stack.plane(index))[0])
        for row in range(0, plane.shape[0] - side + 1, side):
            for column in range(0, plane.shape[1] - side + 1, side):
                part = torch.from_numpy(
                    plane[row : row + side, column : column + side].copy()
                )
                edges = (
                    part.diff(dim=0).square().mean() + part.diff(dim=1).square().mean()
                )
                parts.append((float(edges), part))
    parts.sort(key=lambda scored: -scored[0])
    return torch.stack([part for _, part in parts[:N_WINDOWS]])[:, None]
