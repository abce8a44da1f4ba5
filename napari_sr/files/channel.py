"""Which channel of a file to read.

This module alone knows what is said when a file has several and none is chosen.
"""

from __future__ import annotations

from napari_sr.image.stack import StackError


class SeveralChannelsError(StackError):
    """A file has several channels and none was chosen.

    Parameters
    ----------
    message
        The sentence.
    n_channels
        How many there are.
    """

    def __init__(self, message: str, n_channels: int) -> None:
        super().__init__(message)
        self.n_channels = n_channels


def pick_channel(label: str, n_channels: int, channel: int | None) -> int:
    """Give the number of the channel to read.

    Parameters
    ----------
    label
        The file, as errors call it.
    n_channels
        How many it has.
    channel
        The one asked for, from 0; None only where there is one.

    Raises
    ------
    SeveralChannelsError
        If a choice is needed; it knows how many there are.
    StackError
        If the choice made does not exist.
    """
    if channel is None:
        if n_channels == 1:
            return 0
        raise SeveralChannelsError(
            f"{label} has {n_channels} channels; pick one with channel=0 to "
            f"channel={n_channels - 1}.",
            n_channels,
        )
    if not 0 <= channel < n_channels:
        held = "1 channel" if n_channels == 1 else f"{n_channels} channels"
        raise StackError(
            f"{label} has {held}, so there is no channel={channel}; channels are "
            "counted from 0."
        )
    return channel
