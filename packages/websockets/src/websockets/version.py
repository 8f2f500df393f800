"""The version, under the path where it used to be."""

from ._version import __version__ as version

__all__ = ["commit", "tag", "version"]

tag: str = version
"""The version."""

commit: str = version
"""The version."""
