"""Faults of a detector: as often and as strong as they are said to be."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sr.instrument.defects import (
    DrawnDefects,
    draw_defects,
    with_defects,
    with_flat_drift,
)
from napari_sr.instrument.ranges import Defects


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def strength(**given):
    strengths = dict.fromkeys(DrawnDefects.__slots__, 0.0) | given
    return DrawnDefects(
        *(torch.tensor(value).view(1, 1, 1, 1) for value in strengths.values())
    )


def faults(n=8, side=128, **given):
    """What is added to fields without any light."""
    return with_defects(torch.zeros(n, 1, side, side), strength(**given), seeded())


def test_the_share_of_bad_pixels_holds_any_value():
    bad = faults(bad_pixels=0.05)

    values = bad[bad != 0]
    five_sigma = 5 * math.sqrt(0.05 * 0.95 / bad.numel())
    assert values.numel() / bad.numel() == pytest.approx(0.05, abs=five_sigma)
    assert -0.5 <= values.min() < -0.49
    assert 1.49 < values.max() <= 1.5


def test_a_bad_line_has_one_offset_from_end_to_end():
    added = faults(bad_lines=0.1)
    rows, columns = added.mean(3, keepdim=True), added.mean(2, keepdim=True)

    rest = added - rows - columns + added.mean((2, 3), keepdim=True)
    torch.testing.assert_close(rest, torch.zeros_like(rest), rtol=0, atol=1e-6)
    untouched = (added == 0).float().mean().item()
    assert untouched == pytest.approx(0.9**2, abs=0.05)


def test_rings_are_alike_at_one_distance_from_an_axis():
    added = faults(n=1, ring=0.2, side=64)[0, 0]

    # Two pixels of one ring hold exactly the same: far fewer values than pixels.
    n_values = added.unique().numel()
    assert n_values <= math.ceil(64 * math.sqrt(2)) + 1
    assert n_values > 30


def test_rings_have_their_standard_deviation():
    spread = faults(n=64, ring=0.2).square().mean().sqrt()

    assert spread.item() == pytest.approx(0.2, rel=0.05)


def test_rings_of_two_recordings_have_axes_of_their_own():
    first, second = faults(n=2, ring=0.2)

    assert not torch.equal(first, second)


def test_stripes_are_offsets_of_rows_or_of_columns_with_their_standard_deviation():
    added = faults(n=64, stripes=0.2)

    along = torch.stack([added.std(dim=3).amax((1, 2)), added.std(dim=2).amax((1, 2))])
    assert (along.amin(0) < 1e-6).all()  # constant along one of the axes
    assert 10 < (along[0] < 1e-6).sum() < 54
    assert added.square().mean().sqrt().item() == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("drift", [0.02, 0.5])
def test_a_drift_reaches_its_strength_slowly_and_keeps_the_mean(drift):
    light = torch.full((6, 1, 64, 64), 0.8)

    seen = with_flat_drift(light, torch.tensor(drift), seeded())

    change = seen / light - 1
    assert change.abs().amax((1, 2, 3)).tolist() == pytest.approx([drift] * 6)
    assert seen.mean((1, 2, 3)).tolist() == pytest.approx([0.8] * 6)
    assert change.diff(dim=2).abs().max() < drift * math.pi / 32


def test_without_faults_nothing_changes_and_nothing_is_drawn():
    random = seeded()
    before = random.get_state()
    low = torch.rand(2, 1, 8, 8)

    assert torch.equal(with_defects(low, strength(), random), low)
    assert draw_defects(Defects(), 3, random) is None
    assert torch.equal(random.get_state(), before)


def test_strengths_are_drawn_from_their_ranges():
    n = 2000
    ranges = Defects(bad_pixels=(0.01, 0.03), ring=(0, 0.2))

    drawn = draw_defects(ranges, n, seeded())

    assert drawn.bad_pixels.shape == (n, 1, 1, 1)
    assert 0.01 <= drawn.bad_pixels.min() < drawn.bad_pixels.max() <= 0.03
    assert drawn.ring.mean().item() == pytest.approx(0.1, rel=0.1)
    assert not drawn.bad_lines.any()
    assert not drawn.flat_drift.any()


def test_each_kind_of_fault_is_found_in_its_share_of_the_recordings():
    n = 4000
    ranges = Defects(bad_pixels=(0.1, 0.2), stripes=(0.1, 0.2), share=0.3)

    drawn = draw_defects(ranges, n, seeded())

    pixels, stripes = drawn.bad_pixels > 0, drawn.stripes > 0
    five_sigma = 5 * math.sqrt(0.25 / n)
    for has, share in [(pixels, 0.3), (stripes, 0.3), (pixels & stripes, 0.09)]:
        assert has.float().mean().item() == pytest.approx(share, abs=five_sigma)
    assert drawn.stripes[stripes].min() >= 0.1


def test_faults_are_drawn_as_before_there_were_stripes():
    # Trainings of models with faults repeat only while these numbers stand.
    random = seeded(7)

    drawn = draw_defects(Defects(ring=(0, 2)), 2, random)

    assert drawn.ring.flatten().tolist() == pytest.approx([0.4655231, 0.8501228])
    assert torch.rand(1, generator=random).item() == pytest.approx(0.3653162)
