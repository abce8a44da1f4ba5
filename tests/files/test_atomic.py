"""A file is whole or absent."""

import os
import subprocess
import sys

import numpy as np
import pytest

from napari_sr.files import create_stack
from napari_sr.files.atomic import (
    displaced_by,
    hidden_beside,
    remove_leftovers,
    written_atomically,
)
from napari_sr.image.axis import Axis


def test_what_was_written_is_there_under_its_name(tmp_path):
    with written_atomically(tmp_path / "a.json") as partial:
        partial.write_text("whole")
        (hidden,) = os.listdir(tmp_path)
        assert hidden.startswith(".a.json.")
        assert hidden.endswith(".partial")

    assert (tmp_path / "a.json").read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_what_was_half_written_leaves_the_old_file(error, tmp_path):
    (tmp_path / "a.json").write_text("old")

    def write_half():
        with written_atomically(tmp_path / "a.json") as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_half()

    assert (tmp_path / "a.json").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


KILLED = """
import os, pathlib, sys
from napari_sr.files.atomic import displaced_by, hidden_beside
hidden = hidden_beside(pathlib.Path(sys.argv[1]))
hidden.write_text("half")
displaced_by(hidden).write_text("old")
os.kill(os.getpid(), 9)
"""


def killed_while_writing(path):
    """Leave what a process leaves that is killed; give the names."""
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    return sorted(one.name for one in path.parent.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_only_what_the_dead_left_is_removed(tmp_path):
    path = tmp_path / "a.tif"
    half, old = sorted(killed_while_writing(path), key=len)
    living = hidden_beside(path)
    others = [displaced_by(living), tmp_path / ".a.tif.partial"]
    others += [tmp_path / "b.tif", tmp_path / ".b.tif.0123456789ab.partial"]
    far = living.name.replace(living.name.split(".")[3][:4], "zzzz")
    for one in (living, *others, tmp_path / far):
        one.write_text("stays")
    before = set(os.listdir(tmp_path))

    remove_leftovers(path)
    assert before - set(os.listdir(tmp_path)) == {half}  # the old result may be needed

    remove_leftovers(path, is_whole=True)
    assert before - set(os.listdir(tmp_path)) == {half, old}


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
@pytest.mark.parametrize("name", ["a.ome.tif", "a.ome.zarr"])
def test_a_rerun_removes_what_a_killed_one_left(tmp_path, name):
    killed_while_writing(tmp_path / name)
    axes = [Axis("y"), Axis("x")]
    rest = {"shape": (8, 9), "dtype": np.uint8, "axes": axes, "provenance": {}}

    with create_stack(tmp_path / name, **rest) as writer:
        writer.write((), np.zeros((8, 9), np.uint8))

    assert os.listdir(tmp_path) == [name]


def test_a_name_as_long_as_the_disk_takes_has_a_hidden_one(tmp_path):
    path = tmp_path / ("µ" * 125 + ".json")
    with written_atomically(path) as partial:
        partial.write_text("whole")
        displaced_by(partial).touch()
    assert path.read_text() == "whole"
