"""`stereoscope eval`: every flag of `lm_eval run`, with this project's tasks, models, defaults and result folders."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.judging.saved_texts import judge_saved
from harness.machine.startup import imports_uncollected
from harness.scoring.eval_flags import OUR_MODEL, OUR_MODELS, parser
from harness.scoring.evaluation import Results, evaluate, scoring_conditions, write_scored
from harness.scoring.hand_on import hand_on, without_samples
from harness.scoring.sensitivity import (
    check,
    checkable,
    named,
    sensitivity_table,
    start_tokens_table,
    token_id,
)
from harness.scoring.task_files import leaves, select
from harness.storage.results import Provenance
from harness.storage.sensitivity import add_sensitivity

if TYPE_CHECKING:
    from lm_eval.config.evaluate_config import EvaluatorConfig

HF_MODELS = ("hf", "hf-auto", "huggingface", *OUR_MODELS)
log = logging.getLogger(__name__)


def run(argv: Sequence[str]) -> None:
    """Score a model as `lm_eval run` would; see `stereoscope eval --help`.

    Raises:
        ValueError: bad arguments, data or model; the message says which and what to do.
        OSError: the results cannot be written; older ones are untouched.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from lm_eval.utils import setup_logging

    setup_logging()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    args = parser().parse_args(["run", *argv])
    compare, items = (vars(args).pop(name) for name in ("compare_start_token", "check_sensitivity"))
    config = _config(args)
    command = "stereoscope eval " + _without_secrets(shlex.join(argv))
    if config.model not in OUR_MODELS:  # others form their process group themselves, if they know any
        _score_and_print(config, command, compare, items)
        return
    from harness.machine.watch import watched_scoring

    with watched_scoring():
        _score_and_print(config, command, compare, items)


def _score_and_print(config: EvaluatorConfig, command: str, compare: str | None, items: int | None) -> None:
    from lm_eval.utils import make_table

    checked = [] if items is None else checkable(leaves(select(_names(config), config.metadata, config.include_path)))
    lm = _load(config)
    other = None if compare is None else token_id(lm, compare)
    first, file = _score(lm, config, command)
    if first is not None:
        hand_on(first, config)
        print(
            f"{config.model} ({config.model_args}), gen_kwargs: ({config.gen_kwargs}), limit: {config.limit}, "
            f"num_fewshot: {config.num_fewshot}, batch_size: {config.batch_size}"
        )
        print(make_table(first))
        if "groups" in first:
            print(make_table(first, "groups"))
    if other is not None:
        asked, tokens = lm.custom_prefix_token_id, [named(lm, token) for token in (lm.prefix_token_id, other)]
        lm.custom_prefix_token_id = other
        metadata = {**config.metadata, "prefix_token_id": other}
        second, _ = _score(lm, config, command, metadata, subfolder=f"start_token_{other}")
        lm.custom_prefix_token_id = asked
        if first is not None and second is not None:
            print(start_tokens_table(first, second, tokens))
    if items is not None:
        _check_sensitivity(lm, config, checked, first, file, items)


def _check_sensitivity(
    lm: Any, config: EvaluatorConfig, tasks: Sequence[str], scored: Results | None, file: Path | None, items: int
) -> None:
    as_scored = str(lm.model.dtype).removeprefix("torch.")

    def rescore(lm: Any, tasks: Sequence[str], metadata: Mapping[str, Any], items: int | None) -> Results | None:
        return _evaluated(lm, config, tasks, metadata, items=items)

    def in_fp32() -> Any:
        arguments = {name: value for name, value in config.model_args.items() if name != "mixed_precision_dtype"}
        return _load(replace(config, model_args={**arguments, "dtype": "float32"}))

    found = check(lm, scored, tasks, config.metadata, items, rescore, in_fp32)
    if file is not None:
        add_sensitivity(file, found)
    if scored is not None:
        print(
            sensitivity_table(found, f"as scored ({as_scored})")
            if found
            else "--check-sensitivity: nothing here could have been chosen otherwise: float32, no question, and no "
            "sentence that starts after BOS or EOS"
        )


def _config(args: argparse.Namespace) -> EvaluatorConfig:
    """lm-eval's configuration, from flags and its `--config` file, with our defaults where neither speaks."""
    from lm_eval.config.evaluate_config import EvaluatorConfig

    given = {key: value for key, value in vars(args).items() if value is not None}
    if args.config:
        given = {**EvaluatorConfig.load_yaml_config(args.config), **given}
    args.model = given.get("model") or OUR_MODEL
    if args.model in OUR_MODELS and "batch_size" not in given:
        args.batch_size = "auto"
    config = EvaluatorConfig.from_cli(args)
    if config.cache_requests:
        raise ValueError(
            "--cache_requests: lm-eval files requests under the task's name alone and would reuse those made from "
            "other data or another prompt; leave it out"
        )
    if not config.tasks:
        raise ValueError("--tasks: which? For example crows_pairs,stereoset,wikitext2")
    if config.model in OUR_MODELS and "device" not in given:
        config.device = None
    if config.model in HF_MODELS:
        if not config.model_args.get("pretrained"):
            raise ValueError("--model_args pretrained=MODEL: which model? A folder or a hub id")
        if "dtype" not in config.model_args:
            log.info("scoring in dtype=float32; --model_args dtype=... chooses another precision")
            config.model_args["dtype"] = "float32"
        if config.model not in OUR_MODELS:  # ours do so anyway
            config.model_args.setdefault("softmax_dtype", "float32")
    config.log_samples = config.log_samples or bool(config.output_path)
    return config


def _load(config: EvaluatorConfig) -> Any:
    with imports_uncollected():
        import lm_eval.models  # noqa: F401 - registers lm-eval's models
        from lm_eval.api.registry import get_model

        import harness.models.any  # noqa: F401 - registers this project's models

    return get_model(config.model).create_from_arg_obj(
        config.model_args,
        {"batch_size": config.batch_size, "max_batch_size": config.max_batch_size, "device": config.device},
    )


def _names(config: EvaluatorConfig) -> list[str]:
    return config.tasks.split(",") if isinstance(config.tasks, str) else ",".join(config.tasks).split(",")


def _evaluated(
    lm: Any,
    config: EvaluatorConfig,
    tasks: Sequence[str],
    metadata: Mapping[str, Any],
    **more: Any,
) -> Results | None:
    """Score tasks with a model, as the command line asks."""
    seeds = config.seed or [None] * 4
    passed_on = (
        "model_args num_fewshot batch_size max_batch_size device limit samples check_integrity write_out gen_kwargs "
        "system_instruction apply_chat_template fewshot_as_multiturn predict_only confirm_run_unsafe_code"
    )
    return evaluate(
        lm,
        tasks,
        metadata,
        config.include_path,
        random_seed=seeds[0],
        numpy_random_seed=seeds[1],
        torch_random_seed=seeds[2],
        fewshot_random_seed=seeds[3],
        **{name: getattr(config, name) for name in passed_on.split()},
        **more,
    )


def _score(
    lm: Any, config: EvaluatorConfig, command: str, metadata: Mapping[str, Any] | None = None, subfolder: str = ""
) -> tuple[Results | None, Path | None]:
    """Score with the start token that `lm` has now, and write what was asked to be written: results and their file."""
    from lm_eval.utils import handle_non_serializable

    started = time.monotonic()
    results = _evaluated(
        lm,
        config,
        _names(config),
        config.metadata if metadata is None else metadata,
        use_cache=_cache(lm, config),
        judge_later=bool(config.output_path),
    )
    if results is None:
        if config.output_path:
            judge_saved(None)
        return None, None
    results["config"]["model"] = results["model_source"] = config.model
    if config.show_config:
        print(json.dumps(without_samples(results), indent=2, default=handle_non_serializable, ensure_ascii=False))
    if not config.output_path:
        return results, None
    path = Path(config.output_path)
    folder, name = (path.parent, path.stem) if path.suffix == ".json" else (path / _folder_name(results), "results")
    provenance = _provenance(lm, config, results, command, round(time.monotonic() - started, 3))
    written = write_scored(folder / subfolder, results, provenance, name=name)
    written = judge_saved(written) or written
    log.info("results and samples are in %s", written.parent)
    results["results"] = json.loads(written.read_text(encoding="utf-8"))["results"]
    return results, written


def _provenance(lm: Any, config: EvaluatorConfig, results: Results, command: str, seconds: float) -> Provenance | None:
    from harness.models.base import TransformersLM

    if config.model not in HF_MODELS:
        log.warning("--model %s has no weights here to name in the results, so reports pass them over", config.model)
        return None
    pretrained = str(config.model_args["pretrained"])
    weights = (
        lm.parameters if isinstance(lm, TransformersLM) else sum(weight.numel() for weight in lm.model.parameters())
    )
    return Provenance(
        model=Path(pretrained).resolve().name if Path(pretrained).is_dir() else pretrained,
        pretrained=pretrained,
        parameters=weights,
        weights_sha256=_weights_sha256(config.model_args),
        checkpoint=config.model_args.get("peft"),
        **scoring_conditions(lm, results),
        command=command,
        seconds=seconds,
    )


def _weights_sha256(model_args: Mapping[str, Any]) -> str:
    from harness.models.base import files_sha256

    names = ("pretrained", "revision", "subfolder", "gguf_file", "peft")
    return files_sha256(**{name: str(model_args[name]) for name in names if model_args.get(name)})


def _cache(lm: Any, config: EvaluatorConfig) -> str | None:
    """Where answers are cached: lm-eval files them under their request alone, so all else has to be in the name."""
    if not config.use_cache:
        return None
    weights, start = "", None
    if config.model in HF_MODELS:
        weights, start = _weights_sha256(config.model_args), lm.prefix_token_id
    key = json.dumps([weights, config.model, config.model_args, start], sort_keys=True, default=str)
    return f"{config.use_cache}_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _folder_name(results: Results) -> str:
    return str(results["model_name_sanitized"])


def _without_secrets(command: str) -> str:
    return re.sub(r"\b(token|hf_token|api_key|auth_token)=[^,\s']+", r"\1=***", command)
