"""Volumes found in each other: to a tenth of a voxel, at any ratio, in any counts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_sr.datasets.pairs.names import PairError
from napari_sr.datasets.pairs.volumes import match_volumes
from napari_sr.files import open_stack


def specimen(shape=(96, 112, 104), seed=0):
    grain = np.random.default_rng(seed).normal(size=shape)
    return gaussian_filter(grain, 3.0)


def binned(volume, times):
    shape = [n // t for n, t in zip(volume.shape, times, strict=True)]
    cut = volume[tuple(slice(n * t) for n, t in zip(shape, times, strict=True))]
    parts = [side for n, t in zip(shape, times, strict=True) for side in (n, t)]
    return cut.reshape(parts).mean(axis=(1, 3, 5))


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [((8, 8, 8), (4, 4, 4)), ((12, 8, 8), (4, 4, 4)), ((10,) * 3, (4,) * 3)],
)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_part_is_found_to_a_tenth_of_a_voxel(coarse, fine, noise):
    truth = specimen((160, 176, 168))
    low = binned(truth, coarse)
    corner = (21, 34, 43)
    part = truth[tuple(slice(c, c + 110) for c in corner)]
    high = 300 + 50 * binned(part, fine) / truth.std()
    random = np.random.default_rng(1)
    low = low / truth.std() + noise * random.normal(size=low.shape)
    high = high + 50 * noise * random.normal(size=high.shape)
    ratio = [c / f for c, f in zip(coarse, fine, strict=True)]

    found = match_volumes(low, high, ratio)

    expected = [c / n for c, n in zip(corner, coarse, strict=True)]
    np.testing.assert_allclose(found.place, expected, atol=0.1)
    assert found.correlation > 0.8
    factor = round(ratio[1])
    shape = found.low.shape
    assert found.high.shape == (shape[0], factor * shape[1], factor * shape[2])
    again = binned(found.high, (1, factor, factor))
    assert np.corrcoef(again.ravel(), found.low.ravel())[0, 1] > (
        0.99 if not noise else 0.8
    )


def test_volumes_of_the_same_are_cut_to_what_both_show():
    truth = specimen()
    low, high = binned(truth, (4, 4, 4)), binned(truth, (2, 2, 2))
    found = match_volumes(low, high)
    np.testing.assert_allclose(found.place, 0, atol=0.02)
    assert found.low.shape == low.shape
    np.testing.assert_allclose(
        found.high, high.reshape(24, 2, 56, 52).mean(axis=1), atol=0.02 * truth.std()
    )


@pytest.mark.parametrize(
    ("low", "high", "ratio", "message"),
    [
        (
            specimen((24, 24, 24)),
            specimen((48, 48, 48), 1),
            None,
            "matches the coarse one nowhere",
        ),
        (specimen((24, 24, 24)), specimen((24, 24, 24)), None, "Give the ratio"),
        (specimen((24, 24, 24)), specimen((8, 8, 8)), (2, 2, 2), "are needed to find"),
        (specimen((24, 24, 24))[0], specimen((24, 24, 24)), None, "Two volumes"),
    ],
)
def test_what_is_no_pair_is_refused(low, high, ratio, message):
    with pytest.raises(PairError, match=message):
        match_volumes(low, high, ratio)


def test_real_pairs_are_where_their_makers_put_them():
    if "NAPARI_SR_DATA" not in os.environ:
        pytest.skip("NAPARI_SR_DATA does not name the folder of the test images")
    folder = Path(os.environ["NAPARI_SR_DATA"]) / "xray" / "edsr_rock"
    for name in ("01", "26"):
        volumes = []
        for kind in ("low", "high"):
            with open_stack(folder / f"{name}_{kind}.tif") as stack:
                volumes.append(np.stack([stack.plane(i) for i in stack.indices()]))
        found = match_volumes(*volumes)
        assert np.abs(found.place).max() < 1  # in coarse voxels
        assert found.correlation > 0.8
