"""Sharper edges and detail by example: what they gain, keep and cost."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from napari_sr.catalogue.lookup import load_model
from napari_sr.image.sampling import binned
from napari_sr.instrument.psf import blur
from napari_sr.methods.edge_prior import MOST, steepening
from napari_sr.methods.patch_book import PatchBook
from napari_sr.phantoms import make_phantom
from napari_sr.upscaling.flow import upscale


def specimen(kind="nuclei", seed=3, size=128):
    truth = make_phantom(kind, n_planes=1, size=size, seed=seed).truth
    return truth.reshape(size, size).astype(np.float32)


def made_by(name, low, factor=2, **options):
    return upscale(low, load_model(name, factor=factor, **options), dtype="float32")


def error(result, truth):
    return float(np.sqrt(np.mean((result - truth)[8:-8, 8:-8] ** 2)))


def steepest(image):
    slopes = np.hypot(*np.gradient(image))[8:-8, 8:-8]
    return float(np.percentile(slopes, 99))


@pytest.mark.parametrize("factor", [2, 4])
def test_edges_are_steeper_and_agree_better_than_those_of_bicubic(factor):
    truth = specimen()
    low = binned(truth, factor)
    bicubic, sharp = (made_by(name, low, factor) for name in ("bicubic", "edge-prior"))
    assert error(sharp, truth) < 0.95 * error(bicubic, truth)
    assert steepest(bicubic) < steepest(sharp) < 1.1 * steepest(truth)
    lost = [
        np.abs(binned(one, factor) - low)[4:-4, 4:-4].max() for one in (sharp, bicubic)
    ]
    assert lost[0] < 0.01 * lost[1]


def edge(sigma, n=64):
    """An upright edge whose profile is a Gaussian integral of some width."""
    step = torch.zeros(1, 1, n, n)
    step[..., n // 2 :] = 1.0
    return blur(step, sigma)


def test_an_edge_that_is_wide_in_the_specimen_stays_wide():
    middle = (0, 0, 32, slice(28, 36))
    wide = steepening(edge(6.0), 2, 0.4, 0.05)[middle]
    narrow = steepening(edge(1.0), 2, 0.4, 0.05)[middle]
    assert wide.max() < 1.05
    assert 1.3 < narrow.max() <= MOST


def test_the_flanks_of_an_edge_become_flatter_where_its_middle_becomes_steeper():
    found = steepening(edge(1.0), 2, 0.4, 0.05)[0, 0, 32]
    assert found[31] > 1.2
    assert found[29] < 0.5


def test_faint_edges_are_left_alone():
    assert (steepening(0.001 * edge(1.0), 2, 0.4, 0.05) - 1).abs().max() < 0.02


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("edge-prior", {"strength": -1.0}, "strength from 0 to 2"),
        ("edge-prior", {"contrast": 0.0}, "contrast above 0"),
        ("exemplar", {}, "'exemplar' needs the option example"),
        ("retrieval", {}, "'retrieval' needs the option bank"),
    ],
)
def test_what_cannot_be_used_is_refused(name, options, words):
    with pytest.raises(ValueError, match=words):
        load_model(name, factor=2, **options)


# ── detail by example ───────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    path = tmp_path_factory.mktemp("example") / "filaments.tif"
    tifffile.imwrite(path, specimen("filaments", 8))
    return str(path)


def test_an_example_of_the_same_kind_adds_detail_and_agrees(example):
    truth = specimen("filaments", 3)
    low = binned(truth, 2)
    sharp, detailed = (
        made_by("edge-prior", low),
        made_by("exemplar", low, example=example, n_patches=1024),
    )
    assert error(detailed, truth) < error(sharp, truth)
    apart = np.abs(binned(detailed, 2) - low)[4:-4, 4:-4].max()
    assert apart < 1e-3 * np.ptp(low)


def test_no_detail_is_the_edge_prior(example):
    low = binned(specimen("filaments", 3), 2)
    none = made_by("exemplar", low, example=example, amount=0.0, n_patches=64)
    expected = made_by("edge-prior", low)
    np.testing.assert_allclose(none, expected, atol=2e-4 * np.ptp(low))


def test_a_patch_of_the_book_is_given_its_own_detail():
    sharp = torch.from_numpy(specimen("filaments", 8) / 20_000)
    book = PatchBook.of([sharp], 2, 100_000, 0.4, 0.05, turned=False)
    low = torch.from_numpy(binned(sharp.numpy(), 2))[None, None]
    found = book.detail_for(low)[0, 0, 24:-24, 24:-24]
    lacking = (sharp - book.base_of(low)[0, 0])[24:-24, 24:-24]
    likeness = np.corrcoef(found.ravel(), lacking.ravel())[0, 1]
    assert likeness > 0.9


def test_another_example_under_the_same_name_is_refused(example, tmp_path):
    used = load_model("exemplar", factor=2, example=example)
    other = tmp_path / "filaments.tif"
    tifffile.imwrite(other, specimen("filaments", 9))
    options = {**used.options, "example": str(other)}
    with pytest.raises(ValueError, match="not the example that was used"):
        load_model("exemplar", factor=2, **options)
    tifffile.imwrite(other, np.zeros((5, 30), np.float32))
    with pytest.raises(ValueError, match="at least 12 px a side"):
        load_model("exemplar", factor=2, example=str(other))
