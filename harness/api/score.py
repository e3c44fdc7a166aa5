"""`harness.score`: one model on some tasks, from a folder, the hub or memory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.api.alone import require_one_process
from harness.api.checkpoint import Checkpoint
from harness.api.scores import Scores
from harness.data.sources import find

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from harness.models.base import TransformersLM

ADAPTER_CONFIG = "adapter_config.json"


class _Asked(NamedTuple):
    """Which weights, what reports call them, and where in training they are from."""

    name: str
    pretrained: str
    adapter: str | None = None
    checkpoint: str | None = None
    step: int | None = None
    epoch: float | None = None
    fold: int | None = None


def score(
    model: str | Path | Checkpoint | PreTrainedModel | PeftModel,
    tasks: str | Sequence[str],
    tokenizer: PreTrainedTokenizerBase | str | Path | None = None,
    *,
    name: str | None = None,
    step: int | None = None,
    fold: int | None = None,
    limit: int | Mapping[str, int] | None = None,
    data_dir: str | Path | None = None,
    metadata: Mapping[str, Any] | None = None,
    gen_kwargs: Mapping[str, Any] | None = None,
    batch_size: int | str = "auto",
    start_token_id: int | None = None,
    recipe: str | Path | Mapping[str, Any] | None = None,
    dtype: str | None = None,
    device: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
) -> Scores:
    """Score a language model of any family, in this process, as `stereoscope eval` does.

    A model in memory is scored on its device and in its precision, with the adapters that are at work, and given back
    as it was: training or not, generation config, and the random state of the whole program.

    Args:
        model: a folder, an adapter's folder (its base is the one that it names), a hub id, a checkpoint of
            `finetune`, or a model in memory with its vocabulary head.
        tasks: names of tasks or groups, as a list or with commas between: `"crows_pairs,stereoset"`.
        tokenizer: of a model in memory; by default that of the folder or hub id that it was loaded from. Of another
            model the folder or hub id of one that is not its own.
        name: what tables and reports call the model.
        step: the training step that a model in memory is at, so that a report compares it with its base; None: a base.
        fold: the fold that was held out in training up to `step`.
        limit: score the first so many documents of every task, or of those named.
        data_dir: a folder with the data sets, or "sample"; by default as `stereoscope data list` says.
        metadata: for the tasks' readers: `k`, `toxicity_classifier`, ...
        gen_kwargs: over the generation arguments of all tasks: `max_gen_toks`, ...
        batch_size: rows a batch at most; "auto" cuts by tokens alone.
        start_token_id: the token that a causal model's sentences start after; by default BOS, else EOS.
        recipe: a method at inference: "self_debias", or `kind` and its settings as a mapping or a YAML file; reports
            compare it with its base.
        dtype: precision to load a folder or hub id in, "float32" by default.
        device: where to load it; by default a GPU where there is one.
        revision: of a hub id.
        allow_pickle: load pickled weights, which can run code of whoever made them.

    Raises:
        FileNotFoundError: data that a task reads is not there.
        TypeError: what is no model, or a setting of loading for a model that is in memory.
        ValueError: an unknown task, a model that a task is not defined for, no tokenizer; the message says what to do.
        FloatingPointError: a score is not finite.
        RuntimeError: one of several processes of a launch; `stereoscope eval` spreads scoring over them.
    """
    require_one_process("score", "harness eval ...")
    from harness.inference.recipe import recipe_of
    from harness.machine.randomness import randomness_kept
    from harness.scoring.evaluation import score as score_loaded
    from harness.scoring.metadata import require_read_metadata
    from harness.scoring.task_files import leaves, select, sources_of

    names = [task.strip() for task in (tasks.split(",") if isinstance(tasks, str) else tasks)]
    meant = None if recipe is None else recipe_of(recipe)
    asking = {"start_token_id": start_token_id, "recipe": None if meant is None else recipe}
    options = {"limit": limit, "data_dir": data_dir and str(data_dir), **asking, "dtype": dtype}
    common = {"batch_size": batch_size, "prefix_token_id": start_token_id, "recipe": meant}
    loading = {"dtype": dtype, "device": device, "revision": revision, "allow_pickle": allow_pickle or None}
    given = {key: value for key, value in loading.items() if value is not None}
    require_read_metadata(metadata or {}, leaves(select(names, {})))
    for source in sources_of(tuple(names)):
        find(source, data_dir)
    home = TemporaryDirectory(prefix="stereoscope-")
    with (
        randomness_kept(),
        _loaded(model, tokenizer, common, given) as (lm, found),
    ):
        asked = found._replace(
            name=name or found.name,
            step=found.step if step is None else step,
            fold=found.fold if fold is None else fold,
        )
        score_loaded(
            lm,
            names,
            Path(home.name),
            model=asked.name,
            metadata={**({} if data_dir is None else {"data_dir": str(data_dir)}), **(metadata or {})},
            limits=limit,
            gen_kwargs=gen_kwargs,
            stage="base" if asked.step is None and asked.checkpoint is None and meant is None else "step",
            method=None if meant is None else meant.kind,
            step=asked.step,
            epoch=asked.epoch,
            fold=asked.fold,
            checkpoint=asked.checkpoint,
            command=_call(asked, names, options),
        )
    return Scores(home)


@contextmanager
def _loaded(
    model: object, tokenizer: object, common: Mapping[str, Any], loading: Mapping[str, Any]
) -> Iterator[tuple[TransformersLM, _Asked]]:
    from harness.models.any import load_lm

    if isinstance(model, str | Path | Checkpoint):
        asked = _asked(model)
        if tokenizer is not None and not isinstance(tokenizer, str | Path):
            raise TypeError(
                f"a {type(tokenizer).__name__} goes with a model in memory; beside {asked.pretrained} name the "
                "tokenizer's folder or hub id"
            )
        others = {} if tokenizer is None else {"tokenizer": str(tokenizer)}
        yield load_lm(asked.pretrained, peft=asked.adapter, **common, **loading, **others), asked
        return
    with _in_memory(model, tokenizer, loading) as pretrained:
        yield load_lm(pretrained, **common), _Asked(_called(pretrained), pretrained)


@contextmanager
def _in_memory(model: object, tokenizer: object, loading: Mapping[str, Any]) -> Iterator[str]:
    from peft import PeftModel
    from transformers import AutoTokenizer, PreTrainedModel

    from harness.models.borrowed import borrowed

    if not isinstance(model, PreTrainedModel | PeftModel):
        raise TypeError(
            f"model is a {type(model).__name__}; expected a folder, a hub id, a checkpoint of finetune, or a "
            "transformers PreTrainedModel or PeftModel. Of a compiled or wrapped model give the one inside"
        )
    if loading:
        raise TypeError(
            f"{', '.join(sorted(loading))}: how a folder is loaded, and this model is in memory; set it on the model "
            "itself, as in model.to(...)"
        )
    if tokenizer is None or isinstance(tokenizer, str | Path):
        source = str(tokenizer or model.config.name_or_path)
        if not source:
            raise ValueError("a model in memory that was not loaded from anywhere: give its tokenizer as `tokenizer`")
        tokenizer = AutoTokenizer.from_pretrained(source)
    with borrowed(model, tokenizer) as pretrained:
        yield pretrained


def _asked(model: str | Path | Checkpoint) -> _Asked:
    """What a folder says of itself, as `stereoscope eval` reads it: a base, or a step with its fold."""
    from harness.scoring.trained import checkpoint_of, trained

    folder = str(model.folder) if isinstance(model, Checkpoint) else str(model)
    adapter = folder if (Path(folder) / ADAPTER_CONFIG).is_file() else None
    base = model.base if isinstance(model, Checkpoint) else None
    pretrained = folder if adapter is None else base or _base_of(adapter)
    checkpoint = checkpoint_of({"pretrained": pretrained, "peft": adapter})
    if checkpoint is None:
        return _Asked(_called(pretrained), pretrained)
    told = trained(checkpoint)
    if adapter is None and told.split is not None:
        base = told.split.base or base
    name = _called(base or pretrained)
    return _Asked(name, pretrained, adapter, str(checkpoint), told.step, told.epoch, told.fold)


def _base_of(adapter: str) -> str:
    from harness.models.adapters import read_adapter_config

    base = read_adapter_config(Path(adapter)).base_model_name_or_path
    if not base:
        raise ValueError(f"{adapter}: an adapter whose {ADAPTER_CONFIG} names no base model; write it there")
    return str(base)


def _call(asked: _Asked, tasks: Sequence[str], options: Mapping[str, object]) -> str:
    """The call as somebody would type it again, as far as it decides the scores."""
    told = "".join(f", {key}={value!r}" for key, value in options.items() if value is not None)
    return f"harness.score({asked.checkpoint or asked.pretrained!r}, {list(tasks)!r}{told})"


def _called(pretrained: str) -> str:
    """The folder's name, or the hub id."""
    return Path(pretrained).resolve().name if Path(pretrained).is_dir() else re.sub(r"\s+", " ", pretrained)
