"""Files that are broken in any way: random bytes, and valid files with one byte, line or field changed.

A reader gives its result for each of them, or one ValueError that names the file, soon and in little memory.
`STEREOSCOPE_EXAMPLES` sets how many cases each reader gets.
"""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("STEREOSCOPE_EXAMPLES", "12"))
SECONDS = 20
"""Of CPU time that a case may take; a reader without bounds takes hours."""
MEBIBYTES = 600

Form = Literal["json", "lines", "yaml", "csv", "tsv", "text", "bytes"]
Reader = Callable[[Path], object]


class Raw(NamedTuple):
    """What stands in a file where a value was, as it is written there."""

    text: str


OTHERS: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    7,
    1.5,
    1e308,
    10**30,
    "",
    " ",
    "x",
    "3",
    "nan",
    "\0",
    "\x1b[31m",
    "\u202e",
    "../../x",
    "/etc/passwd",
    "{0.__class__}",
    "%s",
    "é" * 300,
    [],
    {},
    [None],
    ["x"],
    [[1.0, True]],
    {"": ""},
    {"x": {"x": 1}},
    "x" * 200_000,
)
RAW_JSON = (
    "NaN", "-Infinity", "1e999", "9" * 5000, '"\\ud800"', '"\\udc00x"', "[" * 2000, "[" * 300 + "]" * 300, "-", "[1,]",
    '{"a":1,"a":2}',
)  # fmt: skip
RAW_YAML = (
    ".nan", "-.inf", "9" * 5000, ":".join(["59"] * 300), "2020-13-13", "2020-01-01", "0b", "0x", "0o8", "1_", "~",
    "!!int x", "!!float ''", "!!bool x", "!!binary x", "!!set {a, b}", "!!timestamp x",
    "!!python/object/apply:os.system [x]",
    "!unknown x", "&a [*a]", "*nowhere", "{? [a] : b}", "{1: 2}", "{<<: 3}", '"\\U00110000"', "[" * 300, "|",
    "@", "%x",
    "&a [&b [&c [x, x, x, x, x, x, x, x, x], *c, *c, *c, *c, *c, *c, *c, *c], *b, *b, *b, *b, *b, *b, *b, *b, *b]",
    "&a [[[[[[[[[&z [x, x], *z, *z], *z], *z, *z]]]]]]]",
)  # fmt: skip
BYTES = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b'"',
    b"\n",
    b"\r",
    b"\t",
    b",",
    b"{",
    b"]",
    b"\\",
    b" ",
)


def any_file(name: str, content: bytes, form: Form) -> st.SearchStrategy[bytes]:
    """Content of a file like a valid one, `content`; `name` says in a report which it was."""
    byte = st.builds(_byte, st.just(content), st.integers(0, len(content)), st.integers(0, 2), st.sampled_from(BYTES))
    line = st.builds(_line, st.just(content), st.integers(0, content.count(b"\n")), st.integers(0, 3))
    ways = [byte, line, st.binary(max_size=200), st.just(b"")]
    if form in ("json", "lines", "yaml"):
        tree = _tree(content, form)
        raw = RAW_YAML if form == "yaml" else RAW_JSON
        values = st.sampled_from((*OTHERS, *map(Raw, raw)))
        field = st.builds(_field, st.just(content), st.just(form), st.sampled_from(list(_places(tree))), values)
        ways += [
            field,
            field,
            field,
            st.builds(_gone, st.just(content), st.just(form), st.sampled_from(list(_places(tree)))),
        ]
    if form in ("csv", "tsv"):
        rows = list(_rows(content, form))
        cell = st.tuples(st.integers(0, len(rows) - 1), st.integers(0, len(rows[0])))
        texts = [value for value in OTHERS if isinstance(value, str)]
        ways += [st.builds(_cell, st.just(content), st.just(form), cell, st.sampled_from([None, *texts]))] * 3
    return st.one_of(*ways)


def holds(read: Reader, file: Path, content: bytes) -> str:
    """Read a file of this content; what came of it, "read" or the message.

    Raises:
        AssertionError: an error that names no file, or of another kind; or too long, or too much memory.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused: ValueError | None = None
    try:
        read(file)
    except ValueError as error:
        refused = error
    told = "read" if refused is None else str(refused)
    if refused is not None:
        assert type(refused) is ValueError, f"{type(refused).__name__}: {told}"
        assert file.name in told, f"names no file: {told}"
        assert len(told) < 5000, f"a message of {len(told)} characters"
    assert time.process_time() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEBIBYTES * 1024
    return told


def check_any(read: Reader, file: Path, valid: bytes, form: Form, share: float = 1.0) -> None:
    """The property for one reader: the valid file is read, and no other one is more than one ValueError.

    Args:
        share: of `EXAMPLES` that the reader gets, below 1 for one that takes long.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(valid)
    read(file)  # whose imports take their time once

    @settings(
        max_examples=max(4, round(EXAMPLES * share)),
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(any_file(file.name, valid, form))
    def property_of(content: bytes) -> None:
        holds(read, file, content)

    property_of()


def _byte(content: bytes, at: int, way: int, other: bytes) -> bytes:
    if way == 0:
        return content[:at] + other + content[at:]
    return content[:at] + (other if way == 1 else b"") + content[at + 1 :]


def _line(content: bytes, at: int, way: int) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    at = min(at, len(lines) - 1)
    new = {0: b"", 1: lines[at] * 2, 2: lines[at][: len(lines[at]) // 2], 3: lines[at].rstrip(b"\n")}[way]
    return b"".join([*lines[:at], new, *lines[at + 1 :]])


@cache
def _tree(content: bytes, form: Form) -> Any:
    """The valid file parsed, once; nothing changes it."""
    if form == "lines":
        return [json.loads(line) for line in content.splitlines()]
    return json.loads(content) if form == "json" else yaml.safe_load(content)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a tree, the top first; of long lists the first and last three."""
    yield place
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys if len(keys) < 40 else [*keys[:3], *keys[-3:]]:
        yield from _places(value[key], (*place, key))


def _field(content: bytes, form: Form, place: tuple[Any, ...], other: object) -> bytes:
    """The value at a place replaced."""
    mark = "PUT-HERE-7f3a"
    text = _written(_replaced(_tree(content, form), place, mark), form)
    told = other.text if isinstance(other, Raw) else json.dumps(other)
    return text.replace(f'"{mark}"' if form != "yaml" else mark, told).encode("utf-8", "surrogatepass")


def _gone(content: bytes, form: Form, place: tuple[Any, ...]) -> bytes:
    return _written(_removed(_tree(content, form), place), form).encode() if place else b""


def _written(tree: Any, form: Form) -> str:
    if form == "lines" and isinstance(tree, list):
        return "".join(json.dumps(line) + "\n" for line in tree)
    return yaml.safe_dump(tree, sort_keys=False) if form == "yaml" else json.dumps(tree)


def _replaced(value: Any, place: tuple[Any, ...], other: object) -> Any:
    if not place:
        return other
    first, *rest = place
    items = value.items() if isinstance(value, dict) else enumerate(value)
    new = {key: _replaced(item, tuple(rest), other) if key == first else item for key, item in items}
    return new if isinstance(value, dict) else list(new.values())


def _removed(value: Any, place: tuple[Any, ...]) -> Any:
    first, *rest = place
    items = value.items() if isinstance(value, dict) else enumerate(value)
    new = {key: _removed(item, tuple(rest)) if key == first else item for key, item in items if rest or key != first}
    return new if isinstance(value, dict) else list(new.values())


def _rows(content: bytes, form: Form) -> Iterator[list[str]]:
    text = io.StringIO(content.decode(), newline="")
    yield from (
        csv.reader(text, csv.excel)
        if form == "csv"
        else (line.rstrip("\r\n").split("\t") for line in text if line.strip())
    )


def _cell(content: bytes, form: Form, cell: tuple[int, int], other: str | None) -> bytes:
    """One field of a table replaced, or taken out where `other` is None; behind the last one it is added."""
    rows = list(_rows(content, form))
    row, column = cell
    rows[row][column : column + 1] = [] if other is None else [other]
    if form == "tsv":
        return "".join("\t".join(one) + "\n" for one in rows).encode()
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode("utf-8", "surrogatepass")
