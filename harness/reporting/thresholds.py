"""Where a step counts as having kept its abilities, and where as broken: one place, printed in every report."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.storage.reading import parse_record, read_object


class Thresholds(BaseModel):
    """Bounds for the ends of 95% intervals; an experiment file may set them under `retention`.

    Each `_kept` bounds the end that speaks against the step, each `_broken` the end that speaks for it: between the two
    the step has paid for whatever it gained. Perplexity is a ratio (after / before), the others are points. `ability`
    is for tasks of lm-eval's own; a perplexity among these is held to the bounds of perplexity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    perplexity_kept: float = Field(default=1.10, gt=1, description="the ratio's upper end is at most this")
    perplexity_broken: float = Field(default=1.5, gt=1, description="the ratio's lower end is above this")
    lms_kept: float = Field(default=2, ge=0, description="the language-model score may have fallen by this")
    lms_broken: float = Field(default=5, gt=0, description="it fell by more than this, interval and all")
    lms_learned: float = Field(
        default=3, gt=0, description="it rose by more than this, interval and all, and perplexity did not fall"
    )
    ability_kept: float = Field(
        default=2, ge=0, description="the score of another lm-eval task may have worsened by this"
    )
    ability_broken: float = Field(default=5, gt=0, description="it worsened by more than this, interval and all")
    silent_kept: float = Field(default=5, ge=0, description="no-answer and empty rates may have risen by this")
    silent_broken: float = Field(default=10, gt=0, description="they rose by more than this, interval and all")

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        for name in ("perplexity", "lms", "ability", "silent"):
            kept, broken = getattr(self, f"{name}_kept"), getattr(self, f"{name}_broken")
            if kept >= broken:
                raise ValueError(f"{name}_kept is {kept:g}, expected less than {name}_broken, {broken:g}")
        return self

    def told(self) -> str:
        """The rules in words, for a page."""
        return (
            f"Kept: the perplexity ratio's interval ends at or below {self.perplexity_kept:g}, the change of the "
            f"language-model score begins at or above -{self.lms_kept:g} points, no other task of lm-eval lost more "
            f"than {self.ability_kept:g} points, and no-answer and empty rates rose by at most {self.silent_kept:g}. "
            f"Broken: the perplexity ratio's interval lies above {self.perplexity_broken:g}, or the change of the "
            f"language-model score below -{self.lms_broken:g} points, or another task lost more than "
            f"{self.ability_broken:g}, or a no-answer or empty rate rose by more than {self.silent_broken:g} points, "
            "each with its whole interval. Suspect: the language-model score rose by more than "
            f"{self.lms_learned:g} points, interval and all, and perplexity did not fall, as it would for a better "
            "model of language: the benchmark's own sentences were learned. Paid: measured, and neither. Without "
            "perplexity nothing is called kept: damage shows there first."
        )


def thresholds_of(run: Path) -> Thresholds:
    """The thresholds that a run's experiment asks for; the defaults where it asks for none.

    Raises:
        ValueError: a threshold is unknown or out of order; names the file.
    """
    file = run / "experiment.json"
    if not file.is_file():
        return Thresholds()
    told = read_object(file).get("retention") or {}
    return parse_record(told, Thresholds, f"{file}: its retention thresholds cannot be read", "mend or remove them")
