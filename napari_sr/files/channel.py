"""Which channel of a file to read.

This module alone knows what is said when a file has several and none is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sr.image.info import NOTHING_SAID, Channel, ImageInfo
from napari_sr.image.stack import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Pick = int | str
    """A channel by its number, from 0, or its name."""


class SeveralChannelsError(StackError):
    """A file has several channels and none was chosen.

    Parameters
    ----------
    message
        The sentence.
    channels
        What they are called.
    """

    def __init__(self, message: str, channels: Sequence[Channel]) -> None:
        super().__init__(message)
        self.channels = tuple(channels)

    @property
    def n_channels(self) -> int:
        """How many there are."""
        return len(self.channels)


def pick_channel(
    label: str, n_channels: int, channel: Pick | None, info: ImageInfo = NOTHING_SAID
) -> int:
    """Give the number of the channel to read.

    Parameters
    ----------
    label
        The file, as errors call it.
    n_channels
        How many it has.
    channel
        The one asked for, by number from 0 or by name; None only where there is one.
    info
        What is said of them.

    Raises
    ------
    SeveralChannelsError
        If a choice is needed; it knows what they are called.
    StackError
        If the choice made does not exist.
    """
    channels = [*info.channels, *[Channel()] * n_channels][:n_channels]
    if channel is None:
        if n_channels == 1:
            return 0
        raise SeveralChannelsError(
            f"{label} has {n_channels} channels{_listed(channels)}; pick one with "
            f"channel=0 to channel={n_channels - 1}.",
            channels,
        )
    if isinstance(channel, str):
        names = [entry.name.casefold() for entry in channels]
        if channel.casefold() in names:
            return names.index(channel.casefold())
    elif 0 <= channel < n_channels:
        return channel
    held = "1 channel" if n_channels == 1 else f"{n_channels} channels"
    raise StackError(
        f"{label} has {held}{_listed(channels)}, so there is no channel {channel}; "
        "channels are counted from 0."
    )


def picks_of(channel: Pick | Sequence[Pick] | None) -> tuple[Pick, ...] | None:
    """Take one choice as several; None stays: all there are."""
    if channel is None:
        return None
    return (channel,) if isinstance(channel, str | int) else tuple(channel)


def of_channel(provenance: dict[str, object], number: int) -> dict[str, object]:
    """Say how one channel of a result came about, of what is said of all."""
    plans = provenance.get("plans")
    if not isinstance(plans, list) or number >= len(plans):
        return provenance
    rest = {name: value for name, value in provenance.items() if name != "plans"}
    return {**rest, "plan": plans[number]}


def _listed(channels: Sequence[Channel]) -> str:
    """List channels that have names."""
    if not any(channel.name for channel in channels):
        return ""
    named = (f"{number}: {channel.name}" for number, channel in enumerate(channels))
    return f" ({', '.join(named)})"
