"""What every output says about how it came about: no path, nothing personal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sr.image.stack import Stack
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling.plan import Plan

NOTICE = "computed, not measured; not for diagnosis"
ASKED = "asked"
"""Under which an output says what was asked for."""
_NO_PIXEL_DEPENDS_ON = {"device", "share_of_memory", "tile"}


def provenance_of(stack: Stack, plan: Plan) -> dict[str, object]:
    """Say how the result of a stack by a plan came about."""
    return {
        "software": f"napari-sr {__version__}",
        "notice": NOTICE,
        "plan": plan.model_dump(mode="json"),
        "source": {"shape": list(stack.shape), "dtype": stack.dtype.name},
    }


def identity_of(upscaler: Upscaler) -> list[object]:
    """Tell by what an upscaler is known again; what is the same in JSON is the same."""
    chosen = dict(upscaler.options) if upscaler.digest is None else upscaler.dial
    return [upscaler.name, upscaler.factor, upscaler.digest, chosen]


def asked_for(upscaler: Upscaler, settings: UpscaleSettings) -> dict[str, object]:
    """Say what was asked for, by name, as far as pixels depend on it."""
    asked = settings.model_dump(mode="json", exclude=_NO_PIXEL_DEPENDS_ON)
    return {"model": identity_of(upscaler), **asked}


def differing(
    provenance: Mapping[str, object], asked: Mapping[str, object]
) -> list[str] | None:
    """List in what an output is not what is asked for now; None if it does not say.

    Parameters
    ----------
    provenance
        Of the output.
    asked
        From `asked_for`, and whatever else its pixels depend on.
    """
    before = provenance.get(ASKED)
    if not isinstance(before, dict):
        return None
    names = [*asked, *(name for name in before if name not in asked)]
    others = [name for name in names if before.get(name) != asked.get(name)]
    return [_of_model(before, asked) if one == "model" else one for one in others]


def _of_model(before: Mapping[str, object], asked: Mapping[str, object]) -> str:
    """Say whether it is another model, or the same at another dial or with options."""
    ours, other = before.get("model"), asked.get("model")
    if not (isinstance(ours, list) and isinstance(other, list)):
        return "model"
    *same, chosen = other
    if ours[: len(same)] != same:
        return "model"
    return "option of the model" if isinstance(chosen, dict) else "dial"
