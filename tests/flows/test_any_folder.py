"""A folder with whatever a lab has: each file of it is accounted for."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import imageio
import numpy as np
import pytest
import skimage
import tifffile
from sample_files import PLAIN, RAMP, write_zarr

from napari_sr.cli import main

SHIPPED = [Path(skimage.__file__).parent, Path(imageio.__file__).parent]
"""Libraries that ship files for their tests."""
KINDS = (
    ".tif",
    ".tiff",
    ".png",
    ".jpg",
    ".gif",
    ".npy",
    ".npz",
    ".fits",
    ".txt",
    ".csv",
)


def gathered(folder):
    """Copy what the libraries ship, in a folder for each."""
    pydicom = pytest.importorskip("pydicom")
    n_files = 0
    for library in (*SHIPPED, Path(pydicom.__file__).parent / "data"):
        for path in sorted(library.rglob("*")):
            if path.is_file() and (path.suffix in KINDS or "test_files" in path.parts):
                place = folder / library.parent.name / path.relative_to(library)
                if path.name.startswith(".") or path.suffix == ".py":
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, place)
                n_files += 1
    return n_files


@pytest.mark.slow
def test_every_file_ends_in_the_report(tmp_path, capsys):
    folder = tmp_path / "in"
    assert gathered(folder) > 100
    tifffile.imwrite(folder / "a.tif", RAMP, **PLAIN)
    tifffile.imwrite(
        folder / "channels.ome.tif",
        RAMP[:2],
        photometric="minisblack",
        metadata={"axes": "CYX"},
    )
    tifffile.imwrite(folder / "cells_labels.tif", RAMP[0], **PLAIN)
    write_zarr(folder / "b.zarr", RAMP, "zyx")
    for name in ("c.czi", "d.png", "e.h5", "f.mrc", "g.nii.gz", "notes.docx"):
        (folder / name).write_bytes(b"nothing")

    command = ["upscale", str(folder), "-o", str(tmp_path / "out"), "--device", "cpu"]
    code = main([*command, "-m", "nearest", "--factor", "2"])

    assert code == 1  # some are damaged, and that is said
    told = capsys.readouterr()
    with (tmp_path / "out" / "napari-sr-report.csv").open(newline="") as file:
        rows = [*csv.DictReader(file)]
    named = {Path(row["recording"]) for row in rows}
    inside = {p for p in folder.rglob("*") if p.is_file()}
    lost = {
        path
        for path in inside
        if not ({path, *path.parents} & named or path.name.upper() == "DICOMDIR")
    }
    assert lost == set()
    statuses = Counter(row["status"] for row in rows)
    assert {"done", "failed", "skipped"} == statuses.keys()
    assert all(row["text"] for row in rows if row["status"] != "done")
    assert all("\n" not in row["text"] for row in rows)
    assert f"{statuses['failed']} failed, {statuses['skipped']} skipped" in told.out
    results = [Path(row["result"]) for row in rows if row["status"] == "done"]
    assert all(result.exists() for result in results)
    assert np.array_equal(
        tifffile.imread(tmp_path / "out" / "a_x2.ome.tif")[:, ::2, ::2], RAMP
    )
