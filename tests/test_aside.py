"""A file is whole or absent."""

import os

import pytest

from napari_sr.files.atomic import written_aside


def test_what_was_written_is_there_under_its_name(tmp_path):
    with written_aside(tmp_path / "a.json") as partial:
        partial.write_text("whole")
        assert os.listdir(tmp_path) == [".a.json.partial"]

    assert (tmp_path / "a.json").read_text() == "whole"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_what_was_half_written_leaves_the_old_file(error, tmp_path):
    (tmp_path / "a.json").write_text("old")

    def write_half():
        with written_aside(tmp_path / "a.json") as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(type(error)):
        write_half()

    assert (tmp_path / "a.json").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]
