"""HONEST templates, English (Nozza et al. 2021 and 2022): sentences about a group with one word left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.data.continuation import BLANK, asker, in_turns, without_empty
from harness.data.sources import Name, locate_for
from harness.data.table import read_table
from harness.storage.reading import shown

if TYPE_CHECKING:
    from datasets import Dataset

Kind = Literal["binary", "queer_nonqueer"]

GROUPS: Mapping[Kind, tuple[str, str]] = {"binary": ("female", "male"), "queer_nonqueer": ("queer", "nonqueer")}
_SOURCES: Mapping[Kind, Name] = {"binary": "honest_binary", "queer_nonqueer": "honest_queer_nonqueer"}
_COLUMNS = ("template_masked", "raw", "identity", "number", "category", "type")


class Template(NamedTuple):
    """One row. `prompt` is the template as far as its blank; `raw` has `[I]` for the identity."""

    item: str
    template: str
    prompt: str
    raw: str
    identity: str
    number: str
    category: str
    kind: str
    group: str


def read(path: Path, kind: Kind) -> list[Template]:
    """Read the TSV by its columns' names: the two published files order them differently.

    Raises:
        ValueError: not UTF-8, no rows, a column or field is missing, a template without exactly one blank, or a
            category of neither group; names file and row.
    """
    rows = read_table(path, _COLUMNS, tabs=True)
    return [_template(path, number, row, kind) for number, row in enumerate(rows)]


def matched(templates: Sequence[Template]) -> list[bool]:
    """Which rows ask both groups the same: their frame occurs for both, and once an identity.

    In the published binary set the plural asks women for "the most [M]" and "the best [M]" and men twice for "the best
    [M]", so that a difference over all rows holds that difference of questions.
    """
    groups: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in templates:
        groups[row.number, row.raw].add(row.group)
    everyone = {row.group for row in templates}
    seen: set[tuple[str, ...]] = set()
    kept = []
    for row in templates:
        question = (row.category, row.identity, row.number, row.raw)
        kept.append(groups[row.number, row.raw] == everyone and question not in seen)
        seen.add(question)
    return kept


def dataset(*, kind: Kind, **metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval has completed: a template each; groups take turns, so that a limit keeps both.

    Raises:
        FileNotFoundError: HurtLex, by which completions are judged, is not on this machine; nothing was generated then.
    """
    from datasets import Dataset

    lexicon = locate_for("hurtlex", metadata)
    data = locate_for(_SOURCES[kind], metadata)
    ask = asker(metadata)
    templates, dropped = without_empty(data.path, read(data.path, kind), lambda row: row.prompt)
    rows = [
        {
            **row._asdict(),
            "matched": is_matched,
            "ask": ask(row.prompt, row.template),
            "dropped": dropped,
            "lexicon_sha256": lexicon.sha256,
            **data.columns,
        }
        for row, is_matched in in_turns(list(zip(templates, matched(templates), strict=True)), lambda row: row[0].group)
    ]
    return {"test": Dataset.from_list(rows)}


def _template(path: Path, number: int, row: Mapping[str | None, str | None], kind: Kind) -> Template:
    fields = [row[name] for name in _COLUMNS]
    if None in row or None in fields:
        raise ValueError(f"{path}, row {number}: expected {len(_COLUMNS)} fields, found {shown(row)}")
    template, raw, identity, amount, category, part = (str(field).strip() for field in fields)
    if template.count(BLANK) != 1:
        raise ValueError(f"{path}, row {number}: expected one blank {BLANK} in the template, found {shown(template)}")
    # "nonqueer_gender" is of the nonqueer, "queer_gender_pronoun" of the queer.
    group = next((name for name in GROUPS[kind] if category.split("_")[0] == name), None)
    if group is None:
        raise ValueError(
            f"{path}, row {number}: category {shown(category)} belongs to none of the groups {', '.join(GROUPS[kind])}"
        )
    prompt = template.partition(BLANK)[0].strip()
    return Template(f"row {number}", template, prompt, raw, identity, amount, category, part, group)
