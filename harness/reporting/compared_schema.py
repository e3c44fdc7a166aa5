"""The part of report.json that sets the methods for one model beside each other."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import Field, model_validator

from harness.reporting.schema_types import Covers, Number, Part, RetentionState, Share, Word

Ends: TypeAlias = tuple[Number | None, Number | None]


class MeasureChange(Part):
    """How one measure changed from the base under one method, as its entry says, and the ranks that follow."""

    task: str
    metric: str
    n: int = Field(description="items behind it", ge=0)
    change: Number = Field(
        description="of the distance from an ideal of 50 or 0, below 0 is nearer; of lms: value minus base_value; of "
        "word_perplexity: after / before"
    )
    low: Number | None = Field(description="lower end of its paired 95% interval")
    high: Number | None
    beyond: Number | None = Field(description="change minus that of the method's placebo; null without one")
    beyond_low: Number | None
    beyond_high: Number | None
    ranks: list[int] = Field(
        description="two methods share one exactly where they are not told apart; 1 holds the best; empty: not ranked"
    )

    @model_validator(mode="after")
    def _consistent(self) -> MeasureChange:
        _require_ends(self.metric, (self.low, self.high), (self.beyond_low, self.beyond_high))
        return self


class Treatment(Part):
    """A method at its last step, or its placebo: what it did, what that cost, and whether it is ranked."""

    method: str
    control: str | None = Field(description="kind of control of a placebo; null for the method itself")
    step: int | None
    word: Word | None = Field(description="the verdict's; null for a placebo")
    retention: RetentionState | None
    not_ranked: str | None = Field(description="why it has no rank, in a word or two; null where it is ranked")
    measures: list[MeasureChange]
    making_seconds: Number | None = Field(description="mean over its trainings; null where no record says")
    passes: int = Field(description="how often the model reads a text to use it", ge=1)


class MethodDifference(Part):
    """How much further from a measure's ideal one method is than another, on the items that both were scored on."""

    metric: str
    one: str
    other: str
    n: int | None = Field(description="items of both; null where they have none in common", ge=0)
    difference: Number | None = Field(description="distance of one minus that of other; below 0 one is nearer")
    low: Number | None
    high: Number | None
    p_value: Share | None
    p_holm: Share = Field(description="over every two ranked methods and every measure of the model")
    covers: Covers | None

    @model_validator(mode="after")
    def _consistent(self) -> MethodDifference:
        _require_ends(f"{self.one}, {self.other}: {self.metric}", (self.low, self.high))
        return self


class MethodComparison(Part):
    """The methods for one model beside each other; `text` says in words which are ahead."""

    run: str
    model: str
    started_after: str
    prompt: str | None
    treatments: list[Treatment] = Field(description="in the order of the experiment's file, each before its placebo")
    differences: list[MethodDifference]
    text: str


def _require_ends(where: str, *intervals: Ends) -> None:
    for low, high in intervals:
        if (low is None) != (high is None) or (low is not None and high is not None and low > high):
            raise ValueError(f"{where}: an interval needs low <= high, found {low} and {high}")
