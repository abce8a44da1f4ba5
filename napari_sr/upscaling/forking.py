"""A process that is forked after torch has computed must not wait for its threads.

This module alone knows that the threads of OpenMP do not come along into a fork, and
that the child waits for them for ever. `multiprocessing` forks on Linux up to Python
3.13.
"""

from __future__ import annotations

import os
from functools import cache

import torch


@cache
def survive_forks() -> None:
    """Have every child that is forked from now on compute with one thread."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_compute_alone)


def _compute_alone() -> None:
    torch.set_num_threads(1)
