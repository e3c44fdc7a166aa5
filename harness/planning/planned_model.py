"""A model of an experiment with all its settings merged: what planning, preflight and the stages read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from harness.machine.strategy import Strategy
from harness.models.smollm2 import INSTALL, NAME
from harness.storage.files import looked_in
from harness.storage.projections import Settings
from harness.storage.recipes import Recipe


class PlannedControl(NamedTuple):
    """A kind of control that what training did is compared with; one is made and scored for each seed."""

    kind: str
    seeds: tuple[int, ...]


class PlannedProjection(NamedTuple):
    """What a method that trains nothing takes out of a model's last hidden state, and the text that tells it."""

    kind: str
    settings: Settings
    bias_types: tuple[str, ...]
    text: Path | None
    words: Path | None


class PlannedMethod(NamedTuple):
    """One of several ways to treat a model: all settings of its training, and how that is launched and spread.

    With `scales` there is a model for each, which has what was trained in it so many times.
    """

    name: str
    kind: str
    training: Mapping[str, Any]
    accelerate_config: Path | None
    strategy: Strategy
    scales: tuple[float, ...] = ()
    projection: PlannedProjection | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True)
class PlannedModel:
    """What is scored, and how it is trained; made once, when the experiment file is read.

    `tasks` are those of the base and, held-out pairs in place of all, of its checkpoints. `training` holds settings of
    `python -m training` alone. `accelerate_config` is the launch of the training, None one process; `strategy` says
    how that spreads it. `folder` is the experiment file's, where a model's folder is looked for first. With `seeds`
    each fold is trained with each of them; () leaves `training` its own seed. With `methods` each of `treatments` is
    trained in place of what `training` says alone; `method` is the name of the one that this is. With a `scale` it has
    what the method `taught_by` trained in it so many times; with a `projection` or a `recipe` nothing is trained.
    """

    name: str
    pretrained: str
    tasks: tuple[str, ...]
    training: Mapping[str, Any]
    accelerate_config: Path | None
    strategy: Strategy
    revision: str = "main"
    start_token_id: int | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    seeds: tuple[int, ...] = ()
    controls: tuple[PlannedControl, ...] = ()
    methods: tuple[PlannedMethod, ...] = ()
    method: str | None = None
    scale: float | None = None
    taught_by: str | None = None
    projection: PlannedProjection | None = None
    recipe: Recipe | None = None

    @property
    def treatments(self) -> tuple[PlannedModel, ...]:
        """The model once for each method and scale; itself where there are none."""
        if not self.methods:
            return (self,)
        trained = [
            replace(
                self,
                training=one.training,
                accelerate_config=one.accelerate_config,
                strategy=one.strategy,
                methods=(),
                method=one.name,
                projection=one.projection,
                recipe=one.recipe,
            )
            for one in self.methods
        ]
        return tuple(
            model if scale is None else replace(model, method=f"{one.name}_{scale:g}", scale=scale, taught_by=one.name)
            for one, model in zip(self.methods, trained, strict=True)
            for scale in (one.scales or (None,))
        )

    @property
    def teacher(self) -> PlannedModel:
        """What is trained where this is scaled: the same for all scales."""
        return self if self.scale is None else replace(self, method=self.taught_by, scale=None, taught_by=None)

    @property
    def is_trained(self) -> bool:
        """Whether there is something to train."""
        return self.projection is None and self.recipe is None

    @property
    def stage(self) -> str:
        """What the stage is called that makes its checkpoints, without a seed."""
        verb = "project" if self.projection else "train" if self.scale is None else "scale"
        return f"{verb} {self.called}"

    @property
    def called(self) -> str:
        """What messages call it: its name, and its method where there are several."""
        return self.name if self.method is None else f"{self.name} by {self.method}"

    def home(self, folder: Path) -> Path:
        """Where in a model's folder of a run its trainings, controls and their scores go."""
        return folder if self.method is None else folder / "methods" / self.method


def require_found(model: PlannedModel) -> None:
    """Refuse a model's folder that is not there, where the name can only be a folder's, or is one that we can write.

    Raises:
        ValueError: names the places where it was looked for, and how to make it.
    """
    name = model.pretrained
    if Path(name).is_dir():
        return
    missing = f"model {model.name}: no folder {name} {looked_in(model.folder)}"
    if Path(name).name == NAME:
        raise ValueError(
            f"{missing}. `stereoscope model {NAME} {name}` writes it, which takes a minute; it needs\n"
            f"  pip install 'lm-stereoscope[demo]'\n  {INSTALL}"
        )
    if name.startswith((".", "/", "~")) or len(Path(name).parts) > 2:
        raise ValueError(missing)
