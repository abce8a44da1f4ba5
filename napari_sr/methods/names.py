"""The methods without weights, by name; no torch, so that a list is quick.

This module alone holds the table of them. Another package adds a method of its own by
an entry point of the group `napari_sr.methods`: a name, and a class that is made with
the factor and its options.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import NamedTuple


class Method(NamedTuple):
    """One line of the table."""

    description: str
    """What it is, in one line."""
    made_by: str
    """Module and class; without one, a kernel of `Interpolation`."""
    needs_file: bool = False
    """Whether it cannot be made without a file of the user's."""


METHODS = {
    "nearest": Method(
        "Repeats each pixel: no smoothing, no added detail.",
        "",
    ),
    "bilinear": Method(
        "Linear interpolation: soft, never beyond the recorded range.",
        "",
    ),
    "bicubic": Method(
        "Cubic convolution (Keys, a = -1/2): the usual baseline.",
        "",
    ),
    "lanczos": Method(
        "Windowed sinc with three lobes: the sharpest interpolation, with ringing at "
        "strong edges.",
        "",
    ),
    "richardson-lucy": Method(
        "Bicubic, then iterative deconvolution of the pixel and the instrument's blur "
        "(Richardson, Lucy): sharper, with more noise.",
        "napari_sr.methods.deconvolution:RichardsonLucy",
    ),
    "wiener": Method(
        "Bicubic, then Wiener deconvolution of the pixel and the instrument's blur: "
        "sharper, with more noise.",
        "napari_sr.methods.deconvolution:Wiener",
    ),
    "edge-prior": Method(
        "Bicubic, with edges as sharp as the pixel size allows, in agreement with the "
        "recording (gradient profile prior; Sun, Tai).",
        "napari_sr.methods.edge_prior:EdgePrior",
    ),
    "exemplar": Method(
        "Edges as by edge-prior, detail from one sharp example image (example=FILE; "
        "Tai): the detail is that of the example, not of the specimen.",
        "napari_sr.methods.exemplar:Exemplar",
        needs_file=True,
    ),
    "retrieval": Method(
        "A base (bicubic, or base=MODEL) with detail from the most similar images of "
        "your own bank (bank=FILE; Yue), where they match.",
        "napari_sr.methods.retrieval:Retrieval",
        needs_file=True,
    ),
    **{
        entry.name: Method(f"From {entry.value.partition(':')[0]}.", entry.value)
        for entry in entry_points(group="napari_sr.methods")
    },
}
"""By name."""
