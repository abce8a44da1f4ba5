"""The demonstration: what it shows is there, true and complete."""

from pathlib import Path

import pytest
from PIL import Image

from napari_sr.cli.demo import HEADING, MODEL, run_demo
from napari_sr.files import open_stack

SAMPLES = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, list(run_demo(folder, SAMPLES))


def test_one_line_for_each_example_under_its_heading(demo):
    _, lines = demo
    names = [line.split()[0] for line in lines[:6]]
    assert names == ["cell", "filaments", "nuclei", "foam", "mammogram", "surface"]
    assert HEADING.splitlines()[-1].split()[0] == "image"


@pytest.mark.parametrize("name", ["filaments", "nuclei"])
def test_the_model_is_better_than_bicubic_in_its_domain(demo, name):
    _, lines = demo
    line = next(line for line in lines if line.startswith(name))
    *_, bicubic, model, bicubic_ssim, model_ssim, _ = line.split()
    assert float(model) > float(bicubic) + 0.5
    assert float(model_ssim) > float(bicubic_ssim)


def test_results_are_stacks_of_twice_the_size_in_the_same_counts(demo):
    folder, _ = demo
    with (
        open_stack(SAMPLES / "filaments_recorded.ome.tif") as low,
        open_stack(folder / f"filaments_{MODEL}.ome.tif") as high,
    ):
        assert high.plane_shape == tuple(2 * side for side in low.plane_shape)
        assert high.dtype == low.dtype
        assert high.axes == low.upscaled_axes(2)


def test_the_picture_is_where_the_last_line_says(demo):
    folder, lines = demo
    assert lines[-1] == f"Picture: {folder / 'demo.png'}"
    with Image.open(folder / "demo.png") as picture:
        assert picture.width > 1000
        assert picture.height > 1000
