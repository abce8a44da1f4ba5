"""Every kind of upscaler, for the laws that all of them obey."""

from __future__ import annotations

import pytest
from tiny_models import tiny_fast, tiny_srresnet

from napari_sr.catalogue import load_model
from napari_sr.methods import METHODS

FACTORS = (2, 3, 4)
BLUR = {"psf_sigma": 0.8, "psf_ratio": 1.5, "psf_angle": 30.0}
"""Of an instrument, for the methods that take one."""


def _named(name, factor, **options):
    label = f"{name}-x{factor}" + "-blur" * bool(options)
    return pytest.param(load_model(name, factor=factor, **options), id=label)


WEIGHTLESS = [
    *(_named(name, factor) for name in METHODS for factor in FACTORS),
    _named("richardson-lucy", 2, **BLUR),
    _named("wiener", 2, **BLUR),
]
TRAINED = [
    pytest.param(tiny_fast(2), id="fast-x2"),
    pytest.param(tiny_fast(3, tail=0.2), id="fast-x3"),
    pytest.param(tiny_srresnet(2), id="srresnet-x2"),
]
EVERY = [*WEIGHTLESS, *TRAINED]
