"""StereoSet (Nadeem et al. 2021, arXiv 2004.09456): a context and three ways on, one a stereotype, one against it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from harness.data.sources import locate_for
from harness.data.tokens import Tokens

if TYPE_CHECKING:
    from datasets import Dataset

Task = Literal["intrasentence", "intersentence"]

TASKS: tuple[Task, ...] = get_args(Task)
BIAS_TYPES = ("gender", "profession", "race", "religion")
LABELS = ("stereotype", "anti-stereotype", "unrelated")
# What stands between context and option of an intersentence item.
DELIMITER = " "


@dataclass(frozen=True)
class Item:
    """One item. The options are the sentences as the file gives them: for intrasentence the whole filled sentence.

    `target` is kept as it is spelled ("Norweigan"), since scores are averaged over target terms.
    """

    id: str
    task: Task
    target: str
    bias_type: str
    context: str
    stereotype: str
    anti_stereotype: str
    unrelated: str


def read(path: Path, task: Task) -> list[Item]:
    """Read one task's items, in the order of the file. Keys that are not needed (annotators' labels) are passed over.

    Raises:
        ValueError: not StereoSet's JSON, or an item lacks a field, names an unknown bias type or label, repeats an id,
            or has not exactly one option a label; names file and item id.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON in UTF-8 ({error})") from error
    tasks = content.get("data") if isinstance(content, dict) else None
    entries = tasks.get(task) if isinstance(tasks, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"{path}: expected a list of items at data.{task}, as in StereoSet's dev.json")
    items = [_item(path, task, number, entry) for number, entry in enumerate(entries)]
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise ValueError(f"{path}, {task} item {item.id}: its id occurs twice; every item needs its own")
        seen.add(item.id)
    return items


def dataset(*, task: Task, **metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval scores: every item of one task, with the token count of each option.

    An intrasentence option is scored alone, after the start token; an intersentence one after its context and a space.
    """
    from datasets import Dataset

    data = locate_for("stereoset", metadata)
    items = read(data.path, task)
    tokens = Tokens.from_metadata(metadata, f"stereoset_{task}")

    def count(item: Item, option: str) -> int:
        return tokens.count("", option) if task == "intrasentence" else tokens.count(item.context, DELIMITER + option)

    rows = [
        {
            **asdict(item),
            "tokens_stereotype": count(item, item.stereotype),
            "tokens_anti_stereotype": count(item, item.anti_stereotype),
            "tokens_unrelated": count(item, item.unrelated),
            **tokens.columns,
            **data.columns,
        }
        for item in items
    ]
    return {"test": Dataset.from_list(rows)}


def _item(path: Path, task: Task, number: int, entry: object) -> Item:
    where = f"{path}, {task} item {number}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, found {entry!r}")
    if isinstance(entry.get("id"), str):
        where = f"{path}, {task} item {entry['id']}"

    def text(owner: dict[str, object], name: str) -> str:
        value = owner.get(name)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{where}: field {name!r} is missing, empty or no text, found {value!r}")
        return value

    bias_type = text(entry, "bias_type")
    if bias_type not in BIAS_TYPES:
        raise ValueError(f"{where}: bias_type is {bias_type!r}, expected one of {', '.join(BIAS_TYPES)}")
    options = entry.get("sentences")
    if not isinstance(options, list) or not all(isinstance(option, dict) for option in options):
        raise ValueError(f"{where}: field 'sentences' is not a list of options")
    labels = [text(option, "gold_label") for option in options]
    if sorted(labels) != sorted(LABELS):
        raise ValueError(f"{where}: expected exactly one option of each label {LABELS}, found {tuple(labels)}")
    sentence = {label: text(option, "sentence") for label, option in zip(labels, options, strict=True)}
    return Item(
        id=text(entry, "id"),
        task=task,
        target=text(entry, "target"),
        bias_type=bias_type,
        context=text(entry, "context"),
        stereotype=sentence["stereotype"],
        anti_stereotype=sentence["anti-stereotype"],
        unrelated=sentence["unrelated"],
    )
