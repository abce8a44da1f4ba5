"""Which channel of a file to read.

This module alone knows what is said when a file has several and none is chosen.
"""

from __future__ import annotations

from napari_sr.stack import StackError


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
    StackError
        If a choice is needed, or the one made does not exist.
    """
    if channel is None:
        if n_channels == 1:
            return 0
        raise StackError(
            f"{label} has {n_channels} channels; pick one with channel=0 to "
            f"channel={n_channels - 1}."
        )
    if not 0 <= channel < n_channels:
        held = "1 channel" if n_channels == 1 else f"{n_channels} channels"
        raise StackError(
            f"{label} has {held}, so there is no channel={channel}; channels are "
            "counted from 0."
        )
    return channel
