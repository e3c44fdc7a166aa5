"""`methods:` of an experiment file: several ways to treat each model, each trained, scored and reported by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from harness.experiments.names import FileName
from harness.storage.reading import shown
from harness.terminal.nearest import did_you_mean

TRAINED: Mapping[str, Mapping[str, Any]] = {
    objective: {"objective": objective} for objective in ("anti", "both", "balance", "dpo", "ipo")
}
"""Kinds of methods that fine-tune on pairs, with the settings of `python -m training` that make them."""


SCALED: Mapping[str, Mapping[str, Any]] = {"negate": {"objective": "more"}}
"""Kinds that train an adapter and then take what it learned another number of times: task vectors."""

KINDS: Mapping[str, Mapping[str, Any]] = {**TRAINED, **SCALED}

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
    ours = ("scales",) if entry.kind in SCALED else ()
    own = {key: value for key, value in entry.settings.items() if key not in ours}
    return {**training, **KINDS[entry.kind], **own}


def scales_of(entry: MethodEntry) -> tuple[float, ...]:
    """How often each model of the method has what was trained in it; () where that is once, as trained."""
    return tuple(entry.settings.get("scales", SCALES)) if entry.kind in SCALED else ()


def problems(entry: MethodEntry) -> Iterator[tuple[str, str]]:
    """A key of an entry that is not as it should be, and what is wrong with it."""
    if entry.kind not in KINDS:
        yield "kind", f"no method {entry.kind!r}; there are {', '.join(KINDS)}{did_you_mean(entry.kind, KINDS)}"
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
