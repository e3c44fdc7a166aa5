"""`methods:` of an experiment file: several ways to treat each model, each trained, scored and reported by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from harness.experiments.names import FileName
from harness.experiments.places import Places
from harness.inference.kinds import RECIPES
from harness.inference.recipe import problems as recipe_problems
from harness.inference.recipe import recipe_of
from harness.planning.planned_model import PlannedProjection
from harness.storage.projections import Settings
from harness.storage.reading import shown, wrong_settings
from harness.storage.recipes import Recipe
from harness.terminal.nearest import did_you_mean

TRAINED: Mapping[str, Mapping[str, Any]] = {
    objective: {"objective": objective} for objective in ("anti", "both", "balance", "dpo", "ipo", "cda", "dropout")
}
"""Kinds of methods that fine-tune on pairs or text, with the settings of `python -m training` that make them."""


SCALED: Mapping[str, Mapping[str, Any]] = {"negate": {"objective": "more"}}
"""Kinds that train an adapter and then take what it learned another number of times: task vectors."""

PROJECTED = ("sentence_debias", "inlp", "leace")
"""Kinds that write a projection of the last hidden state into the weights: see `harness.mitigation`."""

ASKED = tuple(RECIPES)
"""Kinds that change how a model is asked, and none of its weights: see `harness.inference`."""

KINDS = (*TRAINED, *SCALED, *PROJECTED, *ASKED)

SCALES = (-0.25, -0.5, -1.0)
"""The numbers of times where an entry names none; published work takes -0.5 (BiasFreeBench)."""


class MethodEntry(BaseModel):
    """One method: its kind, a name for it (by default the kind's), and settings over those of `training`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: FileName
    kind: str

    @property
    def settings(self) -> dict[str, Any]:
        """What the entry sets beside its name and kind."""
        return dict(self.model_extra or {})


def training_of(entry: MethodEntry, training: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a method's training: the experiment's and model's, its kind's, and its own over them."""
    if entry.kind in (*PROJECTED, *ASKED):
        return {}
    ours = ("scales",) if entry.kind in SCALED else ()
    own = {key: value for key, value in entry.settings.items() if key not in ours}
    return {**training, **{**TRAINED, **SCALED}[entry.kind], **own}


def scales_of(entry: MethodEntry) -> tuple[float, ...]:
    """How often each model of the method has what was trained in it; () where that is once, as trained."""
    return tuple(entry.settings.get("scales", SCALES)) if entry.kind in SCALED else ()


def projection_of(entry: MethodEntry, places: Places) -> PlannedProjection | None:
    """What a projection takes out; None of a method that is none."""
    if entry.kind not in PROJECTED:
        return None
    asked = _Projection.model_validate(entry.settings)
    text, words = (None if file is None else Path(places.find(str(file))) for file in (asked.text, asked.words))
    return PlannedProjection(entry.kind, asked.own, asked.bias_types, text, words)


def recipe_by(entry: MethodEntry) -> Recipe | None:
    """How the model is asked; None of a method that changes its weights."""
    return recipe_of({"kind": entry.kind, **entry.settings}) if entry.kind in ASKED else None


class _Projection(Settings):
    """The settings of a projection, and of the text that it is fitted on."""

    bias_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("gender",)
    text: Path | None = None
    words: Path | None = None

    @property
    def own(self) -> Settings:
        """Those that decide how it is fitted."""
        return Settings(**{name: getattr(self, name) for name in Settings.model_fields})


def problems(entry: MethodEntry) -> Iterator[tuple[str, str]]:
    """A key of an entry that is not as it should be, and what is wrong with it."""
    if entry.kind not in KINDS:
        yield "kind", f"no method {entry.kind!r}; there are {', '.join(KINDS)}{did_you_mean(entry.kind, KINDS)}"
    elif entry.kind in PROJECTED:
        yield from wrong_settings(_Projection, entry.settings, entry.kind)
    elif entry.kind in ASKED:
        yield from recipe_problems(entry.kind, entry.settings)
    elif entry.kind in SCALED and (wrong := _wrong_scales(entry.settings.get("scales", SCALES))):
        yield "scales", wrong
    elif entry.kind in SCALED and entry.settings.get("full"):
        yield "full", f"{entry.kind} takes an adapter another number of times; leave `full` out"
    elif "objective" in entry.settings:
        yield "objective", f"a method's kind is its objective ({entry.kind}); drop it"


def _wrong_scales(scales: Any) -> str | None:
    numbers = isinstance(scales, list | tuple) and scales and all(type(one) in (int, float) for one in scales)
    if not numbers or 0 in scales or len(set(scales)) < len(scales):
        return f"scales is {shown(scales)}, expected a list of different numbers, none of them 0, which is the base"
    return None


def _entry(written: Any) -> Any:
    if isinstance(written, str):
        return {"name": written, "kind": written}
    if isinstance(written, dict):
        return {"name": written.get("kind"), "kind": written.get("name"), **written}
    return written


def _distinct(entries: tuple[MethodEntry, ...]) -> tuple[MethodEntry, ...]:
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        raise ValueError(f"two methods of one name in {', '.join(names)}; results go into folders of these names")
    return entries


Methods = Annotated[
    tuple[Annotated[MethodEntry, BeforeValidator(_entry)], ...], AfterValidator(_distinct), Field(default=())
]
