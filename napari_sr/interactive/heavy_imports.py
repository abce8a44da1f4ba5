"""Heavy modules are loaded in a thread, and the viewer does not wait for it.

This module alone knows why it would: torch and what it loads are so many objects that
Python's collector looks through all that is in memory, again and again, and holds every
thread up for it, for a third of a second each time.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTIMIZERS = "torch._dynamo"
"""The first optimizer of torch loads it."""


def load(*names: str) -> None:
    """Load modules; to be called at the beginning of a flow, in its thread.

    Parameters
    ----------
    *names
        Of modules. Those that are loaded cost nothing.
    """
    if not all(name in sys.modules for name in names):
        with _collector_at_rest():
            for name in names:
                import_module(name)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keep the collector from looking at what is made meanwhile, then and afterwards.

    What is made becomes old at once, as if the collector had looked at it: frozen, and
    let go of again, both of which take no time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:  # else somebody freezes for reasons of their own
            gc.freeze()
            gc.unfreeze()
        if was_on:
            gc.enable()
