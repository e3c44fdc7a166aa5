"""The experiment file: one YAML that says which models to treat, how, and what to score before and after."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.machine.strategy import read_strategy
from harness.planning.planned_model import PlannedModel
from harness.storage.files import read_yaml

OURS_TO_SET = ("output_dir", "model_name_or_path", "data_dir", "start_token_id", "resume_from_checkpoint")
"""Training keys that the experiment fills in itself."""


def _file_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError(f"{name!r} names a folder too: use letters, digits, '.', '_' and '-'")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ModelEntry(_Strict):
    """One model: a hub id or folder, extra arguments for its class, and tasks and training settings of its own."""

    name: FileName
    pretrained: str
    revision: str = "main"
    start_token_id: int | None = None
    model_args: dict[str, Any] = Field(default_factory=dict)
    tasks: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    training: dict[str, Any] = Field(default_factory=dict)


class Scoring(_Strict):
    """How models are scored. `limits` is documents a task, the first ones, where all would take too long.

    `metadata` and `gen_kwargs` are lm-eval's flags of these names: `k`, `toxicity_classifier`, ...; `max_gen_toks`, ...
    """

    dtype: str = "float32"
    batch_size: int | str = "auto"
    device: str | None = None
    accelerate_config: Path | None = None
    limits: dict[str, Annotated[int, Field(ge=2)]] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    gen_kwargs: dict[str, Any] = Field(default_factory=dict)


class ExperimentFile(_Strict):
    """Score each model, fine-tune it, score every checkpoint with the same tasks, report.

    A stage that fails is started again up to `restarts` times, each time only if it had come further than before.
    `halves` also reports StereoSet by two fixed halves of its terms: settings chosen on one are checked on the other.
    `training` holds `accelerate_config` and the settings of `python -m training`. A model's own `tasks` take the place
    of the experiment's, its own `training` settings go over them. For a checkpoint the tasks of CrowS-Pairs become
    those of its held-out pairs (`crows_pairs_heldout`). Paths are relative to the working folder.
    """

    name: FileName
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    data_dir: str | None = None
    halves: bool = False
    restarts: int = Field(default=3, ge=0)
    scoring: Scoring = Scoring()
    training: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """An experiment file with each model's settings merged; by `written`, the file's content, a run is known."""

    name: str
    models: tuple[PlannedModel, ...]
    data_dir: str | None
    halves: bool
    restarts: int
    scoring: Scoring
    written: Mapping[str, Any]


def load(path: Path) -> Experiment:
    """Read and check an experiment file, its training settings included.

    Raises:
        ValueError: an unknown key, a wrong type, a file that is not there; names file, line and key.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such experiment file")
    settings, lines = read_yaml(path)
    try:
        file = ExperimentFile.model_validate(settings)
    except ValidationError as error:
        raise ValueError("\n".join(_explain(path, lines, dict(item)) for item in error.errors())) from error
    names = [model.name for model in file.models]
    if len(set(names)) != len(names):
        raise ValueError(f"{path}: two models of one name in {names}; results go into folders of these names")
    _check_training(path, lines, ("training",), file.training)
    for index, model in enumerate(file.models):
        _check_training(path, lines, ("models", index, "training"), model.training)
    for config in (
        *(_merged(file, model).get("accelerate_config") for model in file.models),
        file.scoring.accelerate_config,
    ):
        if config is not None and not Path(config).is_file():
            raise ValueError(f"{path}: accelerate_config {config}: no such file from {Path.cwd()}")
    return resolved(file)


def resolved(file: ExperimentFile) -> Experiment:
    """The experiment with each model's own settings over the common ones.

    Raises:
        ValueError: an accelerate config asks for a strategy that there is not; names the file.
    """
    return Experiment(
        name=file.name,
        models=tuple(_planned(file, model) for model in file.models),
        data_dir=file.data_dir,
        halves=file.halves,
        restarts=file.restarts,
        scoring=file.scoring,
        written=json.loads(file.model_dump_json()),
    )


def _planned(file: ExperimentFile, model: ModelEntry) -> PlannedModel:
    training = _merged(file, model)
    config = training.pop("accelerate_config", None)
    path = None if config is None else Path(config)
    return PlannedModel(
        name=model.name,
        pretrained=model.pretrained,
        tasks=model.tasks or file.tasks,
        training=training,
        accelerate_config=path,
        strategy=read_strategy(path, training),
        revision=model.revision,
        start_token_id=model.start_token_id,
        model_args=model.model_args,
    )


def _merged(file: ExperimentFile, model: ModelEntry) -> dict[str, Any]:
    return {**file.training, **model.training}


def _explain(path: Path, lines: dict[tuple[str | int, ...], int], error: dict[str, Any]) -> str:
    place = tuple(part for part in error["loc"])
    known = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), 1)
    key = ".".join(map(str, place))
    if error["type"] == "extra_forbidden":
        return f"{path}, line {known}: unknown key {key!r}"
    if error["type"] == "missing":
        return f"{path}, line {known}: key {key!r} is missing"
    return f"{path}, line {known}: {key}: {error['msg']} (found {error['input']!r})"


def _check_training(
    path: Path, lines: dict[tuple[str | int, ...], int], place: tuple[str | int, ...], settings: dict[str, Any]
) -> None:
    from training.config import problems

    for key in OURS_TO_SET:
        if key in settings:
            raise ValueError(f"{path}, line {lines[(*place, key)]}: {key!r} is set by the experiment itself")
    for key, problem in problems({key: value for key, value in settings.items() if key != "accelerate_config"}):
        raise ValueError(f"{path}, line {lines[(*place, key)]}: {problem}")
