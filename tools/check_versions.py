"""Check versions: run by ``nox -s versions``.

* Source that differs from the last release needs a higher version: two different wheels must never
  share a number.
* The version is at least what the fragments of the changelog ask for.
* The floor of a range names a release, or the one that is coming, and its cap is the next major.
* What a program that used the last release would miss needs a higher major.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .workspace import (
    MISSING,
    ROOT,
    Package,
    Version,
    WorkspaceError,
    export,
    find_revision,
    format_version,
    git,
    read_packages,
    tag_of,
)

# Kinds of changes, as the names of fragments have them.
MAJOR = ["breaking"]
MINOR = ["feature", "deprecation"]
PATCH = ["bugfix", "doc", "misc"]


def next_version(last: Version, kinds: set[str]) -> Version:
    """Return the version that follows from the kinds of changes.

    Args:
        last: The last release.
        kinds: Kinds of the changes since.

    """
    major, minor, patch = last
    if kinds & set(MAJOR):
        return major + 1, 0, 0
    if kinds & set(MINOR):
        return major, minor + 1, 0
    return major, minor, patch + 1


def kind_of(fragment: Path) -> str:
    """Return the kind of change that a fragment tells of.

    Raises:
        WorkspaceError: There is no such kind, or the file isn't a fragment.

    """
    match = re.fullmatch(r"[^.]+\.([^.]+)(?:\.\d+)?\.md", fragment.name)
    if match is None:
        raise WorkspaceError(
            f"{fragment.name}: not the name of a fragment, which is ISSUE.KIND.md or +WORD.KIND.md"
        )
    kind = match[1]
    if kind not in [*MAJOR, *MINOR, *PATCH]:
        raise WorkspaceError(
            f"{fragment.name}: unknown kind of change {kind!r}; "
            f"there are {', '.join([*MAJOR, *MINOR, *PATCH])}"
        )
    return kind


def check_version(package: Package, root: Path = ROOT) -> Iterator[str]:
    """Complain about a version that is too low for what changed."""
    if not package.releases:
        return
    last = package.releases[-1]
    version = format_version(package.version)
    kinds = {kind_of(fragment) for fragment in package.fragments}
    changed = find_changes(package, root)
    if package.version < last or (package.version == last and (changed or kinds)):
        wanted = format_version(next_version(last, kinds))
        files = ", ".join(changed) or "changelog.d"
        yield (
            f"{package.name}: changed since {tag_of(package.name, last)} ({files}), "
            f"but its version is {version}; raise it to {wanted} in _version.py"
        )
    elif package.version != last and package.version < next_version(last, kinds):
        wanted = format_version(next_version(last, kinds))
        yield f"{package.name}: its changes ask for {wanted}, but its version is {version}"


def find_changes(package: Package, root: Path) -> list[str]:
    """Return the files of a package that aren't as in its last release; none if that isn't here."""
    revision = find_revision(package.name, package.releases[-1], root)
    if revision is None:
        return []
    paths = [f"packages/{package.name}/{path}" for path in ("src", "pyproject.toml")]
    changed = git(root, "diff", "--name-only", revision, "--", *paths).split()
    new = git(root, "ls-files", "--others", "--exclude-standard", "--", *paths).split()
    return changed + new


def check_floors(package: Package, packages: dict[str, Package]) -> Iterator[str]:
    """Complain about ranges whose ends don't exist."""
    for requirement in package.requirements:
        floor, name = requirement.floor, requirement.name
        coming = packages[name].version
        if floor != coming and floor not in packages[name].releases:
            yield (
                f"{package.name}: requires {name}>={format_version(floor)}, which isn't a release "
                f"in the changelog of {name}, nor the coming one, {format_version(coming)}"
            )
        if requirement.cap != floor[0] + 1:
            yield f"{package.name}: requires {name}<{requirement.cap}, should be <{floor[0] + 1}"
        if not floor <= coming < (requirement.cap, 0, 0):
            yield (
                f"{package.name}: requires {name}>={format_version(floor)},<{requirement.cap}, "
                f"but the one beside it is {format_version(coming)}; make it "
                f">={format_version(coming)},<{coming[0] + 1}"
            )


def check_api(package: Package, root: Path = ROOT) -> Iterator[str]:
    """Complain about an incompatible change of the API that comes without a major version."""
    if not package.releases or package.version[0] > package.releases[-1][0]:
        return
    last = package.releases[-1]
    revision = find_revision(package.name, last, root)
    if revision is None:
        return
    with tempfile.TemporaryDirectory() as directory:
        export(revision, Path(directory), root)
        breakages = list(find_breakages(package, Path(directory), root))
    for breakage in breakages:
        tag = tag_of(package.name, last)
        yield f"{package.name}: breaks programs that work with {tag}: {breakage}"
    if breakages:
        yield (
            f"{package.name}: undo that, or raise the version to {last[0] + 1}.0.0 in "
            f"_version.py, with a fragment of the kind 'breaking'"
        )


def find_breakages(package: Package, released: Path, root: Path) -> Iterator[str]:
    """Compare the API of a package with that of a release.

    Args:
        package: The package.
        released: Tree of the release.
        root: Tree of now.

    """
    import griffe

    source = f"packages/{package.name}/src"
    old, new = (
        griffe.load(package.import_name, search_paths=[tree / source], allow_inspection=False)
        for tree in (released, root)
    )
    for breakage in griffe.find_breaking_changes(old, new):
        text = breakage.explain(griffe.ExplanationStyle.ONE_LINE)
        yield re.sub(r"\x1b\[\d*m", "", text).replace(f"{released}/", "")


def check_all(root: Path = ROOT) -> list[str]:
    """Check all packages; return what there is to complain about."""
    packages = read_packages(root)
    complaints: list[str] = []
    for package in packages.values():
        complaints += check_version(package, root)
        complaints += check_floors(package, packages)
        complaints += check_api(package, root)
    return complaints


def describe(package: Package, root: Path) -> str:
    """Return a line about a package's version, and what it was compared with."""
    line = f"{package.name} {format_version(package.version)}"
    if not package.releases:
        return f"{line}, the first"
    last = package.releases[-1]
    line += f", after {format_version(last)}"
    if find_revision(package.name, last, root) is None:
        line += f", with which it wasn't compared: {MISSING}"
    return line


def main(root: Path = ROOT) -> int:
    """Print complaints, or what the versions are; return the exit status."""
    try:
        complaints = check_all(root)
    except WorkspaceError as exc:
        complaints = [str(exc)]
    for complaint in complaints:
        print(complaint)
    if not complaints:
        for package in read_packages(root).values():
            print(describe(package, root))
    return 1 if complaints else 0


if __name__ == "__main__":  # pragma: no cover - nox runs it
    sys.exit(main())
