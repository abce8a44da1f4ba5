"""A mean difference with its interval, over images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_sr.metrics.paired import paired_gain


def test_the_interval_is_that_of_a_paired_t_test():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(30, 2, 7), random.normal(29, 2, 7)

    gain = paired_gain(ours, theirs)

    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.9)
    assert (gain.low, gain.high) == pytest.approx((expected.low, expected.high))
    assert gain.mean == pytest.approx((ours - theirs).mean())


def test_nothing_follows_from_one_image():
    gain = paired_gain([31.0], [30.0])

    assert (gain.mean, gain.low, gain.high) == (1.0, -np.inf, np.inf)


def test_zero_is_in_the_interval_as_often_as_promised():
    """Two methods that are alike: one is called better in one of twenty comparisons."""
    random = np.random.default_rng(0)
    gains = [paired_gain(random.normal(size=4), np.zeros(4)) for _ in range(4000)]

    assert np.mean([gain.low > 0 for gain in gains]) == pytest.approx(0.05, abs=0.01)
