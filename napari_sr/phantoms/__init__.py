"""Synthetic specimens with known truth, and their recording.

This room alone knows what the specimens look like: one module each, drawn from a seed
by simple physics, with detail up to the finest that the truth's pixels can hold. No
image of anyone's is in them, so they may be shipped, tested against and published.

A recording follows the project's model of an instrument: blocks of `factor` x `factor`
pixels are averaged, photons are counted (variance = gain x (counts - offset)), read
noise is added, and the counts are rounded to uint16.
"""

from __future__ import annotations

from napari_sr.phantoms.making import (
    PHANTOM_NAMES,
    Phantom,
    make_phantom,
    write_samples,
)

__all__ = ["PHANTOM_NAMES", "Phantom", "make_phantom", "write_samples"]
