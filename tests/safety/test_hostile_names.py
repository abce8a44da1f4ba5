"""Names and things in a folder of scans that could harm: they are told, or skipped."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
import tifffile
from stacks_on_disk import counts, write_stack

from napari_sr.cards.model_card import ModelFormatError
from napari_sr.catalogue.lookup import read_foreign
from napari_sr.cli import main
from napari_sr.cli.terminal import printable
from napari_sr.files import open_stack
from napari_sr.image.stack import StackError

NEAREST = ("-m", "nearest", "--factor", "2")
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")


def test_what_controls_a_terminal_is_spelled_out():
    bad = "a\x1b[31m\x07\x9b\u202eb\udcff\r"
    assert printable(bad) == "a\\x1b[31m\\x07\\x9b\\u202eb\\udcff\\r"
    assert printable("2 × 3 µm\n\t–") == "2 × 3 µm\n\t–"


@posix
def test_names_reach_neither_terminal_nor_spreadsheet_as_commands(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("=1+cmd.tif", "@sum.tif", "e\x1b[31m.tif"):
        tifffile.imwrite(name, counts((8, 9)))
    (tmp_path / "bad\x1b.tif").write_bytes(b"II")

    typed = ["upscale", "=1+cmd.tif", "@sum.tif", "e\x1b[31m.tif", "bad\x1b.tif"]
    assert main([*typed, "-o", "out", *NEAREST]) == 1

    said = capsys.readouterr()
    assert "e\\x1b[31m_x2" in said.out
    assert "bad\\x1b.tif" in said.err
    assert "\x1b" not in said.out + said.err
    with open("out/napari-sr-report.csv", encoding="utf-8") as file:
        firsts = [row[0] for row in csv.reader(file)][1:]
    assert firsts[:2] == ["'=1+cmd.tif", "'@sum.tif"]


@posix
@pytest.mark.timeout(120)
def test_a_pipe_among_scans_is_not_waited_for(tmp_path, capsys):
    scans = tmp_path / "scans"
    scans.mkdir()
    write_stack(scans / "b.tif", counts((8, 9)))
    for name in ("pipe", "a.tif", "c.dcm"):
        os.mkfifo(scans / name)

    assert main(["upscale", str(scans), "-o", str(tmp_path / "out"), *NEAREST]) == 1

    said = capsys.readouterr()
    assert (tmp_path / "out" / "b_x2.ome.tif").exists()
    assert said.err.count("is a pipe, a socket or a device") == 2


@posix
@pytest.mark.timeout(120)
def test_a_pipe_as_a_part_of_a_set_is_not_waited_for(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.ones((2, 32, 32), "u2"), metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tif:
        text = tif.ome_metadata
    uuid = '<UUID FileName="b.ome.tif">urn:uuid:1</UUID></TiffData>'
    text = text.replace('PlaneCount="2"/>', f'PlaneCount="2">{uuid}')
    text = text.replace('PlaneCount="2" />', f'PlaneCount="2">{uuid}')
    assert "b.ome.tif" in text
    tifffile.imwrite(
        path, np.ones((2, 32, 32), "u2"), description=text, metadata=None,
        photometric="minisblack",
    )  # fmt: skip
    os.mkfifo(tmp_path / "b.ome.tif")

    with pytest.raises(StackError, match=r"b\.ome\.tif as one of its files"):
        open_stack(path)


@posix
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["a.zip", "a.pth", "rdf.yaml"])
def test_a_pipe_is_no_model(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ModelFormatError):
        read_foreign(tmp_path / name)
