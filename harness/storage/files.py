"""Files that are either whole or not there, digests of them, and YAML that knows its line numbers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

import yaml

from harness.storage.reading import parse_yaml, yaml_node
from harness.storage.text import read_text

_PLAIN = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))
"""Tags of values: those that JSON has too. A date in quotation marks is a text."""
_KEYS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
"""Tags of a mapping's keys: JSON, into which settings go, has texts alone."""


def atomic_write(path: Path, chunks: str | Iterable[str]) -> None:
    """Write text to `path` so that the file is either the old one or the complete new one, whatever happens."""
    with _replacing(path) as file:
        file.writelines(chunk.encode() for chunk in ([chunks] if isinstance(chunks, str) else chunks))


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """The same of bytes."""
    with _replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Inside, a file beside `path`, which takes its place once all is on the disk, and is gone if not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - takes the descriptor
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def require_writable(folder: Path, setting: str = "output_dir") -> None:
    """Make the folder, and write a block of 4 KiB into it and away again.

    Args:
        setting: what named the folder, for the message.

    Raises:
        OSError: the folder cannot be made or written, or the disk is full; names the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        why = f"{setting} {folder} cannot be written ({error.strerror}); give another, or make room"
        raise OSError(error.errno, why) from error


def looked_in(*folders: Path) -> str:
    """Folders in words, and the working folder with them, for the message of what is in none of them."""
    return "in " + " or ".join(dict.fromkeys(str(folder.resolve()) for folder in (*folders, Path())))


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes; a file that has not changed since is read once in a process's life."""
    status = path.stat()
    return _sha256_file(path.resolve(), status.st_size, status.st_mtime_ns)


@cache
def _sha256_file(path: Path, size: int, modified: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str | int, ...], int]]:
    """A YAML mapping and the line, from 1, of each of its keys and list items, by path from the top.

    Raises:
        ValueError: not UTF-8, not YAML, not a mapping, a key that is no text or stands twice in one mapping, or a value
            that JSON does not have (a date, a set, bytes); names file and line.
    """
    text = read_text(path)
    node = yaml_node(text, str(path))
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"{path}: expected a mapping of keys to values at the top")
    _require_plain(node, str(path), "the whole file")
    lines: dict[tuple[str | int, ...], int] = {}
    for place, line in _lines(node, str(path)):
        if place in lines:
            raise ValueError(f"{path}, line {line}: {place[-1]!r} stands on line {lines[place]} already")
        lines[place] = line
    loaded: dict[str, Any] = parse_yaml(text, str(path))
    return loaded, lines


def _lines(
    node: yaml.Node, source: str, place: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag not in _KEYS:
                told = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise ValueError(f"{source}, line {line}: the key {told} is no text; put it in quotation marks")
            _require_plain(value, source, key.value)
            yield (*place, key.value), line
            yield from _lines(value, source, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _require_plain(value, source, str(index))
            yield (*place, index), value.start_mark.line + 1
            yield from _lines(value, source, (*place, index))


def _require_plain(value: yaml.Node, source: str, key: str) -> None:
    if value.tag not in _PLAIN:
        kind = value.tag.rpartition(":")[2]
        raise ValueError(
            f"{source}, line {value.start_mark.line + 1}: {key} is a {kind} of YAML, expected a text, number, list, "
            "mapping, true or false; put it in quotation marks if it is meant as text"
        )
