"""The shape of report.json, validated on write; `python -m harness.reporting.schema` publishes it as JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from harness.data.families import Family
from harness.reporting.compared_schema import MethodComparison
from harness.reporting.scale_schema import Scale
from harness.reporting.schema_types import (
    Best,
    CheckState,
    Covers,
    Flag,
    Moved,
    Number,
    Part,
    RetentionState,
    Share,
    StageName,
    Word,
)
from harness.reporting.thresholds import Thresholds
from harness.storage.files import atomic_write
from harness.storage.provenance import Asking, Generation, MatchedBy, Server, TaskData

SCHEMA_VERSION = "1.5"
SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


class Repeat(Part):
    """One of the trainings, or draws of a control, that a stage is made of."""

    fold: int | None = Field(description="fold held out; null without cross-fitting, or where folds are pooled")
    seed: int | None = Field(description="seed of the training or of the control; null where an experiment names none")


class Entry(Part):
    """One number: a metric of a task (or of a part of it) for one model at one stage."""

    run: str = Field(description="run folder the number comes from")
    model: str
    parameters: int | None = Field(description="number of parameters of the model; null where a server does not say")
    stage: StageName = Field(description="base: untrained; step: a checkpoint; control: what steps are compared with")
    step: int | None = Field(description="optimiser steps taken, null for the base model and controls")
    method: str | None = Field(
        default=None, description="what made the step, by the experiment's name for it; null where there is only one"
    )
    control: str | None = Field(description="kind of control, such as noise; null for base and steps")
    epoch: Number | None
    folds: list[int] = Field(description="folds pooled into the value; empty without cross-fitting")
    seeds: list[int] = Field(description="seeds pooled into the value; empty where an experiment names none")
    started_after: str = Field(description="token that a sentence's first token is conditioned on")
    prompt: str | None = Field(description="as of the stage")
    task: str
    metric: str
    setting: str | None = Field(
        description="generated texts: what belongs to the metric's name, such as 'k=5, 20 tokens, CLASSIFIER:hate'"
    )
    part: str | None = Field(description="bias type, group, half of the target terms or other part; null for the whole")
    best: Best | None = Field(description="ideal value or direction; null where the metric has none")
    value: Number | None = Field(description="null if undefined")
    low: Number | None = Field(description="lower end of the 95% interval")
    high: Number | None = Field(description="upper end of the 95% interval")
    n: int = Field(description="items behind the value, each counted once however many folds scored it", ge=0)
    of: int | None = Field(
        description="items of the task, `n` of them scored; null where not recorded, or for a part of a limited task"
    )
    clusters: int = Field(description="clusters (terms, writers, documents) behind the interval", ge=0)
    fold_values: list[Number | None] | None = Field(
        description="each repeat's value where `value` is their mean; null where folds are pooled by item or absent"
    )
    repeats: list[Repeat] = Field(description="what the numbers in fold_values are of, in their order")
    base_value: Number | None = Field(description="the base model's value on exactly the same items")
    difference: Number | None = Field(description="value minus base_value")
    difference_low: Number | None
    difference_high: Number | None
    p_value: Share | None = Field(
        description="two-sided, for `difference` being 0; below 0.05 exactly where its interval excludes 0"
    )
    distance_change: Number | None = Field(
        description="|value - ideal| - |base_value - ideal| for an ideal of 50 or 0; below 0 is nearer to the ideal"
    )
    distance_low: Number | None
    distance_high: Number | None
    distance_p: Share | None = Field(
        description="two-sided, for `distance_change` being 0; below 0.05 exactly where its interval excludes 0"
    )
    ratio: Number | None = Field(description="after / before of a perplexity or magnitude; 1 is no change")
    ratio_low: Number | None
    ratio_high: Number | None
    covers: Covers | None = Field(
        description="what the intervals are about: the choice of items alone, or training runs too; null without any"
    )
    no_interval: str | None = Field(description="why an interval is missing, in words; null where none is")
    beyond_change: Number | None = Field(
        default=None, description="distance_change minus that of the placebo; below 0 is more than noise does"
    )
    beyond_low: Number | None = None
    beyond_high: Number | None = None
    beyond_p: Share | None = Field(default=None, description="two-sided, for `beyond_change` being 0")
    p_holm: Share | None = Field(description="p_value corrected across the bias types of this task and metric")
    flags: list[Flag]

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        where = f"{self.model} {self.stage} {self.step} {self.task} {self.metric} {self.part}"
        for low, high in (
            (self.low, self.high),
            (self.difference_low, self.difference_high),
            (self.distance_low, self.distance_high),
            (self.ratio_low, self.ratio_high),
            (self.beyond_low, self.beyond_high),
        ):
            if (low is None) != (high is None) or (low is not None and high is not None and low > high):
                raise ValueError(f"{where}: an interval needs low <= high, found {low} and {high}")
        if (self.value is None) != ("undefined" in self.flags):
            raise ValueError(f"{where}: value {self.value} and flags {self.flags} contradict each other")
        if self.fold_values is not None and len(self.fold_values) != len(self.repeats):
            raise ValueError(f"{where}: {len(self.fold_values)} values of {len(self.repeats)} repeats")
        return self


class Scoring(Part):
    """One results file: the weights that were scored and how."""

    results: str = Field(description="results file, relative to the run folder")
    fold: int | None
    seed: int | None
    pretrained: str
    checkpoint: str | None
    weights_sha256: str | None = Field(description="null: not known, as of a model behind an API")
    server: Server | None = Field(default=None, description="of a model behind an API; else null")
    base_weights_sha256: str | None = Field(description="of the model that was trained; null where not recorded")
    dtype: str
    asking: Asking = Field(description="chat template, instruction, seeds and each task's prompt; digests")
    data: dict[str, TaskData] = Field(description="task -> digest, origin and rows of its data")
    generations: dict[str, Generation] = Field(description="task -> how its texts were drawn and who judged them")
    sealed: list[str] = Field(description="tasks whose samples were checked against the digest written with the scores")
    shots: dict[str, int] = Field(description="task -> examples in its prompt")
    task_versions: dict[str, str] = Field(description="task -> version of its definition")
    versions: dict[str, str] = Field(description="package -> version")
    command: str
    seconds: Number


class Check(Part):
    """One thing that a step should have kept: its change from the base, and which side of the bounds that is on."""

    task: str
    metric: str
    before: Number | None
    after: Number | None
    change: Number = Field(description="points, after minus before; a perplexity's after / before")
    low: Number | None = Field(description="lower end of the change's 95% interval")
    high: Number | None
    is_ratio: bool
    at_random: bool = Field(description="the answers to a prompt are those of chance")
    state: CheckState


class Retention(Part):
    """Whether a step still models language as well as its base model did; `Report.thresholds` has the bounds."""

    state: RetentionState
    reason: str
    checks: list[Check]
    lms_task: str | None = Field(description="task of lms_change; null if no StereoSet task was scored")
    lms_change: Number | None = Field(description="points, mean over runs; below 0 is worse")
    perplexity_ratio: Number | None = Field(description="word perplexity after / before, mean over runs")
    suspect: str | None = Field(None, description="why the step seems to know the test's own sentences; null if not")


class Headline(Part):
    """One measure of the verdict's family: how far it is from its ideal now, and whether that changed."""

    task: str
    metric: str
    moved: Moved = Field(description="after Holm's correction over the family")
    beyond_noise: bool | None = Field(description="it fell by more than under noise; null without a placebo")
    distance_change: Number = Field(description="change of |value - ideal|; below 0 is nearer to it")
    low: Number | None
    high: Number | None
    p_holm: Share | None
    smallest: Number | None = Field(description="the smallest change that these items and runs could have shown")


class Judgement(Part):
    """The verdict on one model's last step, as words that follow from numbers."""

    run: str
    model: str
    method: str | None = None
    step: int | None
    word: Word
    retention: RetentionState | None
    family: list[Headline]
    text: str


class ConditionDifference(Part):
    """Something that was not the same when a step and its base model were scored."""

    what: str = Field(description="such as dtype, 'version of torch', 'task definition', prompts")
    base: str = Field(description="the base model's; without a base the first fold's")
    step: str
    tasks: list[str] = Field(description="tasks whose scores it may have moved; their entries carry the flag")


class Stage(Part):
    """One model at one stage: where its numbers come from and what it kept."""

    run: str
    model: str
    parameters: int | None = Field(description="null where a server does not say")
    family: Family = Field(description="how it was scored: causal, masked (pseudo-likelihood) or seq2seq (infill)")
    architecture: str | None = Field(default=None, description="model_type of its config; null where not recorded")
    stage: StageName
    step: int | None
    method: str | None = Field(
        default=None,
        description="what made the step, or what a base or a control stands beside; null where there is only one",
    )
    control: str | None = Field(description="kind of control; null for base and steps")
    matched_by: MatchedBy | None = Field(description="control: in what it is as large as the last step; else null")
    making_seconds: Number | None = Field(
        default=None,
        description="last step: seconds that its training, scaling or projection took, mean over its runs; null where "
        "no record in the run's folder says",
    )
    recipe: str | None = Field(
        default=None, description="step: the kind of method at inference that asks a base otherwise; else null"
    )
    passes: int = Field(default=1, description="how often the model reads a text to use it as it was scored", ge=1)
    epoch: Number | None
    folds: list[int]
    seeds: list[int]
    left_out: list[Repeat] = Field(description="step: trainings of this model without a checkpoint that went as far")
    started_after: str
    started_after_id: int
    prompt: str | None = Field(
        description="what stands before that which is scored: chat template, instruction, examples; null: nothing"
    )
    conditions: list[ConditionDifference] = Field(description="what differs from how the base model was scored")
    scorings: list[Scoring]
    retention: Retention | None = Field(description="null for the base model or where no base model was scored")
    abilities: list[str] = Field(
        default_factory=list, description="tasks of lm-eval's own, or groups of them, that a step has to have kept"
    )
    tasks_without_metrics: list[str] = Field(description="scored tasks that this report has no metrics for")


class Contamination(Part):
    """Whether a model is known to have seen a benchmark before this project touched it."""

    model: str
    benchmark: str
    status: Literal["contaminated", "none known", "unknown"]
    evidence: str


class Continuation(Part):
    """One of the worst texts that a model wrote, for a human to read; hostile text, to be escaped where it is shown."""

    run: str
    model: str
    stage: StageName
    step: int | None
    task: str
    prompt: str
    text: str
    finding: str = Field(description="the judge's probability, or the HurtLex categories found")


class MetricLegend(Part):
    """What a metric is called, its unit and its ideal."""

    label: str
    unit: str
    best: Best | None


class Legend(Part):
    """What the names in the report mean."""

    flags: dict[Flag, str]
    metrics: dict[str, MetricLegend]
    intervals: str
    p_values: str


class Report(Part):
    """All of report.json."""

    schema_version: Literal["1.5"]
    verdict: str = Field(description="the answer in plain language, computed from the entries")
    judgements: list[Judgement] = Field(description="the same a model, with the numbers that decide")
    comparisons: list[MethodComparison] = Field(
        default_factory=list, description="the methods beside each other, for each model that has two or more"
    )
    scale: list[Scale] = Field(
        default_factory=list, description="effects and bases against the number of parameters, for two models or more"
    )
    thresholds: dict[str, Thresholds] = Field(description="run -> what counts as kept and as broken")
    stages: list[Stage]
    entries: list[Entry]
    contamination: list[Contamination]
    continuations: list[Continuation] = Field(description="the worst texts of each stage and generation task")
    legend: Legend

    def to_json(self) -> str:
        """The validated report as text; a number that JSON cannot hold is an error, never NaN."""
        plain = self.model_dump(mode="json")
        Report.model_validate(plain)
        return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of report.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Report.model_json_schema(mode="serialization"),
    }


def json_schema_text() -> str:
    """The schema as the repository holds it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    atomic_write(SCHEMA_FILE, json_schema_text())
