"""JSON and YAML that others may have written: what cannot be read is one `ValueError` that names the file.

Every reader of such a file goes through here, so that all of them refuse alike what no parser should be handed: nesting
without end, aliases that multiply, numbers of a million digits, halves of characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from harness.storage.text import read_text
from harness.terminal.printable import one_line

DEEPEST = 100
"""Levels of lists and mappings in each other; files of this project have 10 at most."""
LONGEST_YAML = 1 << 18
"""Characters: a YAML file here holds settings."""
MOST_NODES = 50_000
"""Values of a YAML file, each counted as often as its aliases repeat it."""
LONGEST_NUMBER = 400
"""Characters of a number in YAML; the largest double has 309 digits."""
_SHOWN = 60
_TOLD = 300
"""Characters of a value, and of a library's error, that a message shows."""

Record = TypeVar("Record", bound=BaseModel)


def parse_json(text: str, where: str, mend: str = "") -> Any:
    """The value of one JSON text.

    Args:
        where: the file, and the line of it where it has several; begins the message.
        mend: what to do about a broken one; ends the message.

    Raises:
        ValueError: no JSON, nested more than 100 levels deep, a number of thousands of digits, or half a character.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error}){_end(mend)}") from error
    except RecursionError as error:
        raise ValueError(f"{where}: not JSON that anybody wrote: {_nested(mend)}") from error
    except ValueError as error:  # Python's limit on the digits of a whole number
        raise ValueError(f"{where}: a number in it is too long ({error}){_end(mend)}") from error
    _require_shallow(found, where, mend)
    if "\\ud" in text or "\\uD" in text:
        _require_whole_characters(found, where, mend)
    return found


def read_json(path: Path, mend: str = "") -> Any:
    """The value in a JSON file; raises as `parse_json`, and as `read_text` for another encoding than UTF-8."""
    return parse_json(read_text(path), str(path), mend)


def read_object(path: Path, mend: str = "") -> dict[str, Any]:
    """The object in a JSON file; raises as `read_json`, and a `ValueError` for any other value."""
    return require_object(read_json(path, mend), str(path), mend)


def require_object(value: object, where: str, mend: str = "") -> dict[str, Any]:
    """A value that has to be an object of named parts.

    Raises:
        ValueError: it is none; `where` and what was found begin the message, `mend` ends it.
    """
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object of named parts, found {shown(value)}{_end(mend)}")
    return value


def json_lines(path: Path, mend: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines with their numbers, from 1, one in memory at a time.

    Raises:
        ValueError: a line is not UTF-8, no JSON or no object; names file and line.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            where = f"{path}, line {number}"
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{where}: byte 0x{raw[error.start]:02x} is not UTF-8, expected a line of JSON{_end(mend)}"
                ) from error
            yield number, require_object(parse_json(line, where, mend), where, mend)


def read_record(path: Path, kind: type[Record], mend: str = "") -> Record:
    """A JSON file as the record that it has to be; raises as `read_json` and `parse_record`."""
    return parse_record(read_json(path, mend), kind, str(path), mend)


def parse_record(value: object, kind: type[Record], where: str, mend: str = "") -> Record:
    """A parsed value as a record.

    Raises:
        ValueError: a key is unknown, missing or of another type; names the first such key and what was found there.
    """
    try:
        # Of JSON, so that a list is taken for a tuple, as in a record that was written as JSON.
        return kind.model_validate(value)
    except ValidationError as error:
        raise ValueError(f"{where}{_first(error)}{_end(mend)}") from error


def wrong_settings(model: type[BaseModel], settings: Mapping[str, object], called: str) -> list[tuple[str, str]]:
    """Keys of settings that a user wrote which are not as the model has them, and what is wrong with each.

    Args:
        called: what has these settings, for the message.
    """
    try:
        model.model_validate(dict(settings))
    except ValidationError as error:
        return [_wrong_setting(dict(one), model, called) for one in error.errors()]
    return []


def _wrong_setting(error: Mapping[str, Any], model: type[BaseModel], called: str) -> tuple[str, str]:
    key = str(error["loc"][0]) if error["loc"] else "kind"
    if error["type"] == "extra_forbidden":
        return key, f"unknown key {key!r}; {called} has {', '.join(model.model_fields)}"
    return key, f"key {key!r} is missing" if error["type"] == "missing" else f"{key}: {error['msg']}"


def require_kind(value: object, adapter: TypeAdapter[Any], where: str, mend: str = "") -> None:
    """Hold a value against a type, without any conversion; raises as `parse_record`."""
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise ValueError(f"{where}{_first(error)}{_end(mend)}") from error


def yaml_node(text: str, where: str) -> yaml.Node | None:
    """The tree of a YAML text, None for an empty one, known to be small enough to be walked and constructed.

    Raises:
        ValueError: no YAML, more than 256 Ki characters, nested too deeply, or aliases that make more of it than a
            reader can hold.
    """
    if len(text) > LONGEST_YAML:
        raise ValueError(f"{where}: {len(text):,} characters, expected settings in YAML of {LONGEST_YAML:,} at most")
    try:
        node = yaml.compose(text, Loader=_Shallow)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: not YAML: {str(error)[:_TOLD]}") from error
    except Exception as error:  # PyYAML's scanner lets errors of Python's own through, for an escape \U of no character
        raise ValueError(f"{where}: not YAML: {brief(error)}") from error
    if node is not None:
        _require_small(node, where)
    return node


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text of plain values.

    Raises:
        ValueError: as `yaml_node`, or a tag or a value that YAML does not have.
    """
    node = yaml_node(text, where)
    if node is None:
        return None
    try:
        return yaml.SafeLoader("").construct_document(node)
    except Exception as error:  # of any kind: PyYAML's constructors read `!!int x`, `!!bool y` and 2020-13-13 unguarded
        raise ValueError(
            f"{where}: a value in it is not what its tag says ({type(error).__name__}: {error})"
        ) from error


def shown(value: object) -> str:
    """The beginning of a value for a message; what Python refuses to write out is named by its type."""
    try:
        told = repr(value)
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}..."


class _Shallow(yaml.SafeLoader):
    """Gives up on what is nested too deeply at once: PyYAML's scanner takes seconds for a thousand brackets."""

    level = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.level += 1
        if self.level > DEEPEST:
            raise yaml.YAMLError(_nested())
        try:
            return super().compose_node(parent, index)
        finally:
            self.level -= 1


def brief_name(name: str) -> str:
    """A name that stands in a file, for a message: what a terminal would act on spelled out, the rest cut off."""
    return one_line(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")


def brief(error: Exception) -> str:
    """A library's error for a message: its kind, and the beginning of what it says, on one line."""
    told = " ".join(str(error).split())
    return f"{type(error).__name__}: {told if len(told) <= _TOLD else f'{told[:_TOLD]}...'}"


def _first(error: ValidationError) -> str:
    """`, key a.b: what is wrong`, and how many keys more."""
    first, count = error.errors(include_url=False)[0], error.error_count()
    key = brief_name(".".join(map(str, first["loc"])))
    found = "" if first["type"] == "missing" else f", found {shown(first['input'])}"
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"{f', key {key}' if key else ''}: {first['msg']}{found}{more}"


def _end(mend: str) -> str:
    return f"; {mend}" if mend else ""


def _nested(mend: str = "") -> str:
    return f"lists and mappings nested more than {DEEPEST} levels deep{_end(mend)}"


def _require_shallow(value: object, where: str, mend: str) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEEPEST):
        if not level:
            return
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, (dict, list))
        ]
    if level:
        raise ValueError(f"{where}: {_nested(mend)}")


def _require_whole_characters(value: object, where: str, mend: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"{where}: {half} is half a character, which no text can hold{_end(mend)}") from error


def _require_small(node: yaml.Node, where: str) -> None:
    """Aliases stand for the very node they name, so that a walk meets it as often as they repeat it."""
    level, nodes = [node], 0
    for _ in range(DEEPEST):
        nodes += len(level)
        if nodes > MOST_NODES:
            line = level[0].start_mark.line + 1
            raise ValueError(
                f"{where}, line {line}: more than {MOST_NODES:,} values, those that aliases (*name) repeat counted "
                "each time; write out what is meant"
            )
        level = [child for one in level for child in _children(one, where)]
        if not level:
            return
    raise ValueError(f"{where}: {_nested()}, or an alias (*name) within what it stands for")


def _children(node: yaml.Node, where: str) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif len(node.value) > LONGEST_NUMBER and node.tag.endswith((":int", ":float")):
        raise ValueError(f"{where}, line {node.start_mark.line + 1}: a number of {len(node.value):,} characters")
