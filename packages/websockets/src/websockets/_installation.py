"""Whether the distributions that are installed belong together.

Installers see to it, unless they are told not to. Where they don't, programs fail somewhere later,
with errors that say nothing of the reason. This runs whenever ``websockets`` is imported, so it
reads some small files and imports nothing: :mod:`importlib.metadata` would take longer than all of
the rest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder

__all__ = ["check", "find_misfit"]


def check(name: str, directory: str) -> None:
    """Make sure that a distribution and its siblings belong together, as far as can be told.

    Args:
        name: Name of the distribution, and of its package.
        directory: Where its package is.

    Raises:
        ImportError: They don't.

    """
    misfit = find_misfit(name, directory)
    if misfit is not None:
        raise ImportError(f"{misfit}; to repair that: pip install --upgrade {name}")


def find_misfit(name: str, directory: str) -> str | None:
    """Say which distributions don't belong together; return :obj:`None` if all do.

    What an installer has left no metadata of, for example an editable installation, isn't looked
    at.

    Args:
        name: Name of the distribution to start from, and of its package.
        directory: Where its package is.

    """
    directories = {name: directory}
    versions = {name: read_version(directory)}
    to_do = [name]
    while to_do:
        name = to_do.pop()
        for sibling, bounds in read_requirements(directories[name], versions[name]):
            if sibling not in versions:
                directories[sibling] = find_directory(sibling)
                versions[sibling] = read_version(directories[sibling])
                to_do.append(sibling)
            found = versions[sibling]
            if found and not fits(found, bounds):
                return f"{name} {versions[name]} needs {sibling}{bounds}, but {found} is installed"
    return None


def find_directory(name: str) -> str:
    """Return where a distribution's package is; an empty string if that can't be told."""
    package = name.replace("-", "_")
    module = sys.modules.get(package)
    if module is not None:
        return str(module.__path__[0])
    spec = PathFinder.find_spec(package)
    locations = None if spec is None else spec.submodule_search_locations
    return locations[0] if locations else ""


def read_version(directory: str) -> str:
    """Return the version that a package says it has; an empty string if it doesn't."""
    _, _, rest = read(os.path.join(directory, "_version.py")).partition('__version__ = "')
    return rest.partition('"')[0]


def read_requirements(directory: str, version: str) -> Iterator[tuple[str, str]]:
    """Iterate over the siblings that a distribution requires, and the bounds of their versions.

    Those that it requires for an extra are among them: if they are there, they have to fit.

    Args:
        directory: Where its package is.
        version: Its version.

    """
    metadata = read(os.path.join(f"{directory}-{version}.dist-info", "METADATA"))
    for line in metadata.partition("\n\n")[0].splitlines():
        header, _, value = line.partition(": ")
        if header == "Requires-Dist" and value.startswith("ws-"):
            requirement = value.partition(";")[0].replace(" ", "")
            name = requirement[: min(requirement.find(sign) % 999 for sign in "[<>=!~")]
            yield name, requirement[len(name) :].rpartition("]")[2]


def fits(version: str, bounds: str) -> bool:
    """Tell whether a version is within bounds, such as ``<2,>=1.0.0``; others don't matter."""
    numbers = parse_numbers(version)
    for bound in bounds.split(","):
        if bound.startswith(">=") and numbers < parse_numbers(bound[2:]):
            return False
        if bound[:1] == "<" and bound[1:2].isdigit() and numbers >= parse_numbers(bound[1:]):
            return False
    return True


def parse_numbers(version: str) -> list[int]:
    """Return the numbers of a version: all that matters of those of this project."""
    return [int(part) for part in version.split(".") if part.isdigit()]


def read(path: str) -> str:
    """Return the text of a file; an empty string if it can't be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
