"""StereoSet (Nadeem et al. 2021, arXiv 2004.09456): a context and three ways on, one a stereotype, one against it."""

from __future__ import annotations

import string
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from harness.data.families import Family
from harness.data.infill import infill_blank, require_sentinels
from harness.data.sources import locate_for
from harness.data.tokens import columns, load_tokenizer, load_tokens
from harness.storage.reading import brief_name, read_json, shown

if TYPE_CHECKING:
    from datasets import Dataset

Task = Literal["intrasentence", "intersentence"]

TASKS: tuple[Task, ...] = get_args(Task)
BIAS_TYPES = ("gender", "profession", "race", "religion")
LABELS = ("stereotype", "anti-stereotype", "unrelated")
# What stands between context and option of an intersentence item.
DELIMITER = " "
# What stands in an intrasentence item's context for the word that its options fill in.
BLANK = "BLANK"


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
        ValueError: not StereoSet's JSON in UTF-8, no items, or an item lacks a field, names an unknown bias type or
            label, repeats an id, or has not exactly one option a label; names file and item id.
    """
    content = read_json(path)
    tasks = content.get("data") if isinstance(content, dict) else None
    entries = tasks.get(task) if isinstance(tasks, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"{path}: expected a list of items at data.{task}, as in StereoSet's dev.json")
    if not entries:
        raise ValueError(f"{path}: no items at data.{task}; expected one at least")
    items = [_item(path, task, number, entry) for number, entry in enumerate(entries)]
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise ValueError(
                f"{path}, {task} item {brief_name(item.id)}: its id occurs twice; every item needs its own"
            )
        seen.add(item.id)
    return items


def dataset(*, task: Task, **metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval scores: every item of one task, what is asked of the model, and its number of tokens.

    Intrasentence: a causal model is asked for each whole sentence, a masked one for the word in the context's blank, an
    encoder-decoder for the same as infill. Intersentence: for each option after the context, to an encoder-decoder as
    infill after it. The score of an option is its log-probability over `tokens_*`; the published score of a masked
    model's word is a mean already, so that its count is 1.
    """
    from datasets import Dataset

    data = locate_for("stereoset", metadata)
    items = read(data.path, task)
    tokens = load_tokens(metadata, f"stereoset_{task}", ("causal", "masked", "seq2seq"))
    mask = ""
    if tokens.family != "causal":
        tokenizer = load_tokenizer(metadata)
        if tokens.family == "masked":
            mask = str(tokenizer.mask_token)
        else:
            require_sentinels(tokenizer, f"stereoset_{task}")
    rows = []
    for item in items:
        query, answers = _asked(path=data.path, item=item, family=tokens.family, mask=mask)
        word = tokens.family == "masked" and task == "intrasentence"
        counts = [1 if word else tokens.count(query, answer) for answer in answers]
        rows.append(
            {
                **asdict(item),
                "query": query,
                "answers": answers,
                **dict(zip(("tokens_stereotype", "tokens_anti_stereotype", "tokens_unrelated"), counts, strict=True)),
                **columns(tokens),
                **data.columns,
            }
        )
    return {"test": Dataset.from_list(rows)}


def fill_of(context: str, sentence: str) -> str:
    """The word that stands in a sentence where its context has the blank, without punctuation: the authors' own rule.

    Raises:
        ValueError: the context has no blank, or the sentence no word there.
    """
    places = [place for place, word in enumerate(context.split(" ")) if BLANK in word]
    words = sentence.split(" ")
    if not places or places[-1] >= len(words):
        raise ValueError(f"no word of {shown(sentence)} stands where {shown(context)} has its {BLANK}")
    word = words[places[-1]].translate(str.maketrans("", "", string.punctuation))
    if not word:
        raise ValueError(f"the word of {shown(sentence)} where {shown(context)} has its {BLANK} is only punctuation")
    return word


def _asked(path: Path, item: Item, family: Family, mask: str) -> tuple[str, list[str]]:
    """The context, and a continuation an option: stereotype, anti-stereotype, unrelated."""
    options = [item.stereotype, item.anti_stereotype, item.unrelated]
    if item.task == "intersentence":
        if family == "seq2seq":
            infill = infill_blank(item.context + DELIMITER + BLANK, BLANK, options)
            return infill.template, list(infill.spans)
        return item.context, [DELIMITER + option for option in options]
    if family == "causal":
        return "", options
    try:
        fills = [fill_of(item.context, option) for option in options]
    except ValueError as error:
        raise ValueError(f"{path}, {item.task} item {brief_name(item.id)}: {error}") from error
    if family == "masked":
        return item.context.replace(BLANK, mask), fills
    infill = infill_blank(item.context, BLANK, fills)
    return infill.template, list(infill.spans)


def _item(path: Path, task: Task, number: int, entry: object) -> Item:
    where = f"{path}, {task} item {number}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: expected an object, found {shown(entry)}")
    if isinstance(entry.get("id"), str):
        where = f"{path}, {task} item {brief_name(entry['id'])}"

    def text(owner: dict[str, object], name: str) -> str:
        value = owner.get(name)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{where}: field {name!r} is missing, empty or no text, found {shown(value)}")
        return value

    bias_type = text(entry, "bias_type")
    if bias_type not in BIAS_TYPES:
        raise ValueError(f"{where}: bias_type is {shown(bias_type)}, expected one of {', '.join(BIAS_TYPES)}")
    options = entry.get("sentences")
    if not isinstance(options, list) or not all(isinstance(option, dict) for option in options):
        raise ValueError(f"{where}: field 'sentences' is not a list of options")
    labels = [text(option, "gold_label") for option in options]
    if sorted(labels) != sorted(LABELS):
        raise ValueError(f"{where}: expected exactly one option of each label {LABELS}, found {shown(tuple(labels))}")
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
