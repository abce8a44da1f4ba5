"""What an imported network does to a gradient and to one bright pixel.

This module alone knows how range, place and reach of a network are measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from napari_sr.cards.model_card import ModelFormatError

if TYPE_CHECKING:
    from torch import Tensor, nn

_SIDE = 32
"""Recorded pixels between the halos of the gradient."""


class Probed(Protocol):
    """An upscaler whose network can be asked by itself."""

    @property
    def factor(self) -> int:
        """Super-resolution factor."""

    @property
    def halo(self) -> int:
        """Recorded pixels that it must see around each pixel."""

    @property
    def network(self) -> nn.Module:
        """What computes."""

    def __call__(self, batch: Tensor) -> Tensor:
        """Map `(n, 1, h, w)` to `(n, 1, factor·h, factor·w)`."""


@torch.inference_mode()
def look_at(model: Probed) -> dict[str, float]:
    """Run a network on a gradient and an impulse.

    Parameters
    ----------
    model
        With its network.

    Returns
    -------
    dict of str to float
        `lowest`, `highest`: of the result of a gradient from 0 to 1; `gain`: its
        steepness, 1 where it is kept; `shift_x`: by how many recorded pixels it lies
        beside where half-pixel alignment puts it; `reach`: recorded pixels over which
        a bright pixel is felt (at most its halo).

    Raises
    ------
    ModelFormatError
        If it gives values that are not numbers.
    """
    halo, factor = model.halo, model.factor
    length = _SIDE + 2 * halo
    place = torch.arange(length, dtype=torch.float32) - halo
    ramp = (place / (_SIDE - 1)).clamp(0, 1).expand(1, 1, 2 * halo + 3, length)
    high = model(ramp.contiguous())[0, 0]
    row = high[len(high) // 2, halo * factor : -halo * factor]  # under the gradient
    if not row.isfinite().all():
        raise ModelFormatError(
            "The network gives values that are not numbers, so its weights are "
            "damaged. Get the file again."
        )
    x = (torch.arange(len(row)) + 0.5) / factor - 0.5
    middle = slice(len(row) // 4, -len(row) // 4)  # no end of the gradient nearby
    fit = torch.stack([x[middle], torch.ones_like(x[middle])], dim=1)
    steepness, offset = torch.linalg.lstsq(fit, row[middle, None]).solution[:, 0]
    gain = float(steepness) * (_SIDE - 1)
    centre = (_SIDE - 1) / 2
    at_centre = float(steepness) * centre + float(offset)
    shift = (0.5 - at_centre) * (_SIDE - 1) / gain if abs(gain) > 1e-6 else 0.0
    flat = torch.full((1, 1, 2 * halo + 3, 2 * halo + 3), 0.5)
    bright = flat.clone()
    bright[0, 0, halo + 1, halo + 1] = 1
    # The network itself: a model gives only what its halo does not reach.
    felt = (model.network(bright) - model.network(flat))[0, 0].abs().amax(0).nonzero()
    reach = float((felt // factor - (halo + 1)).abs().max()) if len(felt) else 0.0
    return {
        "lowest": float(row.min()),
        "highest": float(row.max()),
        "gain": gain,
        "shift_x": shift,
        "reach": reach,
    }
