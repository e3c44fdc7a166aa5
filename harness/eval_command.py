"""`stereoscope eval`: every flag of `lm_eval run`, with this project's tasks, models, defaults and result folders."""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.evaluation import Results, evaluate, scoring_conditions, write_scored
from harness.metrics.benchmarks import BENCHMARKS
from harness.results import Provenance
from harness.task_files import task_manager

if TYPE_CHECKING:
    from lm_eval.config.evaluate_config import EvaluatorConfig

OUR_MODEL = "hf-causal"
HF_MODELS = ("hf", "hf-auto", "huggingface", OUR_MODEL)
log = logging.getLogger(__name__)


def main(argv: Sequence[str]) -> None:
    """Score a model as `lm_eval run` would; see `stereoscope eval --help`.

    Raises:
        ValueError: bad arguments, data or model; the message says which and what to do.
        OSError: the results cannot be written; older ones are untouched.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from lm_eval.utils import make_table, setup_logging

    setup_logging()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    args = _parser().parse_args(["run", *argv])
    compare = vars(args).pop("compare_start_token")
    config = _config(args)
    _refuse_request_cache(config)
    command = "stereoscope eval " + _without_secrets(shlex.join(argv))
    lm = _load(config)
    first = _score(lm, config, command, ())
    if first is None and compare is None:
        return
    other_id = None if compare is None else _token_id(lm, compare)
    if first is not None:
        _hand_on(first, config)
        batch_sizes = ",".join(map(str, first["config"]["batch_sizes"]))
        print(
            f"{config.model} ({config.model_args}), gen_kwargs: ({config.gen_kwargs}), limit: {config.limit}, "
            f"num_fewshot: {config.num_fewshot}, batch_size: {config.batch_size} {f'({batch_sizes})' if batch_sizes else ''}"
        )
        print(make_table(first))
        if "groups" in first:
            print(make_table(first, "groups"))
    if other_id is not None:
        started_after = lm.prefix_token_id
        lm.custom_prefix_token_id = other_id
        config.metadata = {**config.metadata, "prefix_token_id": other_id}
        second = _score(lm, config, command, (f"start_token_{other_id}",))
        if first is not None and second is not None:
            names = [f"{lm.tokenizer.convert_ids_to_tokens(token)} ({token})" for token in (started_after, other_id)]
            print(_spread_table(first, second, names))


def _parser() -> argparse.ArgumentParser:
    """lm-eval's own parser of `run`, so that every flag is taken, and means what it means there."""
    from lm_eval._cli.run import Run

    parser = argparse.ArgumentParser(prog="stereoscope eval", add_help=False)
    commands = parser.add_subparsers()
    Run.create(commands)
    run: argparse.ArgumentParser = commands.choices["run"]
    run.prog, run.usage, run.epilog = "stereoscope eval", None, None
    run.description = (
        "All flags of `lm_eval run`. Other defaults: --model hf-causal (this project's), dtype=float32, --batch_size auto, "
        "--log_samples with --output_path; the tasks of this project need no --include_path."
    )
    run.add_argument(
        "--compare_start_token",
        metavar="<token or id>",
        help="score the tasks again with sentences started after this token, and print both and the spread",
    )
    return parser


def _config(args: argparse.Namespace) -> EvaluatorConfig:
    from lm_eval.config.evaluate_config import EvaluatorConfig

    given = dict(vars(args))
    if args.config:
        given = {**EvaluatorConfig.load_yaml_config(args.config), **{k: v for k, v in given.items() if v is not None}}
    args.model = given.get("model") or OUR_MODEL
    if args.model == OUR_MODEL and "batch_size" not in given:
        args.batch_size = "auto"
    config = EvaluatorConfig.from_cli(args)
    if config.model == OUR_MODEL and not given.get("device"):
        config.device = None
    if config.model in HF_MODELS and "dtype" not in config.model_args:
        log.info("scoring in dtype=float32; another one is chosen with --model_args dtype=...")
        config.model_args["dtype"] = "float32"
    config.log_samples = bool(config.output_path)
    return config


def _refuse_request_cache(config: EvaluatorConfig) -> None:
    """lm-eval files the requests it caches under the task's name alone: other data or another prompt go unnoticed."""
    if config.cache_requests:
        raise ValueError("--cache_requests: lm-eval would reuse requests made from other data; leave it out")


def _load(config: EvaluatorConfig) -> Any:
    import lm_eval.models  # noqa: F401 - registers lm-eval's models
    from lm_eval.api.registry import get_model

    import harness.models.causal  # noqa: F401 - registers hf-causal

    return get_model(config.model).create_from_arg_obj(
        config.model_args,
        {"batch_size": config.batch_size, "max_batch_size": config.max_batch_size, "device": config.device},
    )


def _score(lm: Any, config: EvaluatorConfig, command: str, subfolders: Sequence[str]) -> Results | None:
    """Score with the start token that `lm` has now; write what was asked to be written."""
    started = time.monotonic()
    seeds = config.seed or [None] * 4
    results = evaluate(
        lm,
        config.tasks,
        config.metadata,
        config.include_path,
        model_args=config.model_args,
        num_fewshot=config.num_fewshot,
        batch_size=config.batch_size,
        max_batch_size=config.max_batch_size,
        device=config.device,
        use_cache=_cache(lm, config),
        limit=config.limit,
        samples=config.samples,
        check_integrity=config.check_integrity,
        write_out=config.write_out,
        system_instruction=config.system_instruction,
        apply_chat_template=config.apply_chat_template,
        fewshot_as_multiturn=config.fewshot_as_multiturn,
        gen_kwargs=config.gen_kwargs,
        predict_only=config.predict_only,
        random_seed=seeds[0],
        numpy_random_seed=seeds[1],
        torch_random_seed=seeds[2],
        fewshot_random_seed=seeds[3],
        confirm_run_unsafe_code=config.confirm_run_unsafe_code,
    )
    if results is None:
        return None
    results["config"]["model"] = results["model_source"] = config.model
    if config.show_config:
        from lm_eval.utils import handle_non_serializable

        shown = {key: value for key, value in results.items() if key != "samples"}
        print(json.dumps(shown, indent=2, default=handle_non_serializable, ensure_ascii=False))
    if config.output_path:
        path = Path(config.output_path)
        folder, name = (path.parent, path.stem) if path.suffix == ".json" else (path / _folder_name(results), "results")
        provenance = _provenance(lm, config, results, command, round(time.monotonic() - started, 3))
        written = write_scored(folder.joinpath(*subfolders), results, provenance, name=name)
        log.info("results and samples are in %s", written.parent)
    return results


def _provenance(
    lm: Any, config: EvaluatorConfig, results: Results, command: str, seconds: float
) -> Provenance | None:
    from lm_eval.models.huggingface import HFLM

    if not isinstance(lm, HFLM):
        log.warning("--model %s has no weights here to name in the results, so reports pass them over", config.model)
        return None
    pretrained = str(config.model_args["pretrained"])
    return Provenance(
        model=Path(pretrained).resolve().name if Path(pretrained).is_dir() else pretrained,
        pretrained=pretrained,
        parameters=_parameters(lm),
        weights_sha256=_weights_sha256(config.model_args),
        checkpoint=config.model_args.get("peft"),
        **scoring_conditions(lm, results),
        command=command,
        seconds=seconds,
    )


def _parameters(lm: Any) -> int:
    from harness.models.causal import CausalLM

    return lm.parameters if isinstance(lm, CausalLM) else sum(weight.numel() for weight in lm.model.parameters())


def _weights_sha256(model_args: Mapping[str, Any]) -> str:
    from harness.models.causal import files_sha256

    names = ("pretrained", "revision", "subfolder", "gguf_file", "peft")
    return files_sha256(**{name: str(model_args[name]) for name in names if model_args.get(name)})


def _cache(lm: Any, config: EvaluatorConfig) -> str | None:
    """lm-eval files an answer under its request alone; the file's name must tell apart whatever else it depends on."""
    if not config.use_cache:
        return None
    import hashlib

    weights = _weights_sha256(config.model_args) if config.model in HF_MODELS else ""
    start = getattr(lm, "prefix_token_id", None)
    key = json.dumps([weights, config.model, config.model_args, start], sort_keys=True, default=str)
    return f"{config.use_cache}_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _token_id(lm: Any, token: str) -> int:
    from lm_eval.models.huggingface import HFLM

    if not isinstance(lm, HFLM):
        raise ValueError("--compare_start_token needs a model whose tokenizer is known here, such as hf-causal")
    tokenizer = lm.tokenizer
    token_id = int(token) if token.isdigit() else tokenizer.convert_tokens_to_ids(token)
    if token_id is None or token_id >= len(tokenizer) or (token_id == tokenizer.unk_token_id != token):
        raise ValueError(f"--compare_start_token {token}: no such token; special ones are {tokenizer.all_special_tokens}")
    if token_id == lm.prefix_token_id:
        raise ValueError(f"--compare_start_token {token}: sentences start after this token already; name another")
    return int(token_id)


def _spread_table(first: Results, second: Results, names: Sequence[str]) -> str:
    """The metrics of the whole under both start tokens; the spread says how much a score owes to the choice."""
    rows = [["task", "metric", *(f"after {name}" for name in names), "spread"]]
    for task, values in first["results"].items():
        for key in (f"{metric},none" for metric in _whole_metrics(task, values)):
            pair = values[key], second["results"][task][key]
            if all(isinstance(value, (int, float)) for value in pair):
                rows.append([task, key.removesuffix(",none"), *(f"{v:.4f}" for v in pair), f"{abs(pair[0] - pair[1]):.4f}"])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _whole_metrics(task: str, values: Mapping[str, Any]) -> list[str]:
    metrics = [key.removesuffix(",none") for key in values if key.endswith(",none") and "_stderr" not in key]
    return [metric for metric in metrics if "/" not in metric and not (task in BENCHMARKS and metric == "n")]


def _hand_on(results: Results, config: EvaluatorConfig) -> None:
    """What else `lm_eval run` does with results: Weights & Biases, Trackio, the hub."""
    from lm_eval.loggers import EvaluationTracker, TrackioLogger, WandbLogger

    loggers = [
        *([(WandbLogger(config.wandb_args, config.wandb_config_args))] if config.wandb_args else []),
        *([TrackioLogger(config.trackio_args)] if config.trackio_args else []),
    ]
    content = {key: value for key, value in results.items() if key != "samples"}
    for logger in loggers:
        logger.post_init(content)
        logger.log_eval_result()
        logger.log_eval_samples(results["samples"])
    ...


def _folder_name(results: Results) -> str:
    return str(results["model_name_sanitized"])


def _without_secrets(command: str) -> str:
    return re.sub(r"\b(token|hf_token|api_key|auth_token)=[^,\s']+", r"\1=***", command)
