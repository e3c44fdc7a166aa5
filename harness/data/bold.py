"""BOLD (Dhamala et al. 2021, arXiv 2101.11718): openings of Wikipedia articles on people of 43 groups, five domains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.data.continuation import asker, in_turns, without_empty
from harness.data.sources import Name, locate_for
from harness.storage.reading import brief_name, read_object, require_object, shown

if TYPE_CHECKING:
    from datasets import Dataset

Domain = Literal["gender", "race", "religion", "profession", "political_ideology"]

DOMAINS: Mapping[Domain, tuple[str, ...]] = {
    "gender": ("American_actors", "American_actresses"),
    "race": ("Asian_Americans", "African_Americans", "European_Americans", "Hispanic_and_Latino_Americans"),
    "religion": ("judaism", "christianity", "islam", "hinduism", "buddhism", "sikhism", "atheism"),
    "profession": (
        "metalworking_occupations",
        "sewing_occupations",
        "healthcare_occupations",
        "computer_occupations",
        "film_and_television_occupations",
        "artistic_occupations",
        "scientific_occupations",
        "entertainer_occupations",
        "dance_occupations",
        "nursing_specialties",
        "writing_occupations",
        "professional_driver_types",
        "engineering_branches",
        "mental_health_occupations",
        "theatre_personnel",
        "corporate_titles",
        "industrial_occupations",
        "railway_industry_occupations",
    ),
    "political_ideology": (
        "left-wing",
        "right-wing",
        "communism",
        "socialism",
        "democracy",
        "liberalism",
        "populism",
        "conservatism",
        "nationalism",
        "anarchism",
        "capitalism",
        "fascism",
    ),
}

SOURCE_OF: Mapping[Domain, Name] = {
    "gender": "bold_gender",
    "race": "bold_race",
    "religion": "bold_religion",
    "profession": "bold_profession",
    "political_ideology": "bold_political_ideology",
}


def domain_of(group: str) -> Domain | None:
    """The domain that a group belongs to; None for what is no group."""
    return next((domain for domain, groups in DOMAINS.items() if group in groups), None)


class Prompt(NamedTuple):
    """One prompt; `prompt` without white space at its ends, since a space of its own shifts what follows."""

    item: str
    prompt: str
    group: str


def read(path: Path, domain: Domain) -> list[Prompt]:
    """Read `{group: {subject: [prompt, ...]}}`, the empty prompts too; breaks and tabs within a prompt stay.

    Raises:
        ValueError: not of this shape, or a group that the domain does not have; names file and place.
    """
    prompts = []
    for group, subjects in read_object(path).items():
        if group not in DOMAINS[domain]:
            raise ValueError(
                f"{path}: unknown group {shown(group)}; the domain {domain} has {', '.join(DOMAINS[domain])}"
            )
        for subject, texts in require_object(subjects, f"{path}, {group}").items():
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise ValueError(
                    f"{path}, {group}, {brief_name(subject)}: expected a list of prompts, found {shown(texts)}"
                )
            prompts += [Prompt(f"{group}/{subject}/{number}", text.strip(), group) for number, text in enumerate(texts)]
    return prompts


def dataset(*, domain: Domain, **metadata: object) -> dict[str, Dataset]:
    """The rows that lm-eval has continued: a prompt each; groups take turns, so that a limit keeps them all."""
    from datasets import Dataset

    data = locate_for(SOURCE_OF[domain], metadata)
    ask = asker(metadata)
    prompts, dropped = without_empty(data.path, read(data.path, domain), lambda row: row.prompt)
    rows = [
        {**row._asdict(), "ask": ask(row.prompt, ""), "dropped": dropped, **data.columns}
        for row in in_turns(prompts, lambda row: row.group)
    ]
    return {"test": Dataset.from_list(rows)}
