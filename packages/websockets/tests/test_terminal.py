"""The line editor, key by key. What a real terminal makes of it is for the integration tests."""

import pytest

from websockets._terminal import LineEditor, count_columns

LEFT, RIGHT, UP, DOWN = b"\x1b[D", b"\x1b[C", b"\x1b[A", b"\x1b[B"
HOME, END, DELETE = b"\x1b[H", b"\x1b[F", b"\x1b[3~"


@pytest.fixture
def editor():
    return LineEditor("> ")


def shown(editor, columns=80):
    """Return the text of the row, with | for the cursor."""
    row = editor.draw(columns)
    assert row.startswith("\r\x1b[K")
    text, _, move = row.removeprefix("\r\x1b[K").partition("\r")
    cursor = int(move[2:-1]) if move else 0
    assert move in ("", f"\x1b[{cursor}C")
    # Only for text in which each character has one column.
    return f"{text[:cursor]}|{text[cursor:]}"


def test_enter_gives_the_line_and_starts_a_new_one(editor):
    assert editor.feed(b"hello") == []
    assert shown(editor) == "> hello|"
    assert editor.feed(b"\n") == ["hello"]
    assert shown(editor) == "> |"


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_several_lines_at_once_are_several_lines(editor, end):
    assert editor.feed(b"a" + end + b"b" + end + b"c") == ["a", "b"]
    assert shown(editor) == "> c|"


def test_what_is_pasted_is_inserted_at_once(editor, monkeypatch):
    inserted = []
    replace = LineEditor._replace

    def count(editor, start, end, text):
        inserted.append(text)
        replace(editor, start, end, text)

    monkeypatch.setattr(LineEditor, "_replace", count)
    text = "café " * 1000
    assert editor.feed(b"ab" + LEFT + text.encode() + b"\t\n") == [f"a{text}b"]
    assert inserted == ["ab", text]


def test_empty_line_is_a_line(editor):
    assert editor.feed(b"\n") == [""]


@pytest.mark.parametrize(
    "keys, row",
    [
        (LEFT, "> abc de|f"),
        (LEFT * 9, "> |abc def"),
        (LEFT + RIGHT, "> abc def|"),
        (LEFT + RIGHT * 2, "> abc def|"),
        (b"\x1bOD", "> abc de|f"),
        (HOME, "> |abc def"),
        (b"\x01" + END, "> abc def|"),
        (b"\x01\x05", "> abc def|"),
        (b"\x7f", "> abc de|"),
        (HOME + b"\x7f", "> |abc def"),
        (LEFT + b"\x7f", "> abc d|f"),
        (HOME + DELETE, "> |bc def"),
        (HOME + b"\x04", "> |bc def"),
        (DELETE, "> abc def|"),
        (LEFT + b"\x15", "> |f"),
        (LEFT * 3 + b"\x0b", "> abc |"),
        (b"\x17", "> abc |"),
        (b"\x17\x17", "> |"),
        (b"  \x17", "> abc |"),
        (LEFT + b"\x17", "> abc |f"),
        (LEFT + b"X", "> abc deX|f"),
        # Keys that do nothing: F5, alt and a letter, Ctrl-T, a sequence with a letter in it that
        # no terminal sends.
        (b"\x1b[15~", "> abc def|"),
        (b"\x1bx", "> abc def|"),
        (b"\x14", "> abc def|"),
        (b"\x1b[1\xc3\xa9", "> abc def|"),
    ],
)
def test_keys_edit_the_line(editor, keys, row):
    editor.feed(b"abc def" + keys)
    assert shown(editor) == row


def test_keys_may_come_in_pieces(editor):
    for byte in "é€😀".encode() + b"ab" + LEFT + b"\x1bOD" + DELETE:
        assert editor.feed(bytes([byte])) == []
    assert editor.feed(b"\n") == ["é€😀b"]


def test_what_is_not_utf8_is_replaced(editor):
    assert editor.feed(b"a\xffb\n") == ["a\N{REPLACEMENT CHARACTER}b"]


def test_earlier_lines_come_back(editor):
    editor.feed(b"first\nsecond\nsecond\n\n")
    rows = []
    for key in [UP, UP, UP, DOWN, DOWN, DOWN]:
        editor.feed(key)
        rows.append(shown(editor))
    expected = ["> second|", "> first|", "> first|", "> second|", "> |", "> |"]
    assert rows == expected


def test_line_that_is_being_typed_is_there_after_a_look_at_earlier_ones(editor):
    editor.feed(b"first\ndraft" + UP)
    assert shown(editor) == "> first|"
    editor.feed(DOWN)
    assert shown(editor) == "> draft|"


def test_earlier_line_can_be_sent_again(editor):
    editor.feed(b"first\nsecond\n")
    assert editor.feed(UP + UP + b"\n") == ["first"]
    editor.feed(UP)
    assert shown(editor) == "> first|"


def test_ctrl_d_on_an_empty_line_is_the_end(editor):
    assert editor.feed(b"a\n\x04b\n") == ["a"]
    assert editor.ended


def test_ctrl_d_in_a_line_is_not(editor):
    editor.feed(b"ab\x01\x04")
    assert not editor.ended


@pytest.mark.parametrize(
    "keys, row",
    [
        (b"", "> 345678|"),
        (LEFT * 3, "> 012345|"),
        (LEFT * 7, "> 01|2345"),
        (HOME, "> |012345"),
    ],
)
def test_of_a_long_line_the_part_around_the_cursor_is_shown(editor, keys, row):
    editor.feed(b"012345678" + keys)
    # One column is for the cursor at the end.
    assert shown(editor, columns=9) == row


def test_row_has_no_more_columns_than_the_terminal(editor):
    editor.feed("日本語テキスト".encode())
    assert editor.draw(9) == "\r\x1b[K> キスト\r\x1b[8C"
    editor.feed(LEFT * 7)
    assert editor.draw(9) == "\r\x1b[K> 日本語\r\x1b[2C"


def test_row_without_prompt_and_text_moves_nothing():
    assert LineEditor("").draw(80) == "\r\x1b[K\r"


def test_narrow_terminal_shows_a_character(editor):
    editor.feed(b"abc")
    assert shown(editor, columns=1) == "> c|"


@pytest.mark.parametrize(
    "text, columns",
    [("", 0), ("abc", 3), ("日本", 4), ("e\N{COMBINING ACUTE ACCENT}", 1), ("é", 1)],
)
def test_columns_are_counted_as_terminals_do(text, columns):
    assert count_columns(text) == columns
