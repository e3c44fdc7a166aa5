"""What an experiment's stages would refuse, refused before the first one starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.families import TASKS_OF, family, family_of, read_config
from harness.data.infill import require_sentinels
from harness.data.sources import find
from harness.data.tokens import load_tokenizer
from harness.experiments.experiment_file import Experiment
from harness.inference.recipe import Applied
from harness.machine.devices import require_able, require_deepspeed, visible_gpus
from harness.machine.strategy import read_strategy
from harness.metrics.benchmarks import BENCHMARKS, HELD_OUT_OF
from harness.models.arguments import require_known_arguments
from harness.models.positions import window_told
from harness.planning.planned_model import PlannedModel, require_found
from harness.scoring.metadata import require_known_metadata, require_read_metadata
from harness.scoring.task_files import leaves, select, sources_of
from harness.storage.files import looked_in
from harness.storage.weights import require_safe_weights

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def check(experiment: Experiment, config_of: Callable[[PlannedModel], PretrainedConfig]) -> None:
    """Check every model's weights, tasks and precision; of the models only configs are read.

    Raises:
        FileNotFoundError: data that a task reads is not there.
        ValueError: names the model, what it cannot do, and what it can.
    """
    require_known_metadata(experiment.scoring.metadata)
    tasks = {task for model in experiment.models for task in _leaves(model.tasks)}
    require_read_metadata(experiment.scoring.metadata, tasks | {HELD_OUT_OF.get(task, task) for task in tasks})
    _check_data(experiment)
    for model in experiment.models:
        require_found(model)
        require_safe_weights(model.pretrained, bool(model.training.get("allow_pickle")))
        config = _config(experiment, model, config_of)
        require_known_arguments(model.model_args, config)
        _check_tasks(experiment, model, config)
        _check_projections(experiment, model, config)
    for model in experiment.trained:
        config = _config(experiment, model, config_of)
        _check_precision(experiment, model, config)
        _check_training(experiment, model, config)


def check_packages(experiment: Experiment) -> None:
    """Check that what the accelerate configs ask for is installed.

    Raises:
        ValueError: names the extra to install.
    """
    scoring = read_strategy(experiment.scoring.accelerate_config, {})
    for strategy in (scoring, *(model.strategy for model in experiment.trained)):
        require_deepspeed(strategy)


def check_devices(experiment: Experiment) -> None:
    """Check that this machine can run each model's training; those on several machines are checked on each of them.

    Raises:
        ValueError: names the model, what it asks for and what to take instead.
    """
    gpus = visible_gpus()
    for model in experiment.trained:
        if model.strategy.machines == 1:
            try:
                require_able(model.strategy, gpus)
            except ValueError as error:
                raise ValueError(f"{experiment.name}, model {model.name}: {error}") from error


def _check_data(experiment: Experiment) -> None:
    name = experiment.data_dir
    if name not in (None, "", "sample") and not Path(name).is_dir():
        raise ValueError(
            f"{experiment.name}: data_dir {name}: no such folder {looked_in(experiment.folder)}; `sample` means the "
            "built-in samples"
        )
    for model in experiment.models:
        for source in sources_of(model.tasks):
            find(source, name)


def _config(
    experiment: Experiment, model: PlannedModel, config_of: Callable[[PlannedModel], PretrainedConfig]
) -> PretrainedConfig:
    try:
        return config_of(model)
    except OSError as error:
        raise ValueError(
            f"{experiment.name}, model {model.name}: no folder {model.pretrained} {looked_in(model.folder)}, and as a "
            f"hub id it gives no model: {error}"
        ) from error


def check_controls(experiment: Experiment) -> None:
    """Check that each model's controls can be sized: there is training to compare with, and text to measure it on.

    Raises:
        FileNotFoundError: the data folder has no validation text.
        ValueError: names the model, and what to set instead.
    """
    for model in experiment.trained:
        if not model.controls:
            continue
        where = f"{experiment.name}, model {model.name}: controls"
        find("wikitext2_valid", experiment.data_dir)
        if still := _trains_nothing(model.training):
            raise ValueError(f"{where}: nothing is trained ({still}), so there is nothing to compare with; drop them")
        try:
            _require_read(model, "perplexity on running text")
        except ValueError as error:
            raise ValueError(f"{where}: {error}, or drop `controls`") from error


def check_texts(experiment: Experiment) -> None:
    """Check that each model that trains on running text can be asked for it.

    Raises:
        ValueError: names the model, and what it lacks.
    """
    from training.pair_arguments import reads_text

    for model in experiment.trained:
        if reads_text(model.training):
            try:
                _require_read(model, "running text")
            except ValueError as error:
                raise ValueError(f"{experiment.name}, model {model.called}: {error}") from error


def _require_read(model: PlannedModel, asking: str) -> None:
    """Of encoder-decoders: a tokenizer with sentinels, behind which running text is hidden."""
    source = {"pretrained": model.pretrained, "revision": model.revision}
    if family_of(source) == "seq2seq":
        require_sentinels(load_tokenizer({**model.model_args, **source}), asking)


def _check_projections(experiment: Experiment, model: PlannedModel, config: PretrainedConfig) -> None:
    """A place in the model for each projection, and enough sentences about each group in its text."""
    for method in model.methods:
        if (asked := method.projection) is None:
            continue
        from harness.data.sentences import running_text
        from harness.mitigation.place import require_place
        from harness.mitigation.project import about_groups

        try:
            require_place(config.model_type, family(config))
            about_groups(running_text(asked.text, experiment.data_dir), asked.text, asked.words, asked.bias_types)
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(f"{experiment.name}, model {model.name}, method {method.name}: {error}") from error


def check_recipes(experiment: Experiment) -> None:
    """Check that each model's window has room for the prefixes of its methods; its tokenizer is read.

    Raises:
        ValueError: names the model, the method and both lengths.
    """
    for model in experiment.models:
        source = {"pretrained": model.pretrained, "revision": model.revision}
        for method in model.methods:
            if method.recipe is None:
                continue
            positions = window_told(read_config(source))
            longest = Applied(method.recipe, load_tokenizer({**model.model_args, **source})).longest
            if positions is not None and longest >= positions - 1:
                raise ValueError(
                    f"{experiment.name}, model {model.name}, method {method.name}: its longest prefix has {longest} "
                    f"tokens, and the model's window {positions}; shorten it"
                )


def _check_training(experiment: Experiment, model: PlannedModel, config: PretrainedConfig) -> None:
    """Settings that mean something for the model, and the text that training reads."""
    from harness.planning.plan import pair_arguments
    from training.families import require_readable

    try:
        settings = {**model.training, "data_dir": experiment.data_dir}
        require_readable(pair_arguments(model.pretrained, settings), config)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"{experiment.name}, model {model.called}: {error}") from error


def _trains_nothing(training: Mapping[str, Any]) -> str | None:
    """The setting because of which a training would change no weight, if there is one."""
    from training.config import folds_of

    if not folds_of(training):
        return "no folds"
    steps, epochs = float(training.get("max_steps") or -1), float(training.get("num_train_epochs", 1))
    if steps <= 0 and epochs <= 0:
        return f"num_train_epochs: {epochs:g}"
    return "learning_rate: 0" if float(training.get("learning_rate", 1)) == 0 else None


def _check_tasks(experiment: Experiment, model: PlannedModel, config: PretrainedConfig) -> None:
    kind = family(config)
    asked = _leaves(model.tasks)
    able = list(_leaves(tuple(TASKS_OF[kind].split(", "))))
    if chosen := [task for task in asked if task in HELD_OUT_OF.values()]:
        raise ValueError(
            f"{experiment.name}, model {model.name}: tasks name {', '.join(chosen)}, which only a trained checkpoint "
            f"can be asked; name {', '.join(str(BENCHMARKS[task].whole) for task in chosen)}, and checkpoints are "
            "scored on their held-out pairs by themselves"
        )
    able += [task for task, benchmark in BENCHMARKS.items() if kind in benchmark.families]
    if wrong := [task for task in asked if task in BENCHMARKS and task not in able]:
        raise ValueError(
            f"{experiment.name}, model {model.name}: {model.pretrained} is a {kind} language model, which cannot be "
            f"asked {', '.join(wrong)}. It can be asked {TASKS_OF[kind]}; give it `tasks` of its own"
        )


@cache
def _leaves(tasks: tuple[str, ...]) -> list[str]:
    return leaves(select(tasks, {}))


def _check_precision(experiment: Experiment, model: PlannedModel, config: PretrainedConfig) -> None:
    from training.families import T5_TYPES

    if config.model_type in T5_TYPES and model.strategy.precision == "fp16":
        raise ValueError(
            f"{experiment.name}, model {model.name}: trained in fp16, where the feed-forward layers of "
            f"{model.pretrained} overflow; give its `training` an accelerate_config in fp32, such as "
            "accelerate_configs/t4x2_ddp_fp32.yaml"
        )
