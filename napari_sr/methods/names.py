"""The names of the methods without weights; no torch, so that a list is quick."""

from __future__ import annotations

METHODS = {
    "nearest": "Repeats each pixel: no smoothing, nothing added.",
    "bilinear": "Linear between pixel centres: soft, never beyond the recorded range.",
    "bicubic": "Cubic convolution (Keys, a = -1/2): the usual comparison.",
    "lanczos": "Windowed sinc of three lobes: the sharpest, rings at strong edges.",
    "richardson-lucy": "Bicubic, then the blur of pixel and instrument undone step by "
    "step (Richardson, Lucy): sharper, with more noise.",
    "wiener": "Bicubic, then the blur of pixel and instrument undone in one filter "
    "(Wiener): sharper, with more noise.",
    "edge-prior": "Bicubic, edges made as narrow as the pixel allows, in "
    "agreement with the recording (Sun; Tai).",
    "exemplar": "Edges as by edge-prior, detail from one sharp image that you name "
    "(example=FILE; Tai): detail like the example's, not the specimen's.",
    "retrieval": "A base (bicubic, or base=MODEL) with detail of the most similar "
    "images of your own bank (bank=FILE; Yue), where they are alike.",
}
"""What each is, in one line, by name."""


NEED_FILES = ("exemplar", "retrieval")
"""Those that cannot be made without a file of the user's."""
