"""The words and kinds of numbers that report.json is made of."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
StageName: TypeAlias = Literal["base", "step", "control"]
Best: TypeAlias = Literal["higher", "lower", "50", "0"]
Covers: TypeAlias = Literal["items", "items and training"]
Flag: TypeAlias = Literal[
    "contaminated",
    "broken",
    "at_random",
    "sample_data",
    "low_n",
    "altered_data",
    "biased_near_50",
    "undefined",
    "conditions_differ",
    "limited",
    "unsealed",
    "ties",
    "sensitive",
]
CheckState: TypeAlias = Literal["kept", "paid", "broken"]
RetentionState: TypeAlias = Literal["kept", "paid", "broken", "unmeasured"]
Moved: TypeAlias = Literal["fell", "rose", "not shown"]
Word: TypeAlias = Literal[
    "fell",
    "fell, at a price",
    "no more than noise",
    "suspect",
    "not shown",
    "mixed",
    "rose",
    "broken",
    "unmeasured",
    "not compared",
    "not trained",
]


class Part(BaseModel):
    """An object of report.json: its keys are all that it may have, and what was read is not changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
