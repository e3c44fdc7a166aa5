"""The experiment file: one YAML that says which models to treat, how, and what to score before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from harness.experiments.file_checks import Lines, at, check_training, explained, secret_of_a_model
from harness.experiments.method_entries import Methods, problems, projection_of, recipe_by, scales_of, training_of
from harness.experiments.names import FileName
from harness.experiments.places import Places, experiment_path
from harness.machine.peers import HANG_SECONDS, PEER_SECONDS
from harness.machine.strategy import Strategy, read_strategy
from harness.planning.planned_model import PlannedControl, PlannedMethod, PlannedModel
from harness.reporting.thresholds import Thresholds
from harness.storage.files import read_yaml
from harness.storage.reading import parse_yaml
from harness.terminal.secrets import secret_in

PATHS_IN_METADATA = ("_classifier", "data_dir", "split", "tokenizer")
PATHS_IN_MODEL_ARGS = ("tokenizer", "peft", "delta")
PATHS_IN_TRAINING = ("deepspeed", "fsdp_config", "accelerator_config", "text", "words")
"""Ends of the keys, of each part of a file, whose value is a path or may be one."""


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed stands there twice, which would train or make the same again; name each once")
    return seeds


Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1), AfterValidator(_distinct)]


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
    `hang_seconds` and `ddp_timeout` are as in training: of several processes, how long others wait for one that does
    nothing, and how long all of them are waited for at the start.
    """

    dtype: str = "float32"
    batch_size: int | str = "auto"
    device: str | None = None
    accelerate_config: Path | None = None
    limits: dict[str, Annotated[int, Field(ge=2)]] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    gen_kwargs: dict[str, Any] = Field(default_factory=dict)
    hang_seconds: Annotated[float, Field(gt=0)] = HANG_SECONDS
    ddp_timeout: Annotated[float, Field(gt=0)] = PEER_SECONDS


class Control(_Strict):
    """What training is compared with. `noise`: the base with random noise that does as much to its perplexity."""

    kind: Literal["noise"]
    seeds: Seeds = (0,)


def _control(written: Any) -> Any:
    return {"kind": written} if isinstance(written, str) else written


def _one_of_each(controls: tuple[Control, ...]) -> tuple[Control, ...]:
    kinds = [control.kind for control in controls]
    if len(set(kinds)) < len(kinds):
        raise ValueError("two controls of one kind; give one of them all the seeds")
    return controls


class ExperimentFile(_Strict):
    """Score each model, fine-tune it, score every checkpoint with the same tasks, report.

    A stage that fails is started again up to `restarts` times, each time only if it had come further than before.
    `methods` treats each model in several ways instead of the one that `training` says alone. `seeds` trains each fold
    with each of them, `controls` makes models that training is compared with.
    `halves` also reports StereoSet by two fixed halves of its terms: settings chosen on one are checked on the other.
    `training` holds `accelerate_config` and the settings of `python -m training`. A model's own `tasks` take the place
    of the experiment's, its own `training` settings go over them. For a checkpoint the tasks of CrowS-Pairs become
    those of its held-out pairs (`crows_pairs_heldout`). Paths are looked up beside the file first, then in the working
    folder; an accelerate config may be named as those that come with the program are (`cpu_2proc`).
    """

    name: FileName
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    data_dir: str | None = None
    halves: bool = False
    restarts: int = Field(default=3, ge=0)
    retention: Thresholds = Thresholds()
    scoring: Scoring = Scoring()
    training: dict[str, Any] = Field(default_factory=dict)
    methods: Methods
    seeds: Seeds | None = None
    controls: Annotated[tuple[Annotated[Control, BeforeValidator(_control)], ...], AfterValidator(_one_of_each)] = ()


@dataclass(frozen=True)
class Experiment:
    """An experiment file with each model's settings merged and its paths found.

    By `written`, the file's content, a run is known; `folder` is where the file lies.
    """

    name: str
    models: tuple[PlannedModel, ...]
    data_dir: str | None
    halves: bool
    restarts: int
    scoring: Scoring
    written: Mapping[str, Any]
    folder: Path

    @property
    def trained(self) -> tuple[PlannedModel, ...]:
        """Every model by every method that trains it."""
        every = (treated for model in self.models for treated in model.treatments)
        return tuple({one.teacher.called: one.teacher for one in every if one.is_trained}.values())


def load(path: Path) -> Experiment:
    """Read and check an experiment file, its training settings included.

    Args:
        path: the file, or the name of one that comes with the program.

    Raises:
        ValueError: an unknown key, a wrong type, a file that is not there; names file, line and key.
    """
    path = experiment_path(path)
    settings, lines = read_yaml(path)
    return resolved(_checked(str(path), settings, lines), Places(path))


def from_settings(settings: Mapping[str, Any]) -> Experiment:
    """An experiment from what its file would say, checked as a file is.

    Raises:
        ValueError: as `load`; names the key.
    """
    return resolved(_checked("experiment", settings, {}))


def _checked(source: str, settings: Mapping[str, Any], lines: Lines) -> ExperimentFile:
    try:
        file = ExperimentFile.model_validate(settings)
    except ValidationError as error:
        raise ValueError("\n".join(explained(source, lines, dict(item)) for item in error.errors())) from error
    place: tuple[str | int, ...] | None = secret_in(settings) or secret_of_a_model(settings)
    if place:
        raise ValueError(
            f"{at(source, lines, place)}: {'.'.join(map(str, place))} is a key or token, which would lie in the run's "
            "folder: take it out, and set it in the environment (HF_TOKEN, OPENAI_API_KEY)"
        )
    names = [model.name for model in file.models]
    if len(set(names)) != len(names):
        raise ValueError(f"{source}: two models of one name in {names}; results go into folders of these names")
    for place, training in (
        (("training",), file.training),
        *((("models", index, "training"), model.training) for index, model in enumerate(file.models)),
    ):
        check_training(source, lines, place, training, bool(file.seeds))
        if file.methods and "objective" in training:
            where = at(source, lines, (*place, "objective"))
            raise ValueError(f"{where}: `objective` and `methods` contradict each other; make it one of the methods")
    for index, method in enumerate(file.methods):
        for key, problem in problems(method):
            raise ValueError(f"{at(source, lines, ('methods', index, key))}: {problem}")
        check_training(source, lines, ("methods", index), training_of(method, {}), bool(file.seeds))
    return file


def defaults(text: str) -> list[str]:
    """The keys of the file and of its `scoring` that an experiment does not set, as lines of YAML with their values."""
    given = parse_yaml(text, "experiment")
    parts: list[tuple[type[BaseModel], dict[str, Any], str]]
    parts = [(ExperimentFile, given, ""), (Scoring, given.get("scoring", {}), "scoring.")]
    lines = []
    for part, settings, prefix in parts:
        for key, field in part.model_fields.items():
            if key not in settings and not field.is_required() and key not in ("scoring", "training"):
                value = json.dumps(field.get_default(call_default_factory=True), default=dict)
                lines.append(f"{prefix}{key}: {value}")
    return lines


def resolved(file: ExperimentFile, places: Places = Places()) -> Experiment:  # noqa: B008 - it is frozen
    """The experiment with each model's own settings over the common ones, and its paths found.

    Raises:
        ValueError: an accelerate config is not there, or asks for a strategy that there is not; names the file.
    """
    scoring = file.scoring
    config = None if scoring.accelerate_config is None else places.accelerate_config(scoring.accelerate_config)
    metadata = places.found_in(scoring.metadata, PATHS_IN_METADATA)
    return Experiment(
        name=file.name,
        models=tuple(_planned(file, model, places) for model in file.models),
        data_dir=places.found_in({"data_dir": file.data_dir}, ("data_dir",))["data_dir"],
        halves=file.halves,
        restarts=file.restarts,
        scoring=scoring.model_copy(update={"accelerate_config": config, "metadata": metadata}),
        written=json.loads(file.model_dump_json()),
        folder=places.beside,
    )


def _planned(file: ExperimentFile, model: ModelEntry, places: Places) -> PlannedModel:
    training = {**file.training, **model.training}
    methods = tuple(
        PlannedMethod(
            entry.name,
            entry.kind,
            *_launched(training_of(entry, training), places),
            scales_of(entry),
            projection_of(entry, places),
            recipe_by(entry),
        )
        for entry in file.methods
    )
    alone, path, strategy = _launched(training, places)
    return PlannedModel(
        name=model.name,
        pretrained=places.find(model.pretrained),
        tasks=model.tasks or file.tasks,
        training=alone,
        accelerate_config=path,
        strategy=strategy,
        methods=methods,
        revision=model.revision,
        start_token_id=model.start_token_id,
        model_args=places.found_in(model.model_args, PATHS_IN_MODEL_ARGS),
        folder=places.beside,
        seeds=file.seeds or (),
        controls=tuple(PlannedControl(control.kind, control.seeds) for control in file.controls),
    )


def _launched(training: Mapping[str, Any], places: Places) -> tuple[dict[str, Any], Path | None, Strategy]:
    """The settings of a training with their paths found, its accelerate config, and how that spreads it."""
    settings = dict(training)
    config = settings.pop("accelerate_config", None)
    path = None if config is None else places.accelerate_config(Path(config))
    return places.found_in(settings, PATHS_IN_TRAINING), path, read_strategy(path, settings)
