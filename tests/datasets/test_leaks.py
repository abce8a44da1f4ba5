"""A test image that shows a field of the training images is found, whatever is said."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
from scipy import ndimage

leaks = pytest.importorskip("benchmarks.accuracy.leaks", reason="no benchmarks here")


def field(seed, shape=(300, 320)):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 2, mode="wrap")


def write(root, **images):
    """Write a collection: of each image its pixels, group and role."""
    rows = []
    for name, (pixels, group, role) in images.items():
        scaled = 1_000 + 9_000 * (pixels - pixels.min()) / np.ptp(pixels)
        tifffile.imwrite(root / f"{name}.tif", scaled.astype(np.uint16))
        rows.append({"file": f"{name}.tif", "dataset": "all", "modality": "em",
                     "group": group, "role": role, "exclude_as_target": "",
                     "licence": "CC0", "source_repo": "none"})  # fmt: skip
    for table in ("INDEX.csv", "split.csv"):
        with (root / table).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return root


def test_a_field_that_comes_again_is_found_by_its_pixels(tmp_path):
    noise = np.random.default_rng(9).normal(0, 0.05, (280, 300))
    root = write(
        tmp_path,
        learnt=(field(0), "a", "train"),
        other=(field(1), "b", "train"),
        again=(-field(0)[9:289, 14:314] + noise, "c", "test"),  # shifted, negative
        shifted=(field(0)[9:289, 14:314] ** 3 + noise**2, "d", "test"),
        new=(field(2), "e", "test"),
    )

    found = leaks.compared(root)
    lines, is_leaking = leaks.report(found)

    assert is_leaking
    named = [line.split()[2:] for line in lines if "leak " in line]
    assert sorted(named) == [["again.tif", "learnt.tif"], ["shifted.tif", "learnt.tif"]]
    of_new = [pair for pair in found if pair.test.row.file == "new.tif"]
    assert max(pair.correlation for pair in of_new) < leaks.RELATED


def test_blocks_of_one_volume_are_said_and_are_no_leak(tmp_path):
    root = write(
        tmp_path,
        first=(field(0), "one", "train"),
        second=(field(1), "another", "train"),
        third=(field(0), "one", "test"),
        small=(field(3, (60, 60)), "small", "test"),
    )

    lines, is_leaking = leaks.report(leaks.compared(root))

    assert not is_leaking
    assert lines[0].startswith("1 test planes of 128 px or more")
    assert any(
        line.startswith("  at most 1.00  third.tif  first.tif") for line in lines
    )
