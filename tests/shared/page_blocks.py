"""Code blocks of pages: which there are, the files they need, how to run them."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tifffile
from stacks_on_disk import write_stack
from tiny_models import tiny_fast

from napari_sr.cli import main
from napari_sr.files import create_stack
from napari_sr.image.stack import Axis
from napari_sr.models.sr_model import save_model
from napari_sr.phantoms import make_phantom

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"(?P<spared><!-- not run: .+ -->\n)?"
    r"^```(?P<language>python|sh)\n(?P<code>.*?)^```",
    flags=re.DOTALL | re.MULTILINE,
)
A_STEP = {"--minutes 5": "--iterations 1 --keep-anyway", "minutes=5": "iterations=1"}
"""A training of minutes is one of a step here."""


def blocks(text):
    """List language and code of what is run, in order; a comment spares a block."""
    found = BLOCK.finditer(text)
    return [(one["language"], one["code"]) for one in found if not one["spared"]]


def run(language, code, name):
    """Run a block as a reader would."""
    for long, short in A_STEP.items():
        code = code.replace(long, short)
    if language == "python":
        exec(compile(code, name, "exec"), {"__name__": "__main__"})
        return
    for line in code.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            _run_line(words)


def _run_line(words):
    """Run a command of ours; of others see that what they name is there."""
    if words[0] == "napari-sr":
        writes = words[1] in ("upscale", "finetune")
        # Two lines of a page may write to the same example file.
        again = ["--overwrite"] if writes and "--plan" not in words else []
        assert main([*words[1:], *again]) == 0, words
    elif words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), words
    elif words[:3] == ["python", "-m", words[2]]:
        assert find_spec(words[2]), words
    else:
        assert words[:2] == ["pip", "install"], words
        project = (ROOT / "pyproject.toml").read_text()
        for extra in re.findall(r"napari-sr\[(.+)\]", " ".join(words)):
            for one in extra.split(","):
                assert re.search(rf"^{one} = \[", project, re.MULTILINE), words


def write_examples(folder):
    """Write the files that the pages speak of."""
    names = ["stack.tif", "scans/a.tif", "scans/b.tif", "plates/one/b.tif"]
    names += ["plate/a/1.tif", "sharp.tif", "other.tif"]
    names += [f"sharp/{number}.tif" for number in range(3)]
    for seed, name in enumerate(names):
        plane = make_phantom("nuclei", n_planes=1, size=128, seed=seed).truth
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / name, plane)
    write_stack(folder / "scan.ome.zarr", plane)
    cells = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(folder / "cells.ome.tif", np.stack([plane] * 2), metadata=cells)
    save_model(tiny_fast(name="nuclei"), folder / "nuclei.safetensors")
    _write_volumes(folder)
    if find_spec("pydicom"):
        _write_dicom(folder, plane)


def _write_dicom(folder, plane):
    """Write an image, and a series of three slices."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    (folder / "series").mkdir()
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = CTImageStorage
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = plane.shape
    image.SamplesPerPixel, image.PixelRepresentation = 1, 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelSpacing, image.SliceThickness = ["0.1", "0.1"], "0.5"
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelData = plane.tobytes()
    for number in range(3):
        image.SOPInstanceUID = generate_uid()
        image.InstanceNumber = number + 1
        image.ImagePositionPatient = [0, 0, number / 2]
        image.save_as(folder / "series" / f"{number}.dcm", enforce_file_format=True)
    image.save_as(folder / "image.dcm", enforce_file_format=True)


def _write_volumes(folder):
    """Write a volume whose planes are far apart with its truth, and a coarse one."""
    truth = make_phantom("foam", factor=1, n_planes=48, size=96).truth
    thick = truth.reshape(24, 2, 96, 96).mean(1)
    coarse = thick.reshape(24, 48, 2, 48, 2).mean((2, 4))
    (folder / "sharp_volumes").mkdir()
    pixels = {"z": 0.5, "y": 0.5, "x": 0.5}
    for name, array, voxel in (
        ("truth", truth, pixels),
        ("fine", truth, pixels),
        ("sharp_volumes/one", truth, pixels),
        ("volume", thick, pixels | {"z": 1.0}),
        ("coarse", coarse, {"z": 1.0, "y": 1.0, "x": 1.0}),
    ):
        with create_stack(
            folder / f"{name}.ome.tif",
            shape=array.shape,
            dtype=np.dtype(np.uint16),
            axes=[Axis(axis, size, "um") for axis, size in voxel.items()],
            provenance={},
        ) as writer:
            for number, plane in enumerate(array.astype(np.uint16)):
                writer.write((number,), plane)
