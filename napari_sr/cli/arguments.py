"""What is typed on the command line, as values."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path

from napari_sr.files.url import as_path
from napari_sr.image.stack import StackError
from napari_sr.image.units import read_pixel_size


def read_output(text: str) -> Path:
    """Read where a result goes."""
    try:
        return as_path(text)
    except StackError as error:
        raise ArgumentTypeError(str(error)) from error


def read_channels(text: str) -> list[int | str]:
    """Read `1` or `DAPI,GFP`: channels by number or by name."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ArgumentTypeError(
            f"expected channels by number or name, as 0 or DAPI,GFP, got {text!r}"
        )
    return [read_channel(part) for part in parts]


def read_channel(text: str) -> int | str:
    """Read one channel, by number or by name."""
    return int(text) if text.isascii() and text.isdigit() else text


def models_of(named: str | Sequence[str] | Mapping[str, str]) -> dict[int | str, str]:
    """Tell which model each channel gets; the empty name stands for all others.

    Parameters
    ----------
    named
        `general-x2`, or several of `DAPI=general-x2`, as typed; or by
        channel, as in a recipe.
    """
    if isinstance(named, str):
        return {"": named}
    if not isinstance(named, Mapping):
        # A path may have that sign in it.
        pairs = [("", "", m) if Path(m).exists() else m.rpartition("=") for m in named]
        named = {channel: model for channel, _, model in pairs}
        if len(named) < len(pairs):
            raise ValueError(
                "Two models are given for the same channels. Give one, or name the "
                "channel of each, such as -m DAPI=mine -m general-x2."
            )
    return {
        int(channel) if channel.isdigit() else channel: model
        for channel, model in named.items()
    }


def read_size(text: str) -> str:
    """Read a pixel size; it is kept as it is typed."""
    try:
        read_pixel_size(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    return text


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


def read_along_z(text: str) -> float | str:
    """Read how many planes there are to be for each, or `isotropic`."""
    from napari_sr.settings import MOST_ALONG_Z

    if text == "isotropic":
        return text
    try:
        ratio = float(text)
    except ValueError:
        ratio = 0.0
    if not 1 < ratio <= MOST_ALONG_Z:
        raise ArgumentTypeError(
            f"expected isotropic or a number above 1, up to {MOST_ALONG_Z}, got "
            f"{text!r}"
        )
    return ratio
