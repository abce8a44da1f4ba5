"""The version; nothing else, so that no room needs the package's front door."""

__version__ = "0.1.0"
