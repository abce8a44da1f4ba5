"""The estimate of an instrument as a picture: recordings against simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from napari_sr.instrument.estimation.result import FittedCurve, InstrumentEstimate


def draw_estimate(estimate: InstrumentEstimate) -> Figure:
    """Draw power spectrum and noise curve, recorded and simulated.

    Parameters
    ----------
    estimate
        What was found. Where the curves lie apart, it does not explain the recordings.

    Returns
    -------
    Figure
        Two panels; `savefig` writes it.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw(left, estimate.spectrum)
    left.set(
        yscale="log",
        title=f"σ = {estimate.psf_sigma.value:.2f} sharp pixels"
        + ("" if estimate.psf_sigma.determined else " (not determined)"),
        xlabel="frequency / cycles per recorded pixel",
        ylabel="power / counts²",
    )
    _draw(right, estimate.noise_curve)
    right.set(
        title=f"{estimate.photons.value:.3g} photons at white"
        + ("" if estimate.photons.determined else " (not determined)"),
        xlabel="brightness / counts",
        ylabel="finest detail / counts",
        ylim=(0, None),
    )
    left.legend()
    return figure


def _draw(axes: Axes, curve: FittedCurve) -> None:
    axes.plot(curve.x, curve.recorded, "o", label="recorded")
    axes.plot(curve.x, curve.simulated, "-", label="simulated")
    axes.plot(curve.x, curve.noise, "--", label="its noise")
