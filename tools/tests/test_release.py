import datetime
import io
import tarfile
import zipfile

import pytest

from tools import release
from tools.release import check, describe, insert_section, prepare
from tools.workspace import WorkspaceError

CHANGELOG = "packages/ws-lower/CHANGELOG.md"
# git, griffe and towncrier are processes, or read much.
pytestmark = pytest.mark.slow


@pytest.fixture
def today(monkeypatch):
    """Date that it is."""

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz):
            return cls(2026, 11, 25, tzinfo=tz)

    monkeypatch.setattr("datetime.datetime", Clock)
    return "2026-11-25"


# The changelog, the commit and the tag


def test_first_release_has_the_version_and_the_changelog_that_are_there(repository, today):
    assert prepare("ws-lower", repository.root) == "ws-lower-v1.0.0"
    assert repository.read(CHANGELOG) == (
        f"# Changelog\n\nWords.\n\n## 1.0.0 ({today})\n\nThe first.\n"
    )
    assert repository.git("log", "-1", "--format=%s") == "ws-lower: Release 1.0.0.\n"
    assert repository.git("tag", "--points-at", "HEAD") == "ws-lower-v1.0.0\n"
    assert repository.git("status", "--porcelain") == ""


def test_fragments_join_the_section_of_the_first_release(repository, today):
    repository.write("packages/ws-lower/changelog.d/+one.feature.md", "`greet()` is there.")
    repository.commit()
    prepare("ws-lower", repository.root)
    assert repository.read(CHANGELOG) == (
        f"# Changelog\n\nWords.\n\n## 1.0.0 ({today})\n\nThe first.\n\n"
        "### New\n\n- `greet()` is there.\n"
    )


@pytest.mark.parametrize(
    "kind, version, title",
    [("bugfix", "1.0.1", "Fixed"), ("feature", "1.1.0", "New"), ("breaking", "2.0.0", "Incomp")],
)
def test_version_and_changelog_come_from_the_fragments(released, today, kind, version, title):
    released.write(f"packages/ws-lower/changelog.d/12.{kind}.md", "`greet()` greets.\n")
    released.write("packages/ws-lower/changelog.d/+typo.doc.md", "Fixed a word.\n")
    if kind == "breaking":
        released.add_package("ws-upper", "ws-lower>=2.0.0,<3")
        released.set_version("ws-upper", "1.0.1")
    else:
        # Another version for changed source, which doesn't know of all that changed.
        released.set_version("ws-lower", "1.0.1")
    released.commit()
    assert prepare("ws-lower", released.root) == f"ws-lower-v{version}"
    changelog = released.read(CHANGELOG)
    start = f"# Changelog\n\nWords.\n\n## {version} ({today})\n\n### {title}"
    assert changelog.startswith(start)
    assert "\n- `greet()` greets. (#12)\n" in changelog
    assert "\n- Fixed a word.\n" in changelog
    assert changelog.endswith("\n\n## 1.0.0 (2026-11-24)\n\nThe first.\n")
    assert f'__version__ = "{version}"' in released.read(
        "packages/ws-lower/src/ws_lower/_version.py"
    )
    assert not list((released.root / "packages/ws-lower/changelog.d").glob("*"))
    changed = released.git("show", "--name-only", "--format=", "HEAD").split()
    assert all(path.startswith("packages/ws-lower/") for path in changed)


def test_section_goes_after_the_introduction_if_there_is_no_other():
    assert insert_section("# Changelog\n", "## 1.0.0\n\n- It.\n") == (
        "# Changelog\n\n## 1.0.0\n\n- It.\n"
    )


def test_without_fragments_there_is_nothing_to_release(released):
    with pytest.raises(WorkspaceError, match=r"nothing to release.*; add one"):
        prepare("ws-lower", released.root)


def test_first_release_needs_a_changelog(repository):
    repository.write(CHANGELOG, "# Changelog\n")
    repository.commit()
    with pytest.raises(WorkspaceError, match=r"says nothing about 1\.0\.0"):
        prepare("ws-lower", repository.root)


def test_siblings_are_released_first(repository):
    with pytest.raises(WorkspaceError, match=r"requires ws-lower-v1\.0\.0, which isn't released"):
        prepare("ws-upper", repository.root)
    prepare("ws-lower", repository.root)
    assert prepare("ws-upper", repository.root) == "ws-upper-v1.0.0"


def test_tree_must_be_clean(repository):
    repository.write("new.txt", "")
    with pytest.raises(WorkspaceError, match=r"changes that aren't committed.*\n\?\? new\.txt"):
        prepare("ws-lower", repository.root)


def test_versions_must_be_right(released):
    released.write("packages/ws-lower/src/ws_lower/__init__.py", "")
    released.write("packages/ws-lower/changelog.d/1.bugfix.md", "Fixed it.\n")
    released.commit()
    with pytest.raises(WorkspaceError, match="breaks programs that work with ws-lower-v1"):
        prepare("ws-lower", released.root)
    # What was written is taken back.
    assert released.git("status", "--porcelain") == ""


def test_last_release_must_be_here_to_compare_with(released):
    released.write("packages/ws-lower/changelog.d/1.bugfix.md", "Fixed it.\n")
    released.commit("ws-lower: Fix it")
    shallow = released.root.parent / "shallow"
    released.git("clone", "--quiet", "--depth=1", released.root.as_uri(), str(shallow))
    with pytest.raises(WorkspaceError, match=r"ws-lower-v1\.0\.0: this copy of the tree lacks it"):
        prepare("ws-lower", shallow)


def test_package_must_exist(repository):
    with pytest.raises(WorkspaceError, match="there is no package 'ws-middle', only ws-lower, ws-"):
        prepare("ws-middle", repository.root)


@pytest.mark.parametrize("kind, text", [("feeture", "unknown kind")])
def test_kind_of_fragment_must_exist(released, kind, text):
    released.write(f"packages/ws-lower/changelog.d/1.{kind}.md", "It.\n")
    released.commit()
    with pytest.raises(WorkspaceError, match=text):
        prepare("ws-lower", released.root)


def test_failure_of_towncrier_is_told(released):
    released.write("packages/ws-lower/changelog.d/1.bugfix.md", "Fixed it.\n")
    released.write("tools/towncrier.toml", "[tool.towncrier]\ntemplate = 'missing.jinja'\n")
    released.commit()
    with pytest.raises(WorkspaceError, match="towncrier: "):
        prepare("ws-lower", released.root)
    # What was written is taken back.
    assert released.git("status", "--porcelain") == ""


# The files


@pytest.fixture
def files(repository):
    """Write the files of a release; return their directory."""
    root = repository.root / "packages" / "ws-lower"
    for name in ["LICENSE", "README.md", "tests/test_greet.py"]:
        repository.write(f"packages/ws-lower/{name}", name)
    directory = repository.root / "dist"
    directory.mkdir()
    with tarfile.open(directory / "ws_lower-1.0.0.tar.gz", "w:gz") as archive:
        for path in root.rglob("*"):
            if path.is_file():
                archive.add(path, f"ws_lower-1.0.0/{path.relative_to(root)}")
        archive.addfile(tarfile.TarInfo("ws_lower-1.0.0/PKG-INFO"), io.BytesIO())
    write_wheel(directory, root)
    return directory


def write_wheel(directory, root, **changes):
    """Write a wheel; return its directory. ``changes`` has what is different, with _ for / and ."""
    content = {
        "ws_lower/__init__.py": (root / "src/ws_lower/__init__.py").read_bytes(),
        "ws_lower/_version.py": (root / "src/ws_lower/_version.py").read_bytes(),
        "ws_lower-1.0.0.dist-info/METADATA": b"Name: ws-lower\nVersion: 1.0.0\n",
        "ws_lower-1.0.0.dist-info/licenses/LICENSE": b"LICENSE",
    } | changes
    with zipfile.ZipFile(directory / "ws_lower-1.0.0-py3-none-any.whl", "w") as wheel:
        for name, data in content.items():
            if data is not None:
                wheel.writestr(name, data)


def test_files_as_they_should_be_are_fine(files, repository):
    assert check("ws-lower", files, repository.root) == []


def test_compiled_modules_are_fine(files, repository):
    root = repository.root / "packages" / "ws-lower"
    write_wheel(files, root, **{"ws_lower/fast.cpython-313.so": b""})
    assert check("ws-lower", files, repository.root) == []


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"ws_lower/__init__.py": b"other"}, "ws_lower/__init__.py isn't that of the source"),
        ({"ws_lower/_version.py": None}, "ws_lower/_version.py isn't that of the source"),
        ({"ws_lower/notes.txt": b""}, "has ws_lower/notes.txt, too"),
        ({"other/__init__.py": b""}, "has other/__init__.py, too"),
        (
            {"ws_lower-1.0.0.dist-info/METADATA": b"Name: ws-lower\nVersion: 1.0.1\n"},
            "says it is ws-lower 1.0.1, not ws-lower 1.0.0",
        ),
        ({"ws_lower-1.0.0.dist-info/licenses/LICENSE": None}, "has no license"),
    ],
)
def test_wheel_that_is_wrong_is_told(files, repository, changes, complaint):
    write_wheel(files, repository.root / "packages" / "ws-lower", **changes)
    (found,) = check("ws-lower", files, repository.root)
    assert found.startswith("ws_lower-1.0.0-py3-none-any.whl")
    assert found.endswith(complaint)


def test_source_distribution_must_be_complete(files, repository):
    repository.write("packages/ws-lower/tests/test_more.py", "")
    expected = ["ws_lower-1.0.0.tar.gz lacks tests/test_more.py"]
    assert check("ws-lower", files, repository.root) == expected


def test_source_distribution_must_be_there(files, repository):
    (files / "ws_lower-1.0.0.tar.gz").rename(files / "ws_lower-1.0.1.tar.gz")
    (complaint,) = check("ws-lower", files, repository.root)
    assert complaint.startswith("expected one source distribution of ws-lower 1.0.0, got ")


def test_wheel_must_be_there(files, repository):
    (files / "ws_lower-1.0.0-py3-none-any.whl").unlink()
    assert check("ws-lower", files, repository.root) == [f"there is no wheel in {files}"]


# What workflows ask


def test_tag_says_what_it_releases(repository):
    expected = "package=ws-lower\nversion=1.0.0\ncompiled=false"
    assert describe("ws-lower-v1.0.0", repository.root) == expected
    path = "packages/ws-lower/pyproject.toml"
    repository.write(path, f"{repository.read(path)}\n[tool.cibuildwheel]\n")
    assert describe("ws-lower-v1.0.0", repository.root).endswith("compiled=true")


@pytest.mark.parametrize("tag", ["ws-lower-v1.0.1", "ws-middle-v1.0.0", "v1.0.0", "ws-lower"])
def test_tag_must_be_that_of_the_version(repository, tag):
    with pytest.raises(WorkspaceError, match="isn't the tag"):
        describe(tag, repository.root)


def test_commands_print_what_they_did(monkeypatch, capsys):
    monkeypatch.setattr(release, "prepare", lambda package: f"{package}-v1.0.0")
    monkeypatch.setattr(release, "describe", lambda tag: f"about {tag}")
    monkeypatch.setattr(release, "check", lambda package, directory: [])
    assert release.main(["prepare", "ws-lower"]) == 0
    assert release.main(["describe", "ws-lower-v1.0.0"]) == 0
    assert release.main(["check", "ws-lower", "dist"]) == 0
    assert capsys.readouterr().out == "ws-lower-v1.0.0\nabout ws-lower-v1.0.0\n"


def test_command_that_fails_says_why(monkeypatch, capsys):
    monkeypatch.setattr(release, "check", lambda package, directory: ["one", "two"])
    assert release.main(["check", "ws-lower", "dist"]) == 1
    assert capsys.readouterr().err == "one\ntwo\n"
