"""Release a package: run by ``nox -s release -- PACKAGE`` and ``nox -s dist -- PACKAGE``.

``prepare`` takes the version from the fragments of the changelog, writes the changelog, commits and
tags. ``check`` looks at the files that were built. Publishing is for .github/workflows/release.yml.
"""

from __future__ import annotations

import argparse
import datetime
import email
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from .check_versions import check_all, kind_of, next_version
from .workspace import (
    MISSING,
    ROOT,
    Package,
    Version,
    WorkspaceError,
    find_revision,
    format_version,
    git,
    read_packages,
    subject_of,
    tag_of,
)


def choose_version(package: Package) -> Version:
    """Return the version of the coming release.

    It is the one in ``_version.py``, or a higher one if the fragments ask for it.

    Raises:
        WorkspaceError: There is nothing to release.

    """
    if not package.releases:
        return package.version
    if not package.fragments:
        raise WorkspaceError(
            f"{package.name}: nothing to release: there are no fragments in changelog.d; add one, "
            "such as changelog.d/+word.bugfix.md, that says what changed, and commit it"
        )
    kinds = {kind_of(fragment) for fragment in package.fragments}
    return max(package.version, next_version(package.releases[-1], kinds))


def insert_section(changelog: str, section: str) -> str:
    """Put a section in front of those of earlier releases, or after the introduction."""
    head, _, rest = changelog.partition("\n## ")
    rest = f"\n## {rest}" if rest else ""
    return f"{head.rstrip()}\n\n{section.strip()}\n{rest}"


def render_section(
    package: Package, version: Version, date: datetime.date, root: Path = ROOT
) -> str:
    """Return the section of the changelog that the fragments make."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft"]
    command += ["--config", str(root / "tools" / "towncrier.toml")]
    command += ["--dir", str(package.directory), "--version", format_version(version)]
    command += ["--date", date.isoformat()]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise WorkspaceError(f"towncrier: {run.stderr.strip()}")
    return run.stdout[run.stdout.index("## ") :]


def write_version(package: Package, version: Version) -> None:
    """Write the version."""
    text = package.version_file.read_text(encoding="utf-8")
    text = re.sub(r'(?m)^__version__ = ".*"$', f'__version__ = "{format_version(version)}"', text)
    package.version_file.write_text(text, encoding="utf-8")


def write_changelog(package: Package, version: Version, root: Path = ROOT) -> None:
    """Write the section of the changelog, with the date, and remove the fragments."""
    today = datetime.datetime.now(datetime.UTC).date()
    changelog = package.changelog.read_text(encoding="utf-8")
    # The first release has a section that was written by hand, without a date.
    heading = f"## {format_version(version)}"
    before, first, after = changelog.partition(f"\n{heading}\n")
    if first:
        changelog = f"{before}\n{heading} ({today})\n{after}"
    if package.fragments:
        section = render_section(package, version, today, root)
        if first:
            _, _, body = section.partition("\n")
            changelog = f"{changelog.rstrip()}\n\n{body.strip()}\n"
        else:
            changelog = insert_section(changelog, section)
        for fragment in package.fragments:
            fragment.unlink()
    elif not first:
        raise WorkspaceError(f"{package.changelog} says nothing about {format_version(version)}")
    package.changelog.write_text(changelog, encoding="utf-8")


def prepare(name: str, root: Path = ROOT) -> str:
    """Make the commit and the tag of a release; return the tag.

    Raises:
        WorkspaceError: The tree isn't clean, there is nothing to release, the last release isn't
            here, a sibling that it requires wasn't released, or the versions aren't right.

    """
    packages = read_packages(root)
    if name not in packages:
        raise WorkspaceError(f"there is no package {name!r}, only {', '.join(packages)}")
    if changed := git(root, "status", "--porcelain").rstrip():
        raise WorkspaceError(
            f"the tree has changes that aren't committed; commit them first:\n{changed}"
        )
    package = packages[name]
    for requirement in package.requirements:
        if requirement.floor not in packages[requirement.name].releases:
            tag = tag_of(requirement.name, requirement.floor)
            raise WorkspaceError(f"{name} requires {tag}, which isn't released: release it first")
    if package.releases and find_revision(name, package.releases[-1], root) is None:
        raise WorkspaceError(f"{tag_of(name, package.releases[-1])}: {MISSING}")
    version = choose_version(package)
    tag = tag_of(name, version)
    try:
        write_version(package, version)
        if complaints := check_all(root):
            raise WorkspaceError("\n".join(complaints))
        write_changelog(package, version, root)
    except WorkspaceError:
        git(root, "checkout", "--", f"packages/{name}")
        raise
    git(root, "add", "--all", f"packages/{name}")
    message = subject_of(name, version)
    git(root, "commit", "--quiet", "--message", message)
    git(root, "tag", "--annotate", "--message", message, tag)
    return tag


def check(name: str, directory: Path, root: Path = ROOT) -> list[str]:
    """Check the files of a release; return what there is to complain about.

    Args:
        name: Name of the package.
        directory: Where one source distribution is, and at least one wheel.
        root: Tree of the release.

    """
    package = read_packages(root)[name]
    version = format_version(package.version)
    sdists = sorted(directory.glob("*.tar.gz"))
    wheels = sorted(directory.glob("*.whl"))
    if [path.name for path in sdists] != [f"{package.import_name}-{version}.tar.gz"]:
        return [f"expected one source distribution of {name} {version}, got {sdists}"]
    if not wheels:
        return [f"there is no wheel in {directory}"]
    complaints = []
    source = package.directory / "src"
    modules = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in source.rglob("*")
        if path.suffix in {".py", ".typed"}
    }
    with tarfile.open(sdists[0]) as archive:
        names = {member.partition("/")[2] for member in archive.getnames()}
    needed = {"CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    needed |= {f"src/{module}" for module in modules}
    needed |= {
        path.relative_to(package.directory).as_posix()
        for path in (package.directory / "tests").rglob("*.py")
    }
    if missing := needed - names:
        complaints.append(f"{sdists[0].name} lacks {', '.join(sorted(missing))}")
    for path in wheels:
        with zipfile.ZipFile(path) as archive:
            content = {member: archive.read(member) for member in archive.namelist()}
        prefix = f"{package.import_name}-{version}.dist-info/"
        for module, expected in modules.items():
            if content.get(module) != expected:
                complaints.append(f"{path.name}: {module} isn't that of the source")
        surplus = [
            member
            for member in content
            if not member.startswith(prefix)
            and member not in modules
            and not member.endswith((".so", ".pyd"))
        ]
        if surplus:
            complaints.append(f"{path.name} has {', '.join(surplus)}, too")
        metadata = email.message_from_bytes(content.get(f"{prefix}METADATA", b""))
        if (metadata["Name"], metadata["Version"]) != (name, version):
            found = f"{metadata['Name']} {metadata['Version']}"
            complaints.append(f"{path.name} says it is {found}, not {name} {version}")
        if f"{prefix}licenses/LICENSE" not in content:
            complaints.append(f"{path.name} has no license")
    return complaints


def describe(tag: str, root: Path = ROOT) -> str:
    """Say what a tag releases, as ``key=value`` lines for a workflow.

    Raises:
        WorkspaceError: It isn't the tag of the version that the package has.

    """
    name, _, version = tag.rpartition("-v")
    packages = read_packages(root)
    if name not in packages or tag != tag_of(name, packages[name].version):
        raise WorkspaceError(f"{tag} isn't the tag of the next release of a package")
    config = (packages[name].directory / "pyproject.toml").read_text(encoding="utf-8")
    compiled = "true" if "[tool.cibuildwheel]" in config else "false"
    return f"package={name}\nversion={version}\ncompiled={compiled}"


def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(description="Release a package.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare").add_argument("package")
    checking = commands.add_parser("check")
    checking.add_argument("package")
    checking.add_argument("directory", type=Path)
    commands.add_parser("describe").add_argument("tag")
    options = parser.parse_args(argv)
    try:
        if options.command == "prepare":
            print(prepare(options.package))
        elif options.command == "describe":
            print(describe(options.tag))
        elif complaints := check(options.package, options.directory):
            raise WorkspaceError("\n".join(complaints))
    except WorkspaceError as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":  # pragma: no cover - nox runs it
    sys.exit(main())
