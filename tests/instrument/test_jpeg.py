"""8-bit JPEG files: what was kept in one is what such a file holds."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sr.instrument.degradation import draw_instrument, record, record_with
from napari_sr.instrument.jpeg import draw_jpeg, through_jpeg
from napari_sr.instrument.ranges import Instrument, Jpeg


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def recordings(n=2):
    x = torch.linspace(0, 1, 64)
    return (0.5 + 0.4 * torch.sin(9 * x) * torch.cos(7 * x)[:, None]).repeat(n, 1, 1, 1)


def test_a_file_has_256_levels_and_more_of_the_recording_the_better_it_is():
    low = recordings()

    kept = through_jpeg(low, torch.tensor([40.0, 100.0]))

    torch.testing.assert_close(kept * 255, (kept * 255).round(), rtol=0, atol=1e-3)
    poor, good = (kept - low).square().mean((1, 2, 3)).sqrt().tolist()
    assert good < 1 / 255 < poor < 0.03


def test_what_was_kept_in_no_file_is_exact():
    low = recordings()

    kept = through_jpeg(low, torch.tensor([0.0, 50.0]))

    assert torch.equal(kept[0], low[0])
    assert not torch.equal(kept[1], low[1])


def test_what_lies_beyond_black_and_white_is_not_clipped():
    low = 3 * recordings(1) - 1

    kept = through_jpeg(low, torch.tensor([100.0]))

    torch.testing.assert_close(kept, low, rtol=0, atol=0.03)


def test_a_recording_is_kept_last():
    sharp = torch.rand(1, 1, 64, 64, generator=seeded())
    quality = torch.tensor([90.0])

    low = record(sharp, 2, read=0.02, generator=seeded(), jpeg=quality)

    exact = record(sharp, 2, read=0.02, generator=seeded())
    assert torch.equal(low, through_jpeg(exact, quality))


def test_qualities_are_drawn_for_their_share():
    n = 4000

    quality = draw_jpeg(Jpeg(share=0.2, quality=(30, 80)), n, seeded())

    has_file = quality > 0
    share = has_file.float().mean().item()
    assert share == pytest.approx(0.2, abs=5 * math.sqrt(0.16 / n))
    assert 30 <= quality[has_file].min() < 31 < 79 < quality.max() <= 80


def test_an_instrument_keeps_recordings_in_the_files_it_drew():
    instrument, random = Instrument(share_clean=1, jpeg=Jpeg(share=1)), seeded()

    low = record_with(draw_instrument(instrument, 2, random), recordings(), 2, random)

    torch.testing.assert_close(low * 255, (low * 255).round(), rtol=0, atol=1e-3)


def test_without_files_nothing_is_drawn():
    random = seeded()
    before = random.get_state()

    assert draw_jpeg(Jpeg(), 3, random) is None
    assert torch.equal(random.get_state(), before)
