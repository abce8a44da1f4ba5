"""The course of a training, as a table and as a picture."""

from __future__ import annotations

import csv

from napari_sr.training.curves import draw_curves, write_table

HISTORY = [
    {"stage": "fidelity", "iteration": 100, "pixels": 0.02, "psnr": 30.0},
    {"stage": "fidelity", "iteration": 200, "pixels": 0.01, "psnr": 31.0},
    {"stage": "adversarial", "iteration": 100, "pixels": 0.02, "accuracy": 0.7},
]


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def test_the_table_has_a_row_for_each_look_and_every_column(tmp_path):
    write_table(HISTORY, tmp_path / "curves.csv")

    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [row["iteration"] for row in rows] == ["100", "200", "100"]
    assert rows[0]["accuracy"] == ""
    assert rows[2]["accuracy"] == "0.7"


def test_there_is_a_panel_for_what_there_is():
    titles = panels(draw_curves(HISTORY, {}))

    assert set(titles) == {
        "PSNR on held-out images / dB",
        "pixel loss",
        "accuracy of the discriminator (chance: 0.5)",
    }


def test_steps_go_on_from_one_stage_to_the_next():
    (line,) = (
        line
        for line in panels(draw_curves(HISTORY, {}))["pixel loss"].lines
        if line.get_label() == "pixels"
    )

    assert list(line.get_xdata()) == [100, 200, 300]
    assert list(line.get_ydata()) == [0.02, 0.01, 0.02]


def test_rivals_are_lines_in_the_panel_of_their_figure():
    axes = panels(draw_curves(HISTORY, {"bicubic": 29.0}))[
        "PSNR on held-out images / dB"
    ]

    assert [
        line.get_ydata()[0] for line in axes.lines if line.get_label() == "bicubic"
    ] == [29.0]


def test_a_training_that_was_never_looked_at_gives_an_empty_picture():
    assert draw_curves([], {}).axes
