"""What a file says of an image beside its axes, and what its result should say too.

This module alone knows what is handed on from a recording to its result.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Channel:
    """What a channel is called, and how it is shown."""

    name: str = ""
    """Empty where the file does not say."""
    colour: str = ""
    """Of its highest value, as "#rrggbb"; empty where the file does not say."""
    shown: tuple[float, float] | None = field(default=None, compare=False)
    """Counts that a viewer is to show as black and as the colour, of a result."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is said of an image, beside its pixels and where they are."""

    channels: tuple[Channel, ...] = ()
    """One for each; at most one for a stack, which is a channel."""
    is_inverted: bool = False
    """Whether the lowest value is meant to be shown white."""
    acquired: str = ""
    """When it was recorded, as ISO 8601; empty where the file does not say."""
    number: int | None = None
    """Which channel of a file with several this is, from 0."""
    values: str = ""
    """What its counts stand for, where a file says so and they are kept as they are."""

    is_uneven_along_z: bool = False
    """Whether planes are at distances that differ."""

    def of_channel(self, number: int) -> Self:
        """Keep what is said of one of several channels, counted from 0."""
        kept = self.channels[number : number + 1]
        return replace(self, channels=kept, number=number)


NOTHING_SAID = ImageInfo()
"""Of an image of which nothing more is known."""
