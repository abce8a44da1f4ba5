"""A lattice, stripes and rings are named in a report, and whose they are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import napari_sr as sr
from napari_sr.trust.report.sections import sections_of

BICUBIC = sr.load_model("bicubic", factor=2)


def recorded(seed=0):
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(128, 128)), 4)
    counts = 10_000 + 2_000 * smooth / smooth.std()
    return counts + random.normal(0, 20, smooth.shape)


def pattern(kind, shape, strength):
    y, x = np.indices(shape)
    signs = strength * np.random.default_rng(7).choice([-1.0, 1.0], sum(shape))
    middle = [(side - 1) / 2 for side in shape]
    return {
        "lattice": strength * (-1.0) ** (x + y),
        "stripes along y": signs[x],
        "stripes along x": signs[y],
        "rings": signs[np.hypot(y - middle[0], x - middle[1]).astype(int)],
    }[kind]


KINDS = ("lattice", "stripes along y", "stripes along x", "rings")


def assessed(low, added=0.0):
    low = low.astype(np.float32)
    result = sr.upscale(low, BICUBIC, dtype="float32") + added
    return sr.assess(low, result.astype(np.float32), model=BICUBIC)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_result_alone_has_is_named_as_its_own(kind):
    found = assessed(recorded(), pattern(kind, (256, 256), 150.0))

    (said,) = found.artefacts
    assert f"The result has {'a lattice' if kind == 'lattice' else kind}" in said
    assert "of its model" in said or "the recording does not have" in said
    assert said in found.remarks
    (section,) = [s for s in sections_of(found) if s["title"] == "Periodic artefacts"]
    assert said in section["text"]


@pytest.mark.parametrize("kind", KINDS[1:])
def test_what_the_recording_has_is_named_as_the_recordings(kind):
    found = assessed(recorded() + pattern(kind, (128, 128), 400.0))

    (said,) = found.artefacts
    assert kind in said
    assert said.endswith("which are also in the recording.")


def test_where_there_is_none_the_report_says_that_it_was_looked_for():
    found = assessed(recorded())

    assert found.artefacts == ()
    (section,) = [s for s in sections_of(found) if s["title"] == "Periodic artefacts"]
    assert "none was detected" in section["text"]
    assert found.figures["result"].rings == 0
    assert found.figures["recording"].lattice_share is None
