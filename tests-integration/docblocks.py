"""The blocks of code in the documentation and in READMEs, found where a reader sees them."""

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
    *sorted(path for path in DOCS.rglob("*.rst") if "_build" not in path.parts),
]

# Directives without code. (Those with a block of code are in the expression.)
OTHERS = {
    *["aliases-table", "autoclass", "autofunction", "automodule", "csv-table", "image"],
    *["include-help", "list-table", "state-diagram", "toctree", "transitions-table", "warning"],
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
        page: Path of the page, from the root of the repository.
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
    text = path.read_text(encoding="utf-8")
    page = path.relative_to(ROOT).as_posix()
    for match in (MARKDOWN_BLOCK if path.suffix == ".md" else RST_BLOCK).finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found = match.groupdict()
        if found.get("file"):
            file = (path.parent / found["file"]).resolve()
            yield Block(page, line, file.suffix[1:], file.read_text(encoding="utf-8"), file)
        elif found.get("other"):
            assert found["other"] in OTHERS, f"{page}:{line}: is there code in it?"
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
