"""`projection.json`: how a projection was made, beside the model that has it in its weights."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from harness.storage.reading import read_record as read

RECORD_FILE = "projection.json"


class Settings(BaseModel):
    """Of all kinds together; each says which it reads.

    `components` of SentenceDebias; `rounds` of INLP, None for the literature's 80 of masked models and 10 of others;
    `sentences` of each group, at most; `seed` of their draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    components: int = Field(1, ge=1)
    rounds: int | None = Field(None, ge=1)
    sentences: int = Field(10_000, ge=1)
    seed: int = 0


class ProjectionRecord(BaseModel):
    """What `projection.json` says of the model beside it.

    `found` counts, for each bias type, the sentences of the text that are about one group alone, by group, and those
    without a listed word; `used` those that were drawn of them. `removed` of the `width` dimensions of the last hidden
    state are gone; `written_into` names the layer, `shift` says whether one was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    settings: Settings
    bias_types: tuple[str, ...]
    base: str
    base_weights_sha256: str
    words_sha256: str
    text_sha256: str
    text_origin: str
    found: dict[str, dict[str, int]]
    used: dict[str, dict[str, int]]
    width: int
    removed: int
    written_into: str
    shift: bool
    versions: dict[str, str]


def read_record(folder: Path) -> ProjectionRecord | None:
    """The record of a projected model; None where there is none.

    Raises:
        ValueError: it is broken; names the file and the key.
    """
    file = folder / RECORD_FILE
    return read(file, ProjectionRecord, "make the projection again, in a new folder") if file.is_file() else None
