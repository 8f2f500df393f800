import shutil

import pytest

from tools import check_versions
from tools.check_versions import check_all, describe, next_version
from tools.workspace import WorkspaceError

LOWER = "packages/ws-lower/src/ws_lower/__init__.py"

# git, griffe and towncrier are processes, or read much.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "kinds, version",
    [
        (set(), (1, 2, 4)),
        ({"bugfix", "doc", "misc"}, (1, 2, 4)),
        ({"feature", "bugfix"}, (1, 3, 0)),
        ({"deprecation"}, (1, 3, 0)),
        ({"breaking", "feature"}, (2, 0, 0)),
    ],
)
def test_version_follows_from_the_kinds_of_changes(kinds, version):
    assert next_version((1, 2, 3), kinds) == version


def test_before_the_first_release_all_is_well(repository):
    assert check_all(repository.root) == []


def test_right_after_a_release_all_is_well(released):
    assert check_all(released.root) == []


@pytest.mark.parametrize("commit", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize("path", [LOWER, "packages/ws-lower/src/ws_lower/new.py"])
def test_changed_source_needs_another_version(released, path, commit):
    released.write(path, "def greet(name):\n    return 2 * name\n")
    if commit:
        released.commit()
    name = path.removeprefix("packages/ws-lower/")
    (complaint,) = check_all(released.root)
    assert complaint == (
        f"ws-lower: changed since ws-lower-v1.0.0 (packages/ws-lower/{name}), "
        "but its version is 1.0.0; raise it to 1.0.1 in _version.py"
    )
    released.set_version("ws-lower", "1.0.1")
    assert check_all(released.root) == []


def test_changed_tests_need_no_other_version(released):
    released.write("packages/ws-lower/tests/test_greet.py", "")
    released.commit()
    assert check_all(released.root) == []


def test_version_that_goes_back_is_an_error(released):
    released.set_version("ws-lower", "0.9.0")
    complaints = check_all(released.root)
    assert any("its version is 0.9.0; raise it to 1.0.1" in complaint for complaint in complaints)


def test_version_is_at_least_what_fragments_ask_for(released):
    released.write("packages/ws-lower/changelog.d/1.feature.md", "Something new.\n")
    released.set_version("ws-lower", "1.0.1")
    expected = ["ws-lower: its changes ask for 1.1.0, but its version is 1.0.1"]
    assert check_all(released.root) == expected
    # It may be higher than what they ask for.
    released.set_version("ws-lower", "1.2.0")
    assert check_all(released.root) == []


def test_fragment_alone_needs_another_version(released):
    released.write("packages/ws-lower/changelog.d/1.bugfix.md", "Something fixed.\n")
    (complaint,) = check_all(released.root)
    assert complaint == (
        "ws-lower: changed since ws-lower-v1.0.0 (changelog.d), but its version is 1.0.0; "
        "raise it to 1.0.1 in _version.py"
    )


def test_fragment_of_an_unknown_kind_is_an_error(released):
    released.write("packages/ws-lower/changelog.d/1.feeture.md", "Something new.\n")
    with pytest.raises(WorkspaceError, match="unknown kind of change 'feeture'; there are break"):
        check_all(released.root)


@pytest.mark.parametrize("name", ["1.bugfix", "1.bugfix.txt", "bugfix.md", "1.bugfix.x.md"])
def test_file_that_is_no_fragment_is_an_error(released, name):
    released.write(f"packages/ws-lower/changelog.d/{name}", "Something fixed.\n")
    with pytest.raises(WorkspaceError, match=f"{name}: not the name of a fragment, which is ISSUE"):
        check_all(released.root)


def test_fragments_of_one_kind_may_be_numbered(released):
    released.write("packages/ws-lower/changelog.d/1.bugfix.md", "Something fixed.\n")
    released.write("packages/ws-lower/changelog.d/1.bugfix.1.md", "Something else fixed.\n")
    released.set_version("ws-lower", "1.0.1")
    assert check_all(released.root) == []


def test_floor_must_be_a_release_or_the_coming_one(released):
    released.set_version("ws-lower", "1.2.0")
    released.add_package("ws-upper", "ws-lower>=1.1.0,<2")
    released.set_version("ws-upper", "1.0.1")
    (complaint,) = check_all(released.root)
    assert complaint == (
        "ws-upper: requires ws-lower>=1.1.0, which isn't a release "
        "in the changelog of ws-lower, nor the coming one, 1.2.0"
    )
    released.add_package("ws-upper", "ws-lower>=1.2.0,<2")
    released.set_version("ws-upper", "1.0.1")
    assert check_all(released.root) == []


def test_cap_is_the_next_major(released):
    released.add_package("ws-upper", "ws-lower>=1.0.0,<3")
    released.set_version("ws-upper", "1.0.1")
    assert check_all(released.root) == ["ws-upper: requires ws-lower<3, should be <2"]


def test_range_must_have_the_sibling_beside_it(released):
    released.set_version("ws-lower", "2.0.0")
    (complaint,) = check_all(released.root)
    assert complaint == (
        "ws-upper: requires ws-lower>=1.0.0,<2, but the one beside it is 2.0.0; make it >=2.0.0,<3"
    )


@pytest.mark.parametrize(
    "source, what",
    [
        ("", "greet: Public object was removed"),
        ("def greet(name, greeting):\n    return name\n", "greet(greeting): Parameter was added"),
    ],
)
def test_change_that_breaks_programs_needs_a_major_version(released, source, what):
    released.write(LOWER, source)
    released.set_version("ws-lower", "1.1.0")
    complaint, advice = check_all(released.root)
    assert complaint.startswith("ws-lower: breaks programs that work with ws-lower-v1.0.0: ")
    assert what in complaint
    assert "\x1b" not in complaint
    assert advice == (
        "ws-lower: undo that, or raise the version to 2.0.0 in _version.py, "
        "with a fragment of the kind 'breaking'"
    )
    released.set_version("ws-lower", "2.0.0")
    released.add_package("ws-upper", "ws-lower>=2.0.0,<3")
    released.set_version("ws-upper", "1.0.1")
    assert check_all(released.root) == []


def test_change_that_adds_something_does_not(released):
    released.write(LOWER, "def greet(name, greeting='Hello'):\n    return name\n")
    released.set_version("ws-lower", "1.1.0")
    assert check_all(released.root) == []


def test_all_complaints_are_printed(released, capsys):
    released.set_version("ws-lower", "1.2.0")
    released.add_package("ws-upper", "ws-lower>=1.1.0,<3")
    assert check_versions.main(released.root) == 1
    floor, cap = capsys.readouterr().out.splitlines()
    assert "requires ws-lower>=1.1.0, which isn't a release" in floor
    assert cap == "ws-upper: requires ws-lower<3, should be <2"


def test_error_is_printed(released, capsys):
    released.add_package("ws-upper", "ws-lower")
    assert check_versions.main(released.root) == 1
    assert capsys.readouterr().out == (
        "ws-upper requires 'ws-lower', which isn't NAME>=X.Y.Z,<MAJOR\n"
    )


def test_versions_are_printed_when_all_is_well(released, capsys):
    assert check_versions.main(released.root) == 0
    assert capsys.readouterr().out == "ws-lower 1.0.0, after 1.0.0\nws-upper 1.0.0, after 1.0.0\n"


def test_first_version_is_told(repository):
    package = check_versions.read_packages(repository.root)["ws-lower"]
    assert describe(package, repository.root) == "ws-lower 1.0.0, the first"


def test_without_history_only_the_tree_is_checked(released):
    released.write(LOWER, "")
    released.commit()
    shutil.rmtree(released.root / ".git")
    assert check_all(released.root) == []
    package = check_versions.read_packages(released.root)["ws-lower"]
    assert describe(package, released.root) == (
        "ws-lower 1.0.0, after 1.0.0, with which it wasn't compared: "
        "this copy of the tree lacks it; in a clone, git fetch --tags --unshallow gets it"
    )
    # Floors and versions that fragments ask for don't need it.
    released.write("packages/ws-lower/changelog.d/1.feature.md", "Something new.\n")
    released.set_version("ws-lower", "1.0.1")
    released.add_package("ws-upper", "ws-lower>=1.1.0,<2")
    lower, *upper = check_all(released.root)
    assert lower == "ws-lower: its changes ask for 1.1.0, but its version is 1.0.1"
    assert any("requires ws-lower>=1.1.0, which isn't a release" in text for text in upper)
