"""`stereoscope eval`: every flag of `lm_eval run`, with this project's tasks, models, defaults and result folders."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import re
import shlex
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.judging.saved_texts import judge_saved
from harness.machine.startup import imports_uncollected
from harness.models.arguments import require_known_arguments
from harness.scoring.conditions import eval_provenance, model_weights_sha256
from harness.scoring.eval_parser import eval_parser
from harness.scoring.eval_table import print_scores
from harness.scoring.evaluation import Results, evaluate, write_scored
from harness.scoring.metadata import require_known_metadata
from harness.scoring.task_files import Selection, select
from harness.scoring.trained import checkpoint_of, trained
from harness.terminal.libraries import take_over_libraries

if TYPE_CHECKING:
    from lm_eval.config.evaluate_config import EvaluatorConfig

OUR_MODEL = "hf-any"
OUR_MODELS = (OUR_MODEL, "hf-causal", "hf-masked", "hf-seq2seq")
HF_MODELS = ("hf", "hf-auto", "huggingface", *OUR_MODELS)
log = logging.getLogger(__name__)


class _Outcome(NamedTuple):
    results: Results
    file: Path | None


def run(argv: Sequence[str]) -> None:
    """Score a model as `lm_eval run` would; see `stereoscope eval --help`.

    Raises:
        ValueError: bad arguments, data or model; the message says which and what to do.
        OSError: the results cannot be written; older ones are untouched.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    args = eval_parser().parse_args(argv)
    compare, verbose = vars(args).pop("compare_start_token"), vars(args).pop("verbose")
    config = _config(args)
    if config.verbosity:
        logging.getLogger("lm_eval").setLevel(config.verbosity)
    command = "stereoscope eval " + _without_secrets(shlex.join(argv))
    if config.model not in OUR_MODELS:  # others form their process group themselves, if they know any
        _score_and_print(config, command, compare, verbose)
        return
    from harness.machine.watch import watched_scoring

    with watched_scoring():
        _score_and_print(config, command, compare, verbose)


def _score_and_print(config: EvaluatorConfig, command: str, compare: str | None, verbose: bool) -> None:
    # Before the model is loaded, which may take minutes.
    selection = _selection(config)
    if config.model in HF_MODELS and (checkpoint := checkpoint_of(config.model_args)):
        trained(checkpoint)  # refused before anything is loaded if its split is another checkpoint's
    lm = _load(config)
    other = None if compare is None else _token_id(lm, compare)
    first = _score(lm, config, selection, command)
    if first is not None:
        _hand_on(first.results, config)
        print_scores(first.results, first.file, verbose, config.limit)
    if other is None:
        return
    tokens = [lm.prefix_token_id, other]
    lm.custom_prefix_token_id = other
    config.metadata = {**config.metadata, "prefix_token_id": other}
    second = _score(lm, config, _selection(config), command, subfolder=f"start_token_{other}")
    if first is not None and second is not None:
        names = [f"{lm.tokenizer.convert_ids_to_tokens(token)} ({token})" for token in tokens]
        print(_spread_table(first.results, second.results, names))


def _config(args: argparse.Namespace) -> EvaluatorConfig:
    """lm-eval's configuration, from flags and its `--config` file, with our defaults where neither speaks."""
    from lm_eval.config.evaluate_config import EvaluatorConfig

    given = {key: value for key, value in vars(args).items() if value is not None}
    if args.config:
        given = {**EvaluatorConfig.load_yaml_config(args.config), **given}
    given["model"] = given.get("model") or OUR_MODEL
    if given["model"] in OUR_MODELS:
        given.setdefault("batch_size", "auto")
    # Given the file's name too, lm-eval would print all of its configuration.
    config = EvaluatorConfig.from_cli(argparse.Namespace(**{**given, "config": None}))
    if config.cache_requests:
        raise ValueError(
            "--cache-requests: lm-eval files requests under the task's name alone and would reuse those made from "
            "other data or another prompt; leave it out"
        )
    for package, asked in (("wandb", config.wandb_args), ("trackio", config.trackio_args)):
        if asked and find_spec(package) is None:
            raise ValueError(f"--{package}_args needs {package}, which is not installed: pip install {package}")
    if not config.tasks:
        raise ValueError("--tasks: which? For example crows_pairs,stereoset,wikitext2")
    require_known_metadata(given.get("metadata") or {})
    if config.model in OUR_MODELS and "device" not in given:
        config.device = None
    if config.model in HF_MODELS:
        if not config.model_args.get("pretrained"):
            require_known_arguments(config.model_args)
            raise ValueError("--model-args pretrained=MODEL: which model? A folder or a hub id")
        if "dtype" not in config.model_args:
            log.info("scoring in float32; --model-args dtype=... chooses another precision")
            config.model_args["dtype"] = "float32"
    config.log_samples = config.log_samples or bool(config.output_path)
    return config


def _load(config: EvaluatorConfig) -> Any:
    with imports_uncollected():
        import lm_eval.models  # noqa: F401 - registers lm-eval's models
        from lm_eval.api.registry import get_model

        import harness.models.any  # noqa: F401 - registers this project's models
    take_over_libraries()

    further = {"batch_size": config.batch_size, "max_batch_size": config.max_batch_size, "device": config.device}
    try:
        return get_model(config.model).create_from_arg_obj(config.model_args, further)
    except ImportError as error:
        extra = " Here that is `pip install 'lm-stereoscope[api]'`" if _is_of_apis(error) else ""
        raise RuntimeError(f"--model {config.model}: {error}{extra}") from error


def _is_of_apis(error: ImportError) -> bool:
    """Whether it is what lm-eval says of packages in its extra `api`."""
    return any(word in str(error) for word in ("lm-eval[api]", "tiktoken", "tenacity", "aiohttp"))


def _score(
    lm: Any, config: EvaluatorConfig, selection: Selection, command: str, subfolder: str = ""
) -> _Outcome | None:
    """Score with the start token that `lm` has now, and write what was asked to be written."""
    from lm_eval.utils import handle_non_serializable

    started = time.monotonic()
    seeds = config.seed or [None] * 4
    passed_on = (
        "model_args num_fewshot batch_size max_batch_size device limit samples check_integrity write_out gen_kwargs "
        "system_instruction apply_chat_template fewshot_as_multiturn predict_only confirm_run_unsafe_code"
    )
    results = evaluate(
        lm,
        selection,
        config.metadata,
        use_cache=_cache(lm, config),
        random_seed=seeds[0],
        numpy_random_seed=seeds[1],
        torch_random_seed=seeds[2],
        fewshot_random_seed=seeds[3],
        judge_later=bool(config.output_path),
        **{name: getattr(config, name) for name in passed_on.split()},
    )
    if results is None:
        if config.output_path:
            judge_saved(None)
        return None
    results["config"]["model"] = results["model_source"] = config.model
    if config.show_config:
        print(json.dumps(_without_samples(results), indent=2, default=handle_non_serializable, ensure_ascii=False))
    if config.output_path:
        path = Path(config.output_path)
        folder, name = (path.parent, path.stem) if path.suffix == ".json" else (path / _folder_name(results), "results")
        provenance = None
        if config.model in HF_MODELS:
            seconds = round(time.monotonic() - started, 3)
            provenance = eval_provenance(lm, config.model_args, results, command, seconds)
        else:
            log.warning("--model %s has no weights to name in the results, so reports pass them over", config.model)
        written = write_scored(folder / subfolder, results, provenance, name=name)
        written = judge_saved(written) or written
        results["results"] = json.loads(written.read_text(encoding="utf-8"))["results"]
        return _Outcome(results, written)
    return _Outcome(results, None)


def _selection(config: EvaluatorConfig) -> Selection:
    names = config.tasks.split(",") if isinstance(config.tasks, str) else ",".join(config.tasks).split(",")
    with imports_uncollected():
        return select(names, config.metadata, config.include_path)


def _cache(lm: Any, config: EvaluatorConfig) -> str | None:
    """Where answers are cached: lm-eval files them under their request alone, so all else has to be in the name."""
    if not config.use_cache:
        return None
    weights, start = "", None
    if config.model in HF_MODELS:
        weights, start = model_weights_sha256(config.model_args), lm.prefix_token_id
    key = json.dumps([weights, config.model, config.model_args, start], sort_keys=True, default=str)
    return f"{config.use_cache}_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _token_id(lm: Any, token: str) -> int:
    """The id of a start token to compare with, given as itself or as its id."""
    from lm_eval.models.huggingface import HFLM

    from harness.models.base import TransformersLM

    if not isinstance(lm, HFLM) or (isinstance(lm, TransformersLM) and lm.family != "causal"):
        raise ValueError(
            "--compare-start-token needs a causal model: of others no sentence starts after a chosen token"
        )
    tokenizer = lm.tokenizer
    token_id = int(token) if token.isdigit() else tokenizer.get_vocab().get(token)
    if token_id is None or token_id >= len(tokenizer):
        raise ValueError(f"--compare-start-token {token}: no such token; special: {tokenizer.all_special_tokens}")
    if token_id == lm.prefix_token_id:
        raise ValueError(f"--compare-start-token {token}: sentences start after this token already; name another")
    return int(token_id)


def _spread_table(first: Results, second: Results, tokens: Sequence[str]) -> str:
    """The metrics of whole tasks under both start tokens; the spread is what a score owes to the choice."""
    rows = [["task", "metric", *(f"after {token}" for token in tokens), "spread"]]
    rows.append(["---"] * len(rows[0]))
    for task, values in first["results"].items():
        for key, value in values.items():
            metric, _, filter_name = key.partition(",")
            other = second["results"][task].get(key)
            if filter_name and "/" not in metric and isinstance(value, float) and isinstance(other, float):
                rows.append([task, metric, f"{value:.4f}", f"{other:.4f}", f"{abs(value - other):.4f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _hand_on(results: Results, config: EvaluatorConfig) -> None:
    """What else `lm_eval run` does with results: Weights & Biases, Trackio, the hub."""
    from lm_eval.loggers import EvaluationTracker, TrackioLogger, WandbLogger

    loggers = [WandbLogger(config.wandb_args, config.wandb_config_args)] if config.wandb_args else []
    loggers += [TrackioLogger(config.trackio_args)] if config.trackio_args else []
    for logger in loggers:
        logger.post_init(_without_samples(results))
        logger.log_eval_result()
        logger.log_eval_samples(results["samples"])
        (logger.run if isinstance(logger, WandbLogger) else logger).finish()
    if config.hf_hub_log_args:
        # The hub gets lm-eval's own files, which it writes before it pushes them.
        with tempfile.TemporaryDirectory() as folder:
            token = os.environ.get("HF_TOKEN", "")
            tracker = EvaluationTracker(**{"token": token, **config.hf_hub_log_args, "output_path": folder})
            for name in vars(tracker.general_config_tracker).keys() & results.keys():
                setattr(tracker.general_config_tracker, name, results[name])
            tracker.save_results_aggregated(_without_samples(results), results["samples"])
            for task, samples in results["samples"].items():
                tracker.save_results_samples(task, [dict(sample) for sample in samples])
            if tracker.push_results_to_hub or tracker.push_samples_to_hub:
                tracker.recreate_metadata_card()


def _without_samples(results: Results) -> Results:
    return {key: value for key, value in results.items() if key != "samples"}


def _folder_name(results: Results) -> str:
    return str(results["model_name_sanitized"])


def _without_secrets(command: str) -> str:
    return re.sub(r"\b(token|hf_token|api_key|auth_token)=[^,\s']+", r"\1=***", command)
