"""The blocks of code in the documentation and in READMEs, found where a reader sees them: on pages,
and in docstrings, which the reference shows.
"""

import ast
import collections
import dataclasses
import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("packages/*/README.md")),
    *sorted(ROOT.glob("packages/*/CHANGELOG.md")),
    *sorted(
        path
        for path in DOCS.rglob("*.*")
        if path.suffix in {".md", ".rst"} and "_build" not in path.parts
    ),
]
MODULES = sorted(ROOT.glob("packages/*/src/**/*.py"))

# Directives without code. (Those with a block of code are in the expression.)
OTHERS = {
    *["aliases-table", "autoclass", "autofunction", "automodule", "benchmark-tables", "csv-table"],
    *["deprecated", "image", "include-help", "list-table", "state-diagram", "toctree"],
    *["transitions-table", "warning"],
}

MARKDOWN_BLOCK = re.compile(
    r"^(?P<fence>```+|~~~+)(?P<language>.*)\n(?P<fenced>(?:.*\n)*?)(?P=fence)$"
    # Indented, after an empty line.
    r"|(?<=\n\n)(?P<indented> {4,}.*\n(?:(?: {4,}.*)?\n)*)",
    re.MULTILINE,
)
RST_BLOCK = re.compile(
    r"^ *\.\. literalinclude:: (?P<file>.*)\n"
    r"|^(?P<indent> *)\.\. code-block:: *(?P<language>.*)\n"
    r"(?P<options>(?: +:.*\n)*)(?P<code>(?:(?P=indent) +.*\n| *\n)*)"
    r"|^ *\.\. (?P<other>[a-z:-]+):: *.*\n"
    # The short form, whose paragraph goes before it, and examples.
    r"|^(?P<short_indent> *)(?:.*[^:])?::\n(?P<short>(?:(?P=short_indent) +.*\n| *\n)+)"
    r"|^ *(?P<doctest>>>> .*)\n",
    re.MULTILINE,
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Path of the page or module, from the root of the repository.
        line: Number of its first line.
        language: What the page says that it is, which may be nothing.
        code: Its text, without indentation.
        file: The file that it is from, if the page doesn't have the text itself.

    """

    page: str
    line: int
    language: str
    code: str
    file: Path | None = None

    def __str__(self):
        return f"{self.page}:{self.line}"


def read_blocks(path):
    """Yield the blocks of code of a page, in order."""
    yield from parse_blocks(path, path.read_text(encoding="utf-8"), 1)


def read_docstrings(path):
    """Yield the blocks of code in the docstrings of a module, each with a name.

    That is the name of what they belong to, and a number: ``"ws_asyncio.client.connect 1"``.
    """
    # After packages/.../src.
    module = ".".join(path.with_suffix("").relative_to(ROOT).parts[3:])
    numbers = collections.Counter()
    for name, docstring in find_docstrings(module, ast.parse(path.read_text(encoding="utf-8"))):
        for block in parse_blocks(path, f"{docstring.value}\n", docstring.lineno):
            numbers[name] += 1
            yield f"{name} {numbers[name]}", block


def find_docstrings(name, node):
    """Yield the docstrings below a node, those of attributes included, each after whose it is.

    They are the strings that are statements of their own.
    """
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Expr(value=ast.Constant(value=str()) as docstring):
                yield name, docstring
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from find_docstrings(f"{name}.{child.name}", child)
            case _:
                yield from find_docstrings(name, child)


def parse_blocks(path, text, first):
    """Yield the blocks of code of a text, in order.

    Args:
        path: The file that it is in.
        text: The text.
        first: Number of its first line.

    """
    page = path.relative_to(ROOT).as_posix()
    for match in (MARKDOWN_BLOCK if path.suffix == ".md" else RST_BLOCK).finditer(text):
        line = text.count("\n", 0, match.start()) + first
        found = match.groupdict()
        if found.get("file"):
            file = (path.parent / found["file"]).resolve()
            yield Block(page, line, file.suffix[1:], file.read_text(encoding="utf-8"), file)
        elif found.get("other"):
            assert found["other"] in OTHERS, f"{page}:{line}: is there code in it?"
        elif (found["language"] or "").startswith("{include}"):
            assert "/CHANGELOG.md" in found["language"], f"{page}:{line}: is it a page itself?"
        else:
            names = ["code", "short", "doctest", "fenced", "indented"]
            code = next(found[name] for name in names if found.get(name))
            yield Block(page, line, found["language"] or "", clean(code))


def clean(code):
    """Return the text of a block."""
    return textwrap.dedent(code).strip("\n")


def find_blocks(page, language):
    """Return the texts of the blocks of a page that are in a language, but for those from files."""
    blocks = read_blocks(ROOT / page)
    return [block.code for block in blocks if block.language == language and not block.file]
