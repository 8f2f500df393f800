"""The version of the next release of this distribution."""

__version__ = "1.2.0"
