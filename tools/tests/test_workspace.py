import pytest

from tools import workspace
from tools.workspace import Requirement, WorkspaceError


def test_packages_of_this_repository_can_be_read():
    packages = workspace.read_packages()
    assert packages["ws-protocol"].requirements == []
    assert packages["ws-protocol"].import_name == "ws_protocol"
    names = [requirement.name for requirement in packages["websockets"].requirements]
    assert {"ws-protocol", "ws-auth", "ws-asyncio", "ws-legacy"} <= set(names)
    # Extras have the same range as everybody.
    assert len(names) == len(set(names))


def test_package_has_version_and_requirements(repository):
    package = workspace.read_packages(repository.root)["ws-upper"]
    assert package.version == (1, 0, 0)
    assert package.requirements == [Requirement("ws-lower", (1, 0, 0), 2)]
    assert package.fragments == []


@pytest.mark.parametrize(
    "text", ["ws-lower", "ws-lower==1.0.0", "ws-lower>=1.0,<2", "ws-lower>=1.0.0", "ws-lower~=1.0"]
)
def test_sibling_is_required_by_a_range_with_three_parts(repository, text):
    repository.add_package("ws-upper", text)
    with pytest.raises(WorkspaceError):
        workspace.read_packages(repository.root)


def test_version_file_must_say_the_version(repository):
    repository.write("packages/ws-lower/src/ws_lower/_version.py", "version = 1\n")
    with pytest.raises(WorkspaceError, match="doesn't say __version__"):
        workspace.read_packages(repository.root)


@pytest.mark.parametrize("text", ["1", "1.0", "1.0.0.0", "1.0.0rc1", "v1.0.0", ""])
def test_version_has_three_parts(text):
    with pytest.raises(WorkspaceError, match="isn't a version in three parts"):
        workspace.parse_version(text)


def test_releases_are_in_the_order_of_numbers(repository):
    for version in ["1.10.0", "1.9.0", "1.0.0"]:
        repository.git("tag", f"ws-lower-v{version}")
    versions = workspace.find_releases("ws-lower", repository.root)
    assert versions == [(1, 0, 0), (1, 9, 0), (1, 10, 0)]
    assert workspace.find_releases("ws-upper", repository.root) == []


def test_outside_of_git_there_are_no_releases(tmp_path):
    assert workspace.find_releases("ws-lower", tmp_path) == []


def test_tree_of_a_release_can_be_written(released, tmp_path):
    released.set_version("ws-lower", "1.0.1")
    released.commit()
    workspace.export("ws-lower-v1.0.0", tmp_path / "tree", released.root)
    packages = workspace.read_packages(tmp_path / "tree")
    assert packages["ws-lower"].version == (1, 0, 0)


def test_tag_that_is_not_there_is_told(repository, tmp_path):
    with pytest.raises(WorkspaceError, match=r"git archive ws-lower-v1\.0\.0: "):
        workspace.export("ws-lower-v1.0.0", tmp_path / "tree", repository.root)


def test_command_of_git_that_fails_is_told(repository):
    with pytest.raises(WorkspaceError, match="git diff nothing"):
        workspace.git(repository.root, "diff", "nothing")
