"""The command line: `napari-sr upscale`, `finetune`, `train`, `models`, `info`, ….

This package alone prints, and knows the exit codes: 0 all done, 1 something could not
be done, 2 the command was not understood, 130 interrupted. Heavy modules are imported
by the commands that need them, so that help is quick.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from napari_sr.cli.terminal import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    before = {kind: signal.getsignal(kind) for kind in _ENDING}
    # An import that is interrupted says where it was, or that something else is wrong.
    for kind in _ENDING:
        if before[kind] != signal.SIG_IGN:
            signal.signal(kind, _leave)
    try:
        from napari_sr.cli.commands import run
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
    return run(argv)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End at once: nothing has been begun."""
    os.write(2, b"Interrupted; nothing had been begun.\n")
    os._exit(INTERRUPTED)
