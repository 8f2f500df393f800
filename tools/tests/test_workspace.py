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
    assert package.releases == []


def test_releases_are_the_sections_of_the_changelog_with_a_date(repository):
    text = "## 1.11.0\n\n## 1.10.0 (2026-11-24)\n\n## 1.9.0 (2026-11-23)\n\n## 1.0.0 (2026-11-22)\n"
    repository.write("packages/ws-lower/CHANGELOG.md", f"# Changelog\n\n{text}")
    package = workspace.read_packages(repository.root)["ws-lower"]
    assert package.releases == [(1, 0, 0), (1, 9, 0), (1, 10, 0)]


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


def test_release_is_at_its_tag(released):
    assert workspace.find_revision("ws-lower", (1, 0, 0), released.root) == "ws-lower-v1.0.0"
    assert workspace.find_revision("ws-lower", (1, 0, 1), released.root) is None


def test_release_is_at_its_commit_in_a_clone_without_tags(released):
    expected = released.git("rev-parse", "ws-lower-v1.0.0^{commit}").strip()
    released.git("tag", "--delete", "ws-lower-v1.0.0")
    # Commits that only speak of it.
    released.commit("A change\n\nws-lower: Release 1.0.0.")
    released.commit('Revert "ws-lower: Release 1.0.0."')
    assert workspace.find_revision("ws-lower", (1, 0, 0), released.root) == expected
    assert workspace.find_revision("ws-lower", (1, 0, 1), released.root) is None


def test_outside_of_git_there_is_no_tree_of_a_release(tmp_path):
    assert workspace.find_revision("ws-lower", (1, 0, 0), tmp_path) is None


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
