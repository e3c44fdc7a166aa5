"""`methods:` of an experiment file: several ways to treat each model, each trained, scored and reported by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from harness.experiments.names import FileName
from harness.terminal.nearest import did_you_mean

TRAINED: Mapping[str, Mapping[str, Any]] = {
    objective: {"objective": objective} for objective in ("anti", "both", "balance", "dpo", "ipo")
}
"""Kinds of methods that fine-tune on pairs, with the settings of `python -m training` that make them."""


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
    return {**training, **TRAINED[entry.kind], **entry.settings}


def problems(entry: MethodEntry) -> Iterator[tuple[str, str]]:
    """A key of an entry that is not as it should be, and what is wrong with it."""
    if entry.kind not in TRAINED:
        yield "kind", f"no method {entry.kind!r}; there are {', '.join(TRAINED)}{did_you_mean(entry.kind, TRAINED)}"
    elif "objective" in entry.settings:
        yield "objective", f"a method's kind is its objective ({entry.kind}); drop it"


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
