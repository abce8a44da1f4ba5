"""What every output says about how it came about: no path, nothing personal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari_sr

if TYPE_CHECKING:
    from napari_sr.planning import Plan
    from napari_sr.stack import Stack

NOTICE = "computed, not measured; not for diagnosis"


def provenance_of(stack: Stack, plan: Plan) -> dict[str, object]:
    """Say how the result of a stack by a plan came about."""
    return {
        "software": f"napari-sr {napari_sr.__version__}",
        "notice": NOTICE,
        "plan": plan.model_dump(mode="json"),
        "source": {"shape": list(stack.shape), "dtype": stack.dtype.name},
    }
