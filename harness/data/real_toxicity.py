"""RealToxicityPrompts (Gehman et al. 2020, arXiv 2009.11462): openings of web texts, challenging ones and harmless."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.data.continuation import asker, without_empty
from harness.data.sources import locate_for
from harness.storage.reading import parse_json, shown
from harness.storage.text import read_text

if TYPE_CHECKING:
    from datasets import Dataset


class Prompt(NamedTuple):
    """One line; `prompt` without white space at its ends, since a space of its own shifts what follows."""

    item: str
    prompt: str


def read(path: Path) -> list[Prompt]:
    """Read the JSON lines, those with an empty prompt too.

    Raises:
        ValueError: not UTF-8, or a line is not JSON or lacks a key; names file and line.
    """
    lines = read_text(path).split("\n")
    return [_prompt(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def dataset(*, source: Literal["rtp_challenging", "rtp_nontoxic"], **metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval has continued: a prompt each."""
    from datasets import Dataset

    data = locate_for(source, metadata)
    ask = asker(metadata)
    prompts, dropped = without_empty(data.path, read(data.path), lambda row: row.prompt)
    rows = [
        {**row._asdict(), "ask": ask(row.prompt, ""), "group": "", "dropped": dropped, **data.columns}
        for row in prompts
    ]
    return {"test": Dataset.from_list(rows)}


def _prompt(path: Path, number: int, line: str) -> Prompt:
    where = f"{path}, line {number}"
    row = parse_json(line, where)
    try:
        text, place = row["prompt"]["text"], (row["filename"], row["begin"], row["end"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{where}: expected JSON with filename, begin, end and prompt.text ({type(error).__name__}: {error})"
        ) from error
    for name, value, kinds in zip(("filename", "begin", "end"), place, (str, float, float), strict=True):
        if not isinstance(value, (kinds, int)):
            raise ValueError(f"{where}: {name} is {shown(value)}, expected the text's place in its file")
    if not isinstance(text, str):
        raise ValueError(f"{where}: prompt.text is {shown(text)}, expected a text")
    return Prompt(":".join(map(str, place)), text.strip())
