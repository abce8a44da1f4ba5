"""Every kind of upscaler, for the laws that all of them obey."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

import pytest
import tifffile
from tiny_models import tiny_blind, tiny_fast, tiny_scn, tiny_srresnet

from napari_sr.catalogue.lookup import load_model
from napari_sr.methods.bank import write_bank
from napari_sr.methods.names import METHODS
from napari_sr.phantoms import make_phantom
from napari_sr.upscaling.progress import run_to_end

FACTORS = (2, 3, 4)
EXAMPLE = Path(mkdtemp(prefix="napari-sr-")) / "example.tif"
"""A sharp image, for the methods that need one."""
tifffile.imwrite(
    EXAMPLE,
    make_phantom("nuclei", n_planes=1, size=96, seed=4).truth.reshape(96, 96),
)
BANK = EXAMPLE.with_name("bank.npz")
"""An index of that one image."""
assert run_to_end(write_bank([EXAMPLE], BANK)) == 1
NEEDED = {
    "exemplar": {"example": str(EXAMPLE), "n_patches": 256},
    "retrieval": {"bank": str(BANK), "n_images": 1},
}
"""Options without which a method cannot be made."""
BLUR = {"psf_sigma": 0.8, "psf_ratio": 1.5, "psf_angle": 30.0}
"""Of an instrument, for the methods that take one."""


def _named(name, factor, **options):
    label = f"{name}-x{factor}" + "-blur" * bool(options)
    made = load_model(name, factor=factor, **NEEDED.get(name, {}), **options)
    return pytest.param(made, id=label)


WEIGHTLESS = [
    *(_named(name, factor) for name in METHODS for factor in FACTORS),
    _named("richardson-lucy", 2, **BLUR),
    _named("wiener", 2, **BLUR),
]
TRAINED = [
    pytest.param(tiny_fast(2), id="fast-x2"),
    pytest.param(tiny_fast(3, tail=0.2), id="fast-x3"),
    pytest.param(tiny_srresnet(2), id="srresnet-x2"),
    pytest.param(tiny_scn(2), id="scn-x2"),
    pytest.param(tiny_scn(3), id="scn-x3"),
    pytest.param(tiny_scn(2, n_views=8), id="scn-x2-eightfold"),
    pytest.param(tiny_blind(2), id="blind-x2"),
]
EVERY = [*WEIGHTLESS, *TRAINED]
