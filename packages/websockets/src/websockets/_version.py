"""The version of the next release of this distribution."""

__version__ = "13.2.3"
