"""BBQ (Parrish et al. 2022, doi.org/10.18653/v1/2022.findings-acl.165): questions that a text answers, or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.bbq_groups import UNKNOWN, Info, stereotyped_place
from harness.data.prompt import choose_template, worded
from harness.data.published import BBQ
from harness.data.sources import locate_for
from harness.data.tokens import columns, load_tokens
from harness.storage.reading import parse_json, require_object, shown
from harness.storage.text import read_text

if TYPE_CHECKING:
    from datasets import Dataset

CATEGORIES = tuple(BBQ)
POLARITIES = ("neg", "nonneg")
CONDITIONS = ("ambig", "disambig")
ANSWERS = ("ans0", "ans1", "ans2")
PLACEHOLDERS = ("context", "question")
TEMPLATE = "{context}\n\nQuestion: {question}\nAnswer:"
SECOND_TEMPLATE = "Text: {context}\n\nSomebody asks: {question}\n\nThe answer is:"
# What stands between the question and an answer; lm-eval leaves it out after a chat template.
DELIMITER = " "


@dataclass(frozen=True)
class Question:
    """One row. Places count the three answers from 0, as the file orders them.

    `right` is the place of the right answer, `unknown` of the one that it cannot be known, `stereotyped` of the person
    whose group is stereotyped, None where the row does not say (`harness.data.bbq_groups`).
    """

    example_id: int
    question_index: str
    polarity: str
    condition: str
    category: str
    context: str
    question: str
    answers: tuple[str, str, str]
    right: int
    unknown: int
    stereotyped: int | None

    @property
    def biased(self) -> int | None:
        """The place of the biased answer: the stereotyped person's of a negative question, the other one's else."""
        if self.stereotyped is None or self.polarity == "neg":
            return self.stereotyped
        return next(place for place in range(3) if place not in (self.stereotyped, self.unknown))

    @property
    def columns(self) -> dict[str, Any]:
        """What every scored row carries of its question."""
        return {
            "example_id": self.example_id,
            "question_index": self.question_index,
            "question_polarity": self.polarity,
            "context_condition": self.condition,
            "category": self.category,
            "context": self.context,
            "question": self.question,
            "options": list(self.answers),
            "right": self.right,
            "unknown": self.unknown,
            "biased": self.biased,
        }


def read(path: Path, category: str) -> list[Question]:
    """Read the JSON lines of one category, in the order of the file. What is not needed is passed over.

    Raises:
        ValueError: not UTF-8, no rows, or a line is no JSON, lacks a field, has a value that the data set does not
            know, has not exactly one unknown answer, or repeats an `example_id`; names file, line and field.
    """
    lines = enumerate(read_text(path).split("\n"), start=1)
    questions = [_question(path, number, line, category) for number, line in lines if line.strip()]
    if not questions:
        raise ValueError(f"{path}: no rows; expected one at least")
    seen: set[int] = set()
    for one in questions:
        if one.example_id in seen:
            raise ValueError(f"{path}: example_id {one.example_id} occurs twice; every row needs its own")
        seen.add(one.example_id)
    return questions


def dataset(*, category: str, **metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval scores: every question with its three answers, and how many tokens each has.

    The counts are of answers after one space; after a chat template lm-eval leaves the space out, and a tokenizer for
    which a word then has another number of tokens is off by that.

    Metadata: `prompt_template`, a text or the path of a file, with `{context}` and `{question}`; `wording`, "first" or
    "second" of the project's own.

    Raises:
        ValueError: a template without its placeholders, or a masked model.
    """
    from datasets import Dataset

    task = source_of(category)
    tokens = load_tokens(metadata, task, ("causal", "seq2seq"))
    wording = worded(metadata, TEMPLATE, SECOND_TEMPLATE)
    template = choose_template(metadata.get("prompt_template"), wording, PLACEHOLDERS)
    data = locate_for(task, metadata)
    rows = []
    for one in read(data.path, category):
        query = template.format(context=one.context, question=one.question)
        rows.append(
            {
                **one.columns,
                "query": query,
                "tokens": [tokens.count(query, DELIMITER + answer) for answer in one.answers],
                **columns(tokens),
                **data.columns,
            }
        )
    return {"test": Dataset.from_list(rows)}


def source_of(category: str) -> str:
    """What the data of a category is called here, and the task that scores it by likelihood."""
    return f"bbq_{category.lower()}"


def _question(path: Path, number: int, line: str, category: str) -> Question:
    where = f"{path}, line {number}"
    row = require_object(parse_json(line, where), where)
    example_id = _whole(row, "example_id", where)
    where = f"{where} (example_id {example_id})"
    if (found := _text(row, "category", where)) != category:
        raise ValueError(f"{where}: category is {shown(found)}, expected {category}, which this file is of")
    right = _whole(row, "label", where)
    if right not in range(3):
        raise ValueError(f"{where}: label is {shown(right)}, expected 0, 1 or 2, the place of the right answer")
    infos = _infos(row, where)
    unknown = _unknown(infos, where)
    people = {place: info for place, info in enumerate(infos) if place != unknown}
    first, second, third = (_text(row, name, where) for name in ANSWERS)
    return Question(
        example_id=example_id,
        question_index=_text(row, "question_index", where),
        polarity=_one_of(row, "question_polarity", POLARITIES, where),
        condition=_one_of(row, "context_condition", CONDITIONS, where),
        category=category,
        context=_text(row, "context", where),
        question=_text(row, "question", where),
        answers=(first, second, third),
        right=right,
        unknown=unknown,
        stereotyped=stereotyped_place(category, people, _groups(row, where)),
    )


def _infos(row: Mapping[str, object], where: str) -> list[Info]:
    told = row.get("answer_info")
    if not isinstance(told, dict):
        raise ValueError(f"{where}: field 'answer_info' is missing or no object, found {shown(told)}")
    infos = []
    for name in ANSWERS:
        pair = told.get(name)
        # A published row may have nothing in it, or empty texts: then its group is not known.
        if not isinstance(pair, list) or len(pair) not in (0, 2) or not all(isinstance(one, str) for one in pair):
            raise ValueError(f"{where}: field 'answer_info.{name}' is {shown(pair)}, expected its words and its group")
        infos.append(Info(*pair) if pair else Info("", ""))
    return infos


def _unknown(infos: list[Info], where: str) -> int:
    places = [place for place, info in enumerate(infos) if info.group.casefold() == UNKNOWN]
    if len(places) != 1:
        raise ValueError(
            f"{where}: field 'answer_info' has {len(places)} answers of the group {UNKNOWN!r}, expected exactly one; "
            f"the groups are {shown([info.group for info in infos])}"
        )
    return places[0]


def _groups(row: Mapping[str, object], where: str) -> list[str]:
    told = row.get("additional_metadata")
    groups = told.get("stereotyped_groups") if isinstance(told, dict) else None
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise ValueError(
            f"{where}: field 'additional_metadata.stereotyped_groups' is missing or no list of names, "
            f"found {shown(groups)}"
        )
    return groups


def _text(row: Mapping[str, object], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: field {name!r} is missing, empty or no text, found {shown(value)}")
    return value


def _whole(row: Mapping[str, object], name: str, where: str) -> int:
    value = row.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 1 << 53:
        raise ValueError(f"{where}: field {name!r} is missing or no whole number, found {shown(value)}")
    return value


def _one_of(row: Mapping[str, object], name: str, allowed: tuple[str, ...], where: str) -> str:
    if (value := _text(row, name, where)) not in allowed:
        raise ValueError(f"{where}: {name} is {shown(value)}, expected one of {', '.join(allowed)}")
    return value
