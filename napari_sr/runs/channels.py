"""The channels of a recording: each has its range, noise and model, all one result.

This module alone knows what the channels of a result have in common, and which model a
channel gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_sr.image.info import Channel
from napari_sr.image.stack import StackError
from napari_sr.upscaling.flow import as_upscaler
from napari_sr.upscaling.plan import make_plan
from napari_sr.upscaling.provenance import identity_of, provenance_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sr.files.channel import Pick
    from napari_sr.image.stack import Stack
    from napari_sr.models.upscaler import Upscaler
    from napari_sr.settings import UpscaleSettings
    from napari_sr.upscaling.flow import ModelLike
    from napari_sr.upscaling.plan import Plan


def as_upscalers(
    model: ModelLike | Mapping[Pick, ModelLike], settings: UpscaleSettings
) -> tuple[Upscaler, dict[Pick, Upscaler]]:
    """Load a model, or one for each of some channels, and set dial and device.

    Parameters
    ----------
    model
        A model, its name or path; or several by number or name of the channel, where
        the empty name stands for all others, as the first does if there is none.
    settings
        The same for all.

    Returns
    -------
    Upscaler
        That of all channels without one of their own.
    dict
        Those of single channels.
    """
    if not isinstance(model, Mapping):
        return as_upscaler(model, settings), {}
    if not model:
        raise ValueError("No model is given; expected at least one, by channel.")
    of_channels = {pick: as_upscaler(each, settings) for pick, each in model.items()}
    of_others = of_channels.pop("", next(iter(of_channels.values())))
    return of_others, of_channels


def upscalers_for(
    stacks: Sequence[Stack], upscaler: Upscaler, of_channels: Mapping[Pick, Upscaler]
) -> list[Upscaler]:
    """Give each channel its upscaler.

    Parameters
    ----------
    stacks
        The channels.
    upscaler
        Of those that have none of their own.
    of_channels
        By number or name of the channel, in any case of letters.

    Raises
    ------
    StackError
        If their factors differ, or there is no channel of a name.
    """
    named = {str(pick).casefold(): own for pick, own in of_channels.items()}
    as_typed = {str(pick).casefold(): str(pick) for pick in of_channels}
    chosen, unused = [upscaler] * len(stacks), set(named)
    for place, stack in enumerate(stacks):
        own_names = [channel.name.casefold() for channel in stack.info.channels[:1]]
        for name in (*own_names, str(stack.info.number)):
            chosen[place] = named.get(name, chosen[place])
            unused.discard(name)
    if unused:  # a slip of the pen would leave the channel to another model
        raise StackError(
            f"{stacks[0].name} has no channel "
            f"{', '.join(as_typed[name] for name in sorted(unused))} among the "
            "chosen ones, but a model was given for it. `napari-sr info` lists them."
        )
    if len({model.factor for model in chosen}) > 1:
        names = ", ".join(f"{model.name} ×{model.factor}" for model in chosen)
        raise StackError(
            f"The results for the channels of {stacks[0].name} would differ in size "
            f"({names}); choose models of one factor."
        )
    return chosen


def plans_for(
    stacks: Sequence[Stack], upscalers: Sequence[Upscaler], settings: UpscaleSettings
) -> tuple[Plan, ...]:
    """Decide for each channel by itself; all get one pixel type, which holds all."""
    pairs = zip(stacks, upscalers, strict=True)
    plans = [make_plan(stack, upscaler, settings) for stack, upscaler in pairs]
    noted = next((plan for plan in plans if plan.dtype_note), None)
    if noted is not None:
        same = {"dtype": noted.dtype, "dtype_note": noted.dtype_note}
        plans = [plan.model_copy(update=same) for plan in plans]
    return tuple(plans)


def described(
    stacks: Sequence[Stack], plans: Sequence[Plan], notes: Mapping[str, object]
) -> dict[str, Any]:
    """Say all about a result that its file says, but its compression.

    Returns
    -------
    dict
        What `create_stack` takes.
    """
    stack, plan = stacks[0], plans[0]
    provenance = {**provenance_of(stack, plan), **notes}
    first = [(*each.info.channels, Channel())[0] for each in stacks]
    ranges = [(each.intensity.low, each.intensity.high) for each in plans]
    pairs = zip(first, ranges, strict=True)
    shown = tuple(replace(channel, shown=ends) for channel, ends in pairs)
    info = stack.info
    if info.channels or len(stacks) > 1:
        info = replace(info, channels=shown)
    if len(stacks) > 1:
        provenance["plans"] = [each.model_dump(mode="json") for each in plans]
    return {
        "shape": plan.shape_of(stack),
        "dtype": plan.dtype,
        "axes": plan.axes_of(stack),
        "provenance": provenance,
        "info": info,
    }


def asked_of_channels(
    picks: Sequence[Pick] | None, of_channels: Mapping[Pick, Upscaler]
) -> dict[str, object]:
    """Say which channels and which models for some of them were asked for."""
    asked: dict[str, object] = {}
    if picks is not None:
        asked["channel"] = list(picks)
    if of_channels:
        asked["models"] = {
            str(p): identity_of(upscaler) for p, upscaler in of_channels.items()
        }
    return asked
