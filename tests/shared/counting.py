"""An upscaler that writes down what becomes of it, in whatever process that is."""

from __future__ import annotations

import os
import time
from collections import Counter

from napari_sr.methods.interpolation import Interpolation


class Counting(Interpolation):
    """Nearest neighbours, slow enough to be killed; the log tells of every use."""

    def __init__(self, log, seconds=0.0):
        super().__init__("nearest", 2)
        self.log, self.seconds = str(log), seconds

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._say("loaded")

    def __call__(self, batch):
        self._say("begun")
        time.sleep(self.seconds)
        return super().__call__(batch)

    def _say(self, word):
        with open(self.log, "a", encoding="ascii") as file:
            file.write(f"{word} {os.getpid()}\n")


def told(log, word):
    """Count by process how often something was written down."""
    lines = log.read_text("ascii").splitlines() if log.exists() else []
    return Counter(line.split()[1] for line in lines if line.split()[0] == word)
