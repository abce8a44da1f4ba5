"""What is damaged or of no use is refused in one sentence, never made up."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tifffile
from sample_files import GRAY, LAYOUTS, PLAIN, RAMP, axes_of, read_file

from napari_sr.files import create_stack, open_stack
from napari_sr.image.stack import Axis, StackError


@pytest.fixture(autouse=True)
def quiet_library(caplog):
    """What tifffile logs about damaged files is not ours."""
    caplog.set_level(logging.CRITICAL, logger="tifffile")


# -- damaged files -----------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_file_that_is_cut_off_is_refused(tmp_path, layout):
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    tifffile.imwrite(whole, RAMP, **layout)
    held = whole.read_bytes()
    for place in np.linspace(1, 0.97 * len(held), 40).astype(int):
        cut.write_bytes(held[:place])
        with pytest.raises(StackError, match=r"cut\.tif is (cut off|damaged|not a)"):
            read_file(cut)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_file_that_lost_its_end_is_refused_or_lost_nothing(tmp_path, layout):
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    tifffile.imwrite(whole, RAMP, resolution=(0.5, 0.25), **layout)
    held, axes = whole.read_bytes(), axes_of(whole)
    for missing in range(1, len(held) * 3 // 100, 7):
        cut.write_bytes(held[:-missing])
        try:
            pixels, place = read_file(cut), axes_of(cut)
        except StackError:
            continue
        assert np.array_equal(pixels, RAMP)
        assert place == axes


@pytest.mark.parametrize("compression", ["zlib", "zstd", "none"])
def test_our_own_file_cut_off_anywhere_is_refused(tmp_path, compression):
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    axes = [Axis(name) for name in "zyx"]
    options = {"provenance": {}, "compression": compression}
    with create_stack(
        whole, shape=RAMP.shape, dtype="uint16", axes=axes, **options
    ) as writer:
        for i, plane in enumerate(RAMP):
            writer.write((i,), plane)
    held = whole.read_bytes()
    for place in np.linspace(1, len(held) - 1, 40).astype(int):
        cut.write_bytes(held[:place])
        with pytest.raises(StackError, match=r"cut\.tif is"):
            read_file(cut)


def test_a_file_that_shrinks_while_it_is_open_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, **PLAIN)
    with open_stack(path) as stack:
        path.write_bytes(path.read_bytes()[:20000])
        with pytest.raises(StackError, match="plane 3 cannot be read"):
            stack.plane((3,))


@pytest.mark.parametrize("layout", ["zlib", "ImageJ zlib", "lzw"])
def test_corrupt_compressed_data_is_refused(tmp_path, layout):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, **LAYOUTS[layout])
    held = bytearray(path.read_bytes())
    middle = len(held) // 2
    held[middle : middle + 40] = bytes(255 - value for value in held[middle:][:40])
    path.write_bytes(held)
    with pytest.raises(StackError, match=r"a.tif is (cut off or )?damaged"):
        read_file(path)


# -- unusable files ----------------------------------------------------------------


def palette():
    return {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}


BYTES = RAMP.astype(np.uint8)
UNUSABLE = {
    "RGB": (BYTES[:3].transpose(1, 2, 0), {"photometric": "rgb"}, r"colour \(RGB\)"),
    "RGB planes": (
        BYTES[:3],
        {"photometric": "rgb", "planarconfig": "separate"},
        r"colour \(RGB\)",
    ),
    "samples": (
        RAMP[:2].transpose(1, 2, 0),
        {"planarconfig": "contig", "extrasamples": ["unassalpha"], **GRAY},
        "2 samples per pixel",
    ),
    "palette": (BYTES[0], palette(), "palette colours"),
    "complex": (RAMP.astype("complex64"), GRAY, "complex64 pixels.*magnitude"),
    "bool": (RAMP[0] > 9, GRAY, "bool pixels.*uint8"),
    "uint32": (RAMP.astype("uint32"), GRAY, "uint32 pixels.*uint16 if"),
    "one pixel": (RAMP[0, :1, :1], PLAIN, "1 x 1 pixels"),
}


@pytest.mark.parametrize(("array", "options", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_pixels_are_refused_in_one_sentence(tmp_path, array, options, why):
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    with pytest.raises(StackError, match=rf"a\.tif .*{why}") as refusal:
        open_stack(tmp_path / "a.tif")
    assert "\n" not in str(refusal.value)


def test_several_images_in_one_file_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RAMP, **PLAIN)
        writer.write(RAMP[0, :50], **PLAIN)
    with pytest.raises(StackError, match=r"2 images \(0: 4 x 60 x 70, 1: 50 x 70\)"):
        open_stack(tmp_path / "a.tif")


NOT_IMAGES = {
    "missing": ("a.tif", None, "does not exist"),
    "empty": ("a.tif", b"", "is an empty file"),
    "text": ("a.tif", b"this is no image", "not a readable TIFF"),
    "other suffix": ("a.png", b"\x89PNG", "cannot be read.*Expected is one of TIFF"),
    "no suffix": ("a", b"II*\0", "cannot be read.*Expected is one of TIFF"),
    "zarr that is a file": ("a.zarr", b"{}", "is a file, but an image of OME-Zarr"),
}


@pytest.mark.parametrize(("name", "held", "why"), NOT_IMAGES.values(), ids=NOT_IMAGES)
def test_what_is_no_image_is_refused(tmp_path, name, held, why):
    if held is not None:
        (tmp_path / name).write_bytes(held)
    with pytest.raises(StackError, match=why):
        open_stack(tmp_path / name)


@pytest.mark.parametrize("name", ["folder", "a.tif", "a.zarr"])
def test_a_folder_of_files_is_refused_with_its_cure(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(StackError, match=r"is a folder.*give the image files in it"):
        open_stack(tmp_path / name)
