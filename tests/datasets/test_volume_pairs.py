"""Volumes found in each other: to a tenth of a voxel, at any ratio, in any counts."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import psutil
import pytest
from scipy.ndimage import gaussian_filter

from napari_sr.datasets.pairs import gather_pairs
from napari_sr.datasets.pairs.names import PairError
from napari_sr.datasets.pairs.volumes import are_volumes, match_volumes, ratio_of
from napari_sr.files import open_stack
from napari_sr.image.axis import Axis
from napari_sr.image.intensity import IntensityPolicy
from napari_sr.image.stack import Stack


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


def test_a_place_that_is_hardly_better_than_others_is_no_pair():
    low, high = (gaussian_filter(specimen((96, 96, 96), seed), 7.4) for seed in (2, 1))
    with pytest.raises(PairError, match="hardly better at its best place"):
        match_volumes(binned(low, (4, 4, 4)), high, (4, 4, 4))


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


def cell_of(sizes, unit="µm"):
    return [Axis(n, s, unit) for n, s in zip("zyx", sizes, strict=True)]


def volumes_of(ratio=(2, 3, 3), corner=(8, 24, 30), noise=0.05):
    """A coarse volume of all, and a fine one of a part; where the part begins."""
    truth = specimen((96, 144, 132))
    coarse, fine = [2 * t for t in ratio], (2, 2, 2)
    part = truth[tuple(slice(c, c + 84) for c in corner)]
    random = np.random.default_rng(2)
    low, high = binned(truth, coarse), binned(part, fine)
    low, high = (
        (10_000 + 2_000 * (v + noise * v.std() * random.normal(size=v.shape)) / v.std())
        for v in (low, high)
    )
    place = [c / n for c, n in zip(corner, coarse, strict=True)]
    return low.astype(np.uint16), high.astype(np.uint16), place


@pytest.mark.parametrize("factor", [2, 3])
def test_a_training_takes_a_part_that_was_recorded_finer(factor):
    low, high, place = volumes_of()
    coarse = Stack.from_array(low, axes=cell_of((2, 3, 3)), name="coarse")
    fine = Stack.from_array(high, axes=cell_of((1000,) * 3, "nm"), name="fine")

    check = gather_pairs([coarse], [fine], factor, IntensityPolicy())

    found = [float(number) for number in re.findall(r"-?\d+\.\d\d", check.notes[1])]
    assert found[:3] == pytest.approx(place, abs=0.1)
    assert len(check.pairs) >= 18
    for pair in check.pairs:
        sharp, seen = pair.high[:, :], pair.low[:, :]
        assert sharp.shape == tuple(factor * side for side in seen.shape)
        again = binned(sharp[None], (1, factor, factor))[0]
        assert np.corrcoef(again.ravel(), seen.ravel())[0, 1] > 0.97


def test_without_sizes_both_are_taken_to_show_the_same():
    truth = specimen()
    low = (20_000 + 3_000 * binned(truth, (4, 4, 4)) / truth.std()).astype(np.uint16)
    high = (20_000 + 3_000 * binned(truth, (2, 2, 2)) / truth.std()).astype(np.uint16)
    check = gather_pairs([low], [high], 2, IntensityPolicy())
    assert len(check.pairs) >= 22  # a plane at the border may be cut


@pytest.mark.parametrize(
    ("low", "high", "name", "message"),
    [
        ((20, 32, 32), (20, 60, 64), "z", "Crop both to the same field"),
        ((20, 64, 64), (20, 32, 32), "z", "are exchanged"),
        ((20, 32, 32), (40, 64, 64), "t", "Give the same planes of both"),
    ],
    ids=["of one plane each", "exchanged", "time"],
)
def test_what_is_no_volume_gets_the_words_for_planes(low, high, name, message):
    stacks = [
        Stack.from_array(
            np.zeros(shape, np.uint16), axes=[Axis(n) for n in (name, *"yx")]
        )
        for shape in (low, high)
    ]
    with pytest.raises(PairError, match=message):
        gather_pairs([stacks[0]], [stacks[1]], 2, IntensityPolicy())


def test_a_ratio_of_one_is_one_in_whatever_unit():
    low = Stack.from_array(np.zeros((20, 32, 32)), axes=cell_of((0.3, 0.6, 0.6)))
    fine = cell_of((300.0000000001, 300, 300), "nm")
    high = Stack.from_array(np.zeros((20, 60, 60)), axes=fine)
    assert ratio_of(low, high) == (1, 2, 2)
    assert are_volumes(low, high, 2)


def test_pages_of_a_file_that_does_not_say_what_they_are_may_lie_along_z():
    low, high = (
        Stack.from_array(np.zeros(shape), axes=[Axis("i"), Axis("y"), Axis("x")])
        for shape in ((20, 32, 32), (40, 64, 64))
    )
    assert are_volumes(low, high, 2)


def test_few_planes_are_no_volumes_and_get_the_words_for_planes():
    planes = np.zeros((3, 32, 32), np.uint16), np.zeros((5, 64, 64), np.uint16)
    with pytest.raises(PairError, match="Give the same planes of both"):
        gather_pairs([planes[0]], [planes[1]], 2, IntensityPolicy())


def test_volumes_of_other_specimens_are_refused_by_name():
    low, _, _ = volumes_of()
    other = specimen((48, 48, 48), 7)
    high = (20_000 + 3_000 * other / other.std()).astype(np.uint16)
    with pytest.raises(PairError, match=r"image 1 and image 1.*coarse one nowhere"):
        gather_pairs([low], [high], 2, IntensityPolicy())


def test_volumes_larger_than_memory_are_refused(monkeypatch):
    low, high, _ = volumes_of()
    memory = psutil.virtual_memory()._replace(available=10**6)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    with pytest.raises(PairError, match="Give a part of each"):
        gather_pairs([low], [high], 2, IntensityPolicy())
