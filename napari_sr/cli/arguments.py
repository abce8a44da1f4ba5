"""What is typed on the command line, as values."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from napari_sr.files.url import as_path
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def read_output(text: str) -> Path:
    """Read where a result goes."""
    try:
        return as_path(text)
    except StackError as error:
        raise ArgumentTypeError(str(error)) from error


def read_count(text: str) -> int:
    """Read a number of workers: at least one."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


def read_seconds(text: str) -> float:
    """Read how long to wait, in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise ArgumentTypeError(f"expected seconds, such as 60, got {text!r}")
    return seconds


def read_share(text: str) -> tuple[int, int]:
    """Read `3/64`: the third of 64 parts."""
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    number, n = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= n:
        raise ArgumentTypeError(f"expected K/N, as 3/64, K from 1 to N, got {text!r}")
    return number, n


def read_options(pairs: Sequence[Sequence[str]]) -> dict[str, float | str]:
    """Turn names and values as typed into options: numbers are numbers.

    Parameters
    ----------
    pairs
        A name and a value each; of a name typed twice the last counts.
    """
    options: dict[str, float | str] = {}
    for name, value in pairs:
        try:
            options[name] = float(value)
        except ValueError:
            options[name] = value
    return options


def read_method(text: str) -> tuple[str, dict[str, float | str]]:
    """Read `wiener` or `wiener:psf_sigma=1.2,balance=0.1`: a name and its options.

    A colon that no `name=` follows belongs to a path.
    """
    name, options = text, ""
    if match := re.fullmatch(r"(.+?):([a-z_0-9]+=.*)", text):
        name, options = match.groups()
    pairs = [part.partition("=") for part in options.split(",") if options]
    if not name or not all(key and value for key, _, value in pairs):
        raise ArgumentTypeError(
            f"expected NAME or NAME:option=value,option=value, got {text!r}"
        )
    return name, read_options([(key.strip(), value) for key, _, value in pairs])
