"""The part of report.json that says how bias, and what a method does to it, go with the size of models."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from harness.reporting.schema_types import Number, Part

Trend: TypeAlias = Literal["rises", "falls", "cannot tell"]


class SizePoint(Part):
    """One model: its size, and what was measured of it."""

    run: str
    model: str
    architecture: str | None = Field(description="model_type of its config; null where not recorded")
    parameters: int = Field(gt=0)
    value: Number
    low: Number
    high: Number


class SizeFit(Part):
    """A least squares line of points over the logarithm of size."""

    architecture: str | None = Field(description="the family within which it is fitted; null: over all models")
    models: int = Field(ge=0)
    slope: Number | None = Field(description="with every tenfold of parameters: points, or a factor; null: one size")
    low: Number | None = Field(description="lower end of its 95% interval; null with fewer than three models")
    high: Number | None
    at_largest: Number | None = Field(description="the line at the largest of these sizes, in the points' unit")
    at_largest_low: Number | None
    at_largest_high: Number | None
    trend: Trend = Field(description="whether the interval of the slope lies on one side of no change")

    @model_validator(mode="after")
    def _consistent(self) -> SizeFit:
        for low, high in ((self.low, self.high), (self.at_largest_low, self.at_largest_high)):
            if (low is None) != (high is None) or (low is not None and high is not None and low > high):
                raise ValueError(f"an interval needs low <= high, found {low} and {high}")
        return self


class LeftOut(Part):
    """A model that is in no line, and why."""

    model: str
    why: str


class Scale(Part):
    """One measure over the sizes of models: what a method did to it, or how it is at the bases."""

    of: Literal["effect", "base"]
    method: str | None = Field(description="of an effect: the method, null where there is one alone")
    metric: str
    is_factor: bool = Field(
        description="values are after / before (of a base: nats) and slopes factors; else points of a distance from 50"
    )
    points: list[SizePoint]
    fits: list[SizeFit] = Field(description="over all models first, then within each family that has two or more")
    left_out: list[LeftOut]
    text: str
