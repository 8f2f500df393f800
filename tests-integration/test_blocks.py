"""Every block of code in the documentation and in READMEs is run, or compared with what is printed.

Blocks that are programs in examples/ have tests of their own. Here are the others, but for those
that need somebody on the other side: each page is followed by a reader, who has nothing but the
wheels and does what it says, from top to bottom.
"""

import doctest
import re
import sys

import pytest
from docblocks import DOCS, PAGES, ROOT, find_blocks, read_blocks

EXAMPLES = ROOT / "examples"
TESTS = ROOT / "tests-integration"

# Tests that run or compare all blocks of a page that are in a language.
ELSEWHERE = {
    ("CONTRIBUTING.md", "text"): "test_blocks.py",
    ("docs/howto/debugging.rst", "text"): "test_howtos.py",
    ("docs/reference/websockets/command-line.rst", "console"): "test_cli.py",
    ("docs/reference/websockets/command-line.rst", "sh"): "test_cli.py",
    ("docs/tutorial/index.rst", "console"): "test_cli.py",
    ("docs/tutorial/index.rst", "sh"): "test_tutorial.py",
    ("docs/upgrade/breakages.rst", "text"): "upgrade/test_breakages.py",
}

# Commands that aren't run here.
NOT_RUN = {
    "git push origin main ws-protocol-v1.2.0": "it publishes",
    "nox -s release -- ws-protocol": "it commits and tags; tools/tests has the tests of that",
    "python3 noxfile.py": "it is what runs these tests",
    "python3 noxfile.py -s demo": "it goes on for ever; test_demo.py runs it",
}

# Pages with commands that take long, and do the same on every Python.
LONG = {"README.md", "CONTRIBUTING.md", "docs/explanation/kernel.rst"}


def find_commands(code):
    """Return the commands of a block for a shell, one a line, without comments."""
    return [re.sub(r"\s+# .*", "", line) for line in code.splitlines()]


def is_program(block):
    """Tell whether a block is a program in examples/, or a part of one."""
    if block.file is None:
        programs = {path.read_text(encoding="utf-8").strip() for path in EXAMPLES.glob("*.py")}
        return block.code in programs
    return block.file.is_relative_to(EXAMPLES)


def find_blocks_to_run(path):
    """Return the blocks of a page that are run here."""
    return [
        block
        for block in read_blocks(path)
        if not is_program(block) and (block.page, block.language) not in ELSEWHERE
    ]


# That no block is forgotten


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_block_is_a_program_or_is_run_or_compared(path):
    forgotten = [
        block
        for block in read_blocks(path)
        if not is_program(block)
        and block.language not in RUNNERS
        and (block.page, block.language) not in ELSEWHERE
    ]
    assert list(map(str, forgotten)) == []


def test_blocks_are_found():
    found = [block for path in PAGES for block in read_blocks(path)]
    assert len([block for block in found if block.file is not None]) > 90
    assert len([block for block in found if block.file is None]) > 50


def test_programs_are_mentioned_by_tests():
    texts = {
        path: path.read_text(encoding="utf-8")
        for directory in (TESTS, EXAMPLES)
        for path in directory.rglob("*.py")
    }
    included = {block.file for path in PAGES for block in read_blocks(path) if block.file}
    # The tests of the upgrade find out by themselves which programs there are.
    included -= set((EXAMPLES / "upgrade").iterdir())
    # Some are imported by others.
    assert [
        path
        for path in included
        if not any(path.stem in text for other, text in texts.items() if other != path)
    ] == []


@pytest.mark.parametrize("page,language", ELSEWHERE)
def test_blocks_that_other_tests_run_are_read_by_them(page, language):
    text = (TESTS / ELSEWHERE[page, language]).read_text(encoding="utf-8")
    assert f'"{page}"' in text
    assert find_blocks(page, language)


def test_commands_that_are_not_run_are_shown_somewhere():
    shown = {
        command
        for path in PAGES
        for block in read_blocks(path)
        if block.language == "sh"
        for command in find_commands(block.code)
    }
    assert NOT_RUN.keys() <= shown


# Running them


def run_commands(reader, code):
    """Run what is for a shell."""
    for command in find_commands(code):
        if command not in NOT_RUN:
            reader.run(command)


def run_session(reader, code):
    """Run what somebody typed in a shell, and compare what it printed."""
    for command, output in re.findall(r"^\$ (.*)\n?((?:(?!\$ ).*\n?)*)", code, re.MULTILINE):
        printed = reader.run(command)
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        assert doctest.OutputChecker().check_output(output, printed, flags), printed


def run_python(reader, code):
    """Run a program, and compare what it prints with its comments."""
    (reader.folder / "program.py").write_text(code, encoding="utf-8")
    printed = reader.run("python -W error program.py")
    comments = re.findall(r"^ *# (.*)$", code, re.MULTILINE)
    assert printed
    assert [line for line in printed.splitlines() if line not in comments] == []


RUNNERS = {"console": run_session, "python": run_python, "sh": run_commands}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if find_blocks_to_run(path)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_reader_can_do_what_the_page_says(path, reader, reserve_port):
    if path.relative_to(ROOT).as_posix() in LONG and sys.version_info < (3, 13):
        pytest.skip("it takes long, and is the same on every Python: 3.13 does it")
    if path.parent == ROOT:
        reader.take_repository()
    if path.is_relative_to(DOCS):
        # As the tutorial says.
        reader.run("pip install websockets")
    port = str(reserve_port())
    for block in find_blocks_to_run(path):
        RUNNERS[block.language](reader, block.code.replace("8765", port))


# The layout of the repository


def test_layout_is_that_of_the_repository():
    [layout] = find_blocks("CONTRIBUTING.md", "text")
    packages = re.findall(r"^  (\S+)/ ", layout, re.MULTILINE)
    assert sorted(packages) == sorted(path.parent.name for path in ROOT.glob("packages/*/src"))
    listed = re.findall(r"^(\S+) ", layout, re.MULTILINE)
    assert [name for name in listed if not (ROOT / name).exists()] == []
    visible = [path for path in ROOT.iterdir() if not path.name.startswith(".")]
    assert {f"{path.name}/" for path in visible if list(path.glob("**/*.py"))} <= set(listed)
