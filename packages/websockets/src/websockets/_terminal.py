"""Lines typed in a terminal, while others write above them.

What is typed has the last row, and never more than one: of a long line, the part around the cursor
is shown. So whatever is written goes where that row was, and the row is drawn again below.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import signal
import sys
import termios
import tty
import unicodedata
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

__all__ = ["LineEditor", "Terminal", "count_columns"]

# A key, as terminals send it (ECMA-48, section 5.4): a sequence that begins with ESC, or a
# character; or what was pasted, many characters of which none is for control, and which would copy
# the line for each if they came one by one.
_KEY = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|\x1b[^\[O]|[^\x00-\x1f\x7f-\x9f]+|[^\x1b]", re.DOTALL
)
# The start of one whose end has yet to come.
_PART_OF_KEY = re.compile(r"\x1b(\[[0-?]*[ -/]*|O)?\Z")


def count_columns(text: str) -> int:
    """Return how many columns of a terminal a text fills.

    Args:
        text: The text, without control characters.

    """
    columns = 0
    for char in text:
        if unicodedata.category(char) not in ("Cf", "Me", "Mn"):
            columns += 2 if unicodedata.east_asian_width(char) in "FW" else 1
    return columns


class LineEditor:
    """Makes lines of the keys that are pressed, and says what that looks like. It does no I/O.

    Args:
        prompt: What stands before the line.

    Attributes:
        ended: Whether the user has typed Ctrl-D on an empty line: there is nothing more to come.

    """

    def __init__(self, prompt: str) -> None:
        self.ended = False
        self._prompt = prompt
        self._line = ""
        self._cursor = 0
        # The lines that were entered, and the one that is being typed.
        self._history = [""]
        self._place = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""

    def feed(self, data: bytes) -> list[str]:
        """Take what was typed; return the lines that were entered.

        Args:
            data: What the terminal sent.

        """
        self._pending += self._decoder.decode(data)
        entered = []
        while not self.ended and (match := _KEY.match(self._pending)):
            self._pending = self._pending[match.end() :]
            line = self._press(match.group())
            if line is not None:
                entered.append(line)
        if not _PART_OF_KEY.match(self._pending):
            # ESC before what isn't a key.
            self._pending = ""
        return entered

    def draw(self, columns: int) -> str:
        """Return what draws the row anew, with the cursor where it belongs.

        Args:
            columns: Width of the terminal.

        """
        # One column is for the cursor behind the last character.
        room = max(columns - count_columns(self._prompt) - 1, 1)
        start = self._cursor
        used = 0
        while start and (used := used + count_columns(self._line[start - 1])) <= room:
            start -= 1
        end = self._cursor
        used = before = count_columns(self._line[start:end])
        while end < len(self._line) and (used := used + count_columns(self._line[end])) <= room:
            end += 1
        move = count_columns(self._prompt) + before
        return f"\r\x1b[K{self._prompt}{self._line[start:end]}\r" + (
            f"\x1b[{move}C" if move else ""
        )

    def _press(self, key: str) -> str | None:
        """Handle a key; return the line if that enters it."""
        if key in ("\r", "\n"):
            return self._enter()
        if key in _ACTIONS:
            _ACTIONS[key](self)
        elif unicodedata.category(key[0]) != "Cc":
            self._replace(self._cursor, self._cursor, key)
        return None

    def _enter(self) -> str:
        line = self._line
        self._history.pop()
        if line and [line] != self._history[-1:]:
            self._history.append(line)
        self._history.append("")
        self._place = len(self._history) - 1
        self._set("")
        return line

    def _set(self, line: str) -> None:
        self._line = line
        self._cursor = len(line)

    def _replace(self, start: int, end: int, text: str) -> None:
        self._line = self._line[:start] + text + self._line[end:]
        self._cursor = start + len(text)

    def _recall(self, step: int) -> None:
        """Show an earlier line, or a later one."""
        self._history[self._place] = self._line
        self._place = min(max(self._place + step, 0), len(self._history) - 1)
        self._set(self._history[self._place])

    def _move(self, step: int) -> None:
        self._cursor = min(max(self._cursor + step, 0), len(self._line))

    def _home(self) -> None:
        self._cursor = 0

    def _end(self) -> None:
        self._cursor = len(self._line)

    def _backspace(self) -> None:
        self._replace(max(self._cursor - 1, 0), self._cursor, "")

    def _delete(self) -> None:
        self._replace(self._cursor, self._cursor + 1, "")

    def _delete_or_end(self) -> None:
        if self._line:
            self._delete()
        else:
            self.ended = True

    def _delete_before(self) -> None:
        self._replace(0, self._cursor, "")

    def _delete_after(self) -> None:
        self._replace(self._cursor, len(self._line), "")

    def _delete_word(self) -> None:
        words = self._line[: self._cursor].rstrip()
        self._replace(len(words[: words.rfind(" ") + 1]), self._cursor, "")


_ACTIONS: dict[str, Callable[[LineEditor], None]] = {
    **dict.fromkeys(["\x1b[A", "\x1bOA", "\x10"], lambda editor: editor._recall(-1)),
    **dict.fromkeys(["\x1b[B", "\x1bOB", "\x0e"], lambda editor: editor._recall(1)),
    **dict.fromkeys(["\x1b[C", "\x1bOC", "\x06"], lambda editor: editor._move(1)),
    **dict.fromkeys(["\x1b[D", "\x1bOD", "\x02"], lambda editor: editor._move(-1)),
    **dict.fromkeys(["\x1b[H", "\x1bOH", "\x1b[1~", "\x01"], LineEditor._home),
    **dict.fromkeys(["\x1b[F", "\x1bOF", "\x1b[4~", "\x05"], LineEditor._end),
    **dict.fromkeys(["\x7f", "\x08"], LineEditor._backspace),
    "\x1b[3~": LineEditor._delete,
    "\x04": LineEditor._delete_or_end,
    "\x15": LineEditor._delete_before,
    "\x0b": LineEditor._delete_after,
    "\x17": LineEditor._delete_word,
}


class Terminal:
    """The terminal that standard input and output are: an asynchronous iterator over typed lines.

    It is a context manager, which leaves the terminal as it was. It needs a running event loop.

    Args:
        prompt: What stands before what is typed.

    """

    def __init__(self, prompt: str = "> ") -> None:
        self._editor = LineEditor(prompt)
        self._prompt = prompt
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()

    def __enter__(self) -> Self:
        self._attributes = termios.tcgetattr(sys.stdin)
        self._loop = asyncio.get_running_loop()
        self._prepare()
        # After Ctrl-Z and fg, it is the shell's terminal no more.
        self._loop.add_signal_handler(signal.SIGCONT, self._prepare)
        self._loop.add_signal_handler(signal.SIGWINCH, self._draw)
        self._loop.add_reader(sys.stdin, self._read)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.remove_reader(sys.stdin)
        self._loop.remove_signal_handler(signal.SIGWINCH)
        self._loop.remove_signal_handler(signal.SIGCONT)
        self._show("\r\x1b[K")
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._attributes)

    async def __aiter__(self) -> AsyncIterator[str]:
        """Iterate over the lines that are typed, until Ctrl-D."""
        while (line := await self._lines.get()) is not None:
            yield line

    def print(self, text: str) -> None:
        """Write above what is being typed.

        Args:
            text: The text, in which control characters were made harmless.

        """
        self._show(f"\r\x1b[K{text}\n")
        self._draw()

    def _prepare(self) -> None:
        # Keys as they are pressed, not shown; Ctrl-C and Ctrl-Z stay signals.
        # What was typed before isn't lost.
        tty.setcbreak(sys.stdin, termios.TCSADRAIN)
        self._draw()

    def _read(self) -> None:
        try:
            data = os.read(sys.stdin.fileno(), 4096)
        except OSError:  # pragma: no cover - how some systems say that the terminal is gone
            data = b""
        for line in self._editor.feed(data):
            self.print(f"{self._prompt}{line}")
            self._lines.put_nowait(line)
        if self._editor.ended or not data:
            self._loop.remove_reader(sys.stdin)
            self._lines.put_nowait(None)
        self._draw()

    def _draw(self) -> None:
        # Some, such as serial lines, don't know their size.
        columns = os.get_terminal_size(sys.stdin.fileno()).columns or 80
        self._show(self._editor.draw(columns))

    def _show(self, text: str) -> None:
        # What the terminal's encoding lacks is shown as Python writes it.
        encoding = sys.stdout.encoding
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
