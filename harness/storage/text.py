"""Text files of users: UTF-8 with or without a byte-order mark; any other encoding is named, with the way out of it."""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Callable
from pathlib import Path

_MARKS = (
    # UTF-32 first: the little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_AROUND = 20
"""Bytes before and behind the first wrong one that a message shows."""


def line_of(before: str) -> str:
    """The place that follows this beginning of a file, in words: its line, from 1."""
    return f"line {before.count(chr(10)) + 1}"


def read_text(path: Path, place: Callable[[str], str] = line_of) -> str:
    """The text of a UTF-8 file, line ends as they stand, without a byte-order mark.

    Args:
        place: what to call the place that follows a beginning of the file, for the message: a line, a row, ...

    Raises:
        ValueError: another encoding; names the file, the place of the first wrong byte, and how to convert the file.
    """
    raw = path.read_bytes()
    if wide := next((name for mark, name in _MARKS if raw.startswith(mark)), None) or _wide_without_mark(raw):
        raise ValueError(f"{path}: the file is in {wide}, expected UTF-8. {_way_out(path, wide)}")
    body = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        where = place(body[: error.start].decode("utf-8"))
        near = body[max(0, error.start - _AROUND) : error.start + _AROUND]
        try:
            likely, shown = "perhaps Windows-1252", near.decode("cp1252")
        except UnicodeDecodeError:
            likely, shown = "perhaps no text at all", near.decode("latin-1")
        raise ValueError(
            f"{path}, {where}: byte 0x{body[error.start]:02x} is not UTF-8, near {shown!r}; the file's encoding is "
            f"another one, {likely}. {_way_out(path, 'CP1252')}"
        ) from error


def _wide_without_mark(raw: bytes) -> str | None:
    """UTF-16 of mostly Latin letters has a NUL in every other byte, and would pass as UTF-8."""
    beginning = raw[:4096]
    if 4 * beginning.count(0) < len(beginning) or not beginning:
        return None
    return "UTF-16LE" if beginning[1::2].count(0) > beginning[::2].count(0) else "UTF-16BE"


def _way_out(path: Path, encoding: str) -> str:
    file, converted = shlex.quote(str(path)), shlex.quote(f"{path}.utf8")
    return f"Convert it: `iconv -f {encoding} -t UTF-8 {file} > {converted} && mv {converted} {file}`"
