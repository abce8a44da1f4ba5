"""The messages about a run: shares, forecasts, results, failures."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_sr.runs.forecast import Forecast
    from napari_sr.runs.one_file import FileFailure, FileResult, FileShared
    from napari_sr.upscaling.plan import Plan


ROUND = 0.95
"""Widths along both axes are given apart if their ratio is less."""


def describe_share(shared: FileShared) -> str:
    """Say in one line what others still have to do."""
    left = (
        f"{shared.n_missing} region{'s' if shared.n_missing > 1 else ''} left to the "
        f"other shares"
        if shared.n_missing
        else (
            "another share finishes the result; if it was stopped, run this without "
            "--shard"
        )
    )
    return f"{shared.path}: this share is done; {left}"


def describe_forecast(forecast: Forecast) -> str:
    """Say what a run will take, and whether the disk can hold it."""
    plan = forecast.plan
    if len(forecast.shapes) == 1:
        shape = " × ".join(map(str, forecast.shapes[0]))
        what = f"{shape} {plan.dtype} in {forecast.n_regions} regions"
    else:
        what = f"{len(forecast.shapes)} results, {forecast.n_regions} planes or regions"
    minutes = round(forecast.seconds / 60)
    time = (
        f"{minutes // 60} h {minutes % 60} min" if minutes > 1 else "a minute or less"
    )
    lines = [
        what,
        f"disk: about {size_as_text(forecast.disk)} "
        f"({size_as_text(forecast.n_bytes_raw)} before compression), "
        f"{size_as_text(forecast.free)} are free",
        f"memory: about {size_as_text(forecast.memory)}",
        f"time: about {time} in one process on {plan.device}, tile {plan.tile}",
    ]
    if not forecast.fits:
        lines.append("The disk is too small. Choose another place, or zstd.")
    return "\n".join(lines)


def size_as_text(n_bytes: int) -> str:
    """Write a size as people do."""
    size, units = float(n_bytes), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"


def describe_many(
    statuses: Sequence[str], n_files: int, report: Path, n_skipped: int = 0
) -> str:
    """Say in one line what became of many files."""
    n_failed, n_there = statuses.count("failed"), statuses.count("already done")
    there = f", {n_there} of them already done" if n_there else ""
    text = f"{len(statuses) - n_failed} of {n_files} files done{there}, "
    text += f"{n_failed} failed"
    if n_skipped:
        text += f", {n_skipped} skipped"
    return f"{text}{f'; see {report}' if n_failed or n_skipped else ''}."


def describe_result(result: FileResult) -> str:
    """Say in one line what was written and how."""
    plan = result.plan
    shape = " × ".join(map(str, result.shape))
    tile = f"auto ({plan.tile})" if plan.tile_is_auto else str(plan.tile)
    parts = [f"{result.path}: {shape} {plan.dtype}, tile {tile}"]
    if result.channels:
        for number, (channel, own) in enumerate(result.channels):
            measured = ", ".join([f"model {own.model}", *_found_of(own)])
            parts.append(f"{channel.name or f'channel {number}'} ({measured})")
    else:
        parts += _found_of(plan)
    if plan.dtype_note:
        parts.append(plan.dtype_note)
    if plan.z is not None and plan.z.note:
        parts.append(plan.z.note)
    if result.share_clipped:
        parts.append(f"{result.share_clipped:.2%} of pixels clipped")
    if result.n_repeated:
        parts.append(f"tiles computed again in float32: {result.n_repeated}")
    return ", ".join(parts)


def _found_of(plan: Plan) -> list[str]:
    """Say what was measured of a recording, or of one of its channels."""
    parts = [f"range {plan.intensity.low:g} to {plan.intensity.high:g}"]
    if plan.recorded_noise is not None:
        parts.append(f"noise {noise_as_typed(asdict(plan.recorded_noise))}")
    if plan.blur is not None:
        parts.append(_blur_as_text(plan.blur.model_dump()))
    return parts


def _blur_as_text(blur: Mapping[str, Any]) -> str:
    """Write the blur that a blind model found."""
    round_off = f", ratio {blur['ratio']:.2f}" if blur["ratio"] < ROUND else ""
    return f"blur found: σ {blur['sigma']:.2f} px of the result{round_off}"


def noise_as_typed(noise: Mapping[str, float]) -> str:
    """Write a noise level as `--noise` takes it; white noise says no more."""
    names = ["gain", "read", "offset"]
    if noise.get("correlation"):
        names.append("correlation")
    return ",".join(f"{name}={noise[name] + 0:.5g}" for name in names)


def describe_failure(failure: FileFailure) -> str:
    """Say in one line what went wrong with which file."""
    text = " ".join(str(failure.error).split()) or type(failure.error).__name__
    return text if failure.name in text else f"{failure.name}: {text}"
