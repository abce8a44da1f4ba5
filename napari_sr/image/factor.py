"""The factors by which pixels are made finer."""

from __future__ import annotations

FACTORS = (2, 3, 4, 8)
"""The super-resolution factors of this package."""


def check_factor(factor: int) -> None:
    """Refuse a factor that no network or interpolation here is made for.

    Raises
    ------
    ValueError
        If it is not one of `FACTORS`.
    """
    if factor not in FACTORS:
        raise ValueError(
            f"The super-resolution factor is 2, 3, 4 or 8, not {factor!r}. Use one of "
            "these."
        )
