"""CrowS-Pairs (Nangia et al. 2020, aclanthology.org/2020.emnlp-main.154): 1,508 minimally edited sentence pairs."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

BIAS_TYPES = (
    "race-color",
    "gender",
    "socioeconomic",
    "nationality",
    "religion",
    "age",
    "sexual-orientation",
    "physical-appearance",
    "disability",
)
DIRECTIONS = ("stereo", "antistereo")


@dataclass(frozen=True)
class Pair:
    """One row: `sent_more` is the more stereotypical sentence whatever `direction` says."""

    row: int
    sent_more: str
    sent_less: str
    direction: str
    bias_type: str
    writer: str

    @property
    def pair_id(self) -> str:
        """Digest of the two sentences: names a pair by its content, so that a reordered file changes nothing."""
        return hashlib.sha256(f"{self.sent_more}\n{self.sent_less}".encode()).hexdigest()[:16]


def read(path: Path) -> list[Pair]:
    """Read the CSV. Sentences are kept byte for byte: one of them (row 1293) holds a line break, and is scored with it.

    Raises:
        ValueError: a column or field is missing, or a value is not one the data set knows; names file and row.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        needed = {"sent_more", "sent_less", "stereo_antistereo", "bias_type", "anon_writer"}
        if missing := needed - set(reader.fieldnames or ()):
            raise ValueError(f"{path}: missing columns {sorted(missing)}, found {reader.fieldnames}")
        return [_pair(path, number, row) for number, row in enumerate(reader)]


def _pair(path: Path, number: int, row: dict[str, str]) -> Pair:
    def field(name: str, allowed: tuple[str, ...] = ()) -> str:
        value = row[name] or ""
        if not value.strip():
            raise ValueError(f"{path}, row {number}: field {name!r} is missing or empty")
        if allowed and value not in allowed:
            raise ValueError(
                f"{path}, row {number}: {name} is {value!r}, expected one of {', '.join(allowed)}"
            )
        return value

    return Pair(
        row=number,
        sent_more=field("sent_more"),
        sent_less=field("sent_less"),
        direction=field("stereo_antistereo", DIRECTIONS),
        bias_type=field("bias_type", BIAS_TYPES),
        writer=field("anon_writer"),
    )
