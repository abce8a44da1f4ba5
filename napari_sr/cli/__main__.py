"""`python -m napari_sr.cli`."""

import sys

from napari_sr.cli import main

if __name__ == "__main__":
    sys.exit(main())
