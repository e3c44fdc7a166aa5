"""`stereoscope eval`: every flag of `lm_eval run`, with this project's tasks, models, defaults and result folders."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.judging.saved_texts import judge_saved
from harness.machine.endings import says_what_is_kept
from harness.machine.peers import await_peers
from harness.machine.startup import imports_uncollected
from harness.scoring.conditions import eval_provenance, model_weights_sha256, served_provenance
from harness.scoring.eval_config import (
    HF_MODELS,
    OUR_MODELS,
    eval_config,
    require_examples_taken,
    require_fitting_names,
)
from harness.scoring.eval_parser import eval_parser
from harness.scoring.eval_table import print_scores, shown_if_it_fails
from harness.scoring.evaluation import Results, evaluate, write_scored
from harness.scoring.hand_on import hand_on, without_samples
from harness.scoring.metadata import require_read_metadata
from harness.scoring.sensitivity import (
    check,
    checkable,
    named,
    sensitivity_table,
    start_tokens_table,
    token_id,
)
from harness.scoring.served import SERVED_MODELS, connect
from harness.scoring.task_files import Selection, leaves, select
from harness.scoring.trained import checkpoint_of, trained
from harness.storage.names import LONGEST
from harness.storage.results import results_place
from harness.storage.sensitivity import add_sensitivity
from harness.terminal.libraries import take_over_libraries
from harness.terminal.printable import printable
from harness.terminal.secrets import secrets_among, shown_command, without_tokens

if TYPE_CHECKING:
    from lm_eval.config.evaluate_config import EvaluatorConfig

log = logging.getLogger(__name__)


class _Also(NamedTuple):
    """What is asked for beside the scores: another start token, a sample under other choices, all metrics."""

    start_token: str | None
    sensitivity_items: int | None
    verbose: bool


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
    hang_seconds, ddp_timeout = (vars(args).pop(name) for name in ("hang_seconds", "ddp_timeout"))
    also = _Also(*(vars(args).pop(name) for name in ("compare_start_token", "check_sensitivity", "verbose")))
    config = eval_config(args)
    if config.verbosity:
        logging.getLogger("lm_eval").setLevel(config.verbosity)
    command = "stereoscope eval " + shown_command(argv, secrets_among(config.model_args))
    with says_what_is_kept(_kept(config)):
        if config.model not in OUR_MODELS:  # others form their process group themselves, if they know any
            if config.model in HF_MODELS:
                await_peers(ddp_timeout, "ddp_timeout")
            _score_and_print(config, command, also)
            return
        from harness.machine.watch import watched_scoring

        with watched_scoring(hang_seconds, ddp_timeout):
            _score_and_print(config, command, also)


def _kept(config: EvaluatorConfig) -> str:
    cached = f"answers so far are in {config.use_cache}*, and " if config.use_cache else ""
    if not config.output_path:
        return f"{cached}no scores are kept, as without --output-path"
    return f"{cached}scores are written when all tasks are through; what is in {config.output_path} is complete"


def _score_and_print(config: EvaluatorConfig, command: str, also: _Also) -> None:
    # Before the model is loaded, which may take minutes.
    selection = _selection(config, config.metadata)
    tasks = leaves(selection)
    require_read_metadata(config.metadata.keys() - config.model_args.keys(), tasks)
    require_fitting_names(tasks)
    require_examples_taken(config.num_fewshot, tasks)
    checked = [] if also.sensitivity_items is None else checkable(leaves(selection))
    if config.model in HF_MODELS and (checkpoint := checkpoint_of(config.model_args)):
        trained(checkpoint)  # refused before anything is loaded if its split is another checkpoint's
    if config.model in SERVED_MODELS and (also.start_token or also.sensitivity_items):
        raise ValueError(
            f"--model {config.model}: --compare-start-token and --check-sensitivity load a model in several ways, and "
            "a server has it in one; leave them out"
        )
    served = connect(config, selection) if config.model in SERVED_MODELS else None  # which refuses what it cannot do
    with imports_uncollected():
        _ = selection.loaded  # data, labels and all else that the tasks' readers refuse
    lm = _load(config) if served is None else served
    other = None if also.start_token is None else token_id(lm, also.start_token)
    first = _score(lm, config, selection, command)
    if first is not None:
        print_scores(first.results, first.file, also.verbose, config.limit)
        hand_on(first.results, config)
    if other is not None:
        _score_after(lm, config, command, other, first)
    if also.sensitivity_items is not None:
        _check_sensitivity(lm, config, checked, first, also.sensitivity_items)


def _score_after(lm: Any, config: EvaluatorConfig, command: str, other: int, first: _Outcome | None) -> None:
    """Score again with sentences started after another token, and print both."""
    asked, tokens = lm.custom_prefix_token_id, [named(lm, token) for token in (lm.prefix_token_id, other)]
    lm.custom_prefix_token_id = other
    selection = _selection(config, {**config.metadata, "prefix_token_id": other})
    second = _score(lm, config, selection, command, subfolder=f"start_token_{other}")
    lm.custom_prefix_token_id = asked
    if first is not None and second is not None:
        print(start_tokens_table(first.results, second.results, tokens))


def _check_sensitivity(
    lm: Any, config: EvaluatorConfig, tasks: Sequence[str], first: _Outcome | None, items: int
) -> None:
    as_scored = str(lm.model.dtype).removeprefix("torch.")

    def rescore(lm: Any, tasks: Sequence[str], metadata: Mapping[str, Any], items: int | None) -> Results | None:
        return _evaluated(lm, config, select(tasks, metadata, config.include_path), items=items)

    def in_fp32() -> Any:
        arguments = {name: value for name, value in config.model_args.items() if name != "mixed_precision_dtype"}
        return _load(replace(config, model_args={**arguments, "dtype": "float32"}))

    scored = None if first is None else first.results
    found = check(lm, scored, tasks, config.metadata, items, rescore, in_fp32)
    if first is None:
        return
    if first.file is not None:
        add_sensitivity(first.file, found)
    print(
        sensitivity_table(found, f"as scored ({as_scored})")
        if found
        else "--check-sensitivity: nothing here could have been chosen otherwise: float32, no question, and no "
        "sentence that starts after BOS or EOS"
    )


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
    results = _evaluated(lm, config, selection, use_cache=_cache(lm, config), judge_later=bool(config.output_path))
    if results is None:
        if config.output_path:
            judge_saved(None)
        return None
    results["config"]["model"] = results["model_source"] = config.model
    if config.show_config:
        told = json.dumps(without_samples(results), indent=2, default=handle_non_serializable, ensure_ascii=False)
        print(printable(without_tokens(told)))
    if config.output_path:
        folder, name = results_place(config.output_path)
        folder = folder if name else folder / _folder_name(results)
        provenance, written = None, None
        with shown_if_it_fails(results, lambda: written):
            seconds = round(time.monotonic() - started, 3)
            if config.model in HF_MODELS:
                provenance = eval_provenance(lm, config.model_args, results, command, seconds)
            elif config.model in SERVED_MODELS:
                provenance = served_provenance(lm, results, command, seconds)
            else:
                log.warning(
                    "--model %s has no weights to name in the results; reports say that they are not known",
                    config.model,
                )
            written = write_scored(folder / subfolder, results, provenance, name=name or "results")
            if config.model in SERVED_MODELS:
                lm.answers.close(keep=bool(config.use_cache))  # the results hold them now
            written = judge_saved(written) or written
            results["results"] = json.loads(written.read_text(encoding="utf-8"))["results"]
        return _Outcome(results, written)
    return _Outcome(results, None)


def _evaluated(lm: Any, config: EvaluatorConfig, selection: Selection, **more: Any) -> Results | None:
    """Score tasks with a model, as the command line asks."""
    seeds = config.seed or [None] * 4
    passed_on = (
        "model_args num_fewshot batch_size max_batch_size device limit samples check_integrity write_out gen_kwargs "
        "system_instruction apply_chat_template fewshot_as_multiturn predict_only confirm_run_unsafe_code"
    )
    return evaluate(
        lm,
        selection,
        config.metadata,
        random_seed=seeds[0],
        numpy_random_seed=seeds[1],
        torch_random_seed=seeds[2],
        fewshot_random_seed=seeds[3],
        **{name: getattr(config, name) for name in passed_on.split()},
        **more,
    )


def _selection(config: EvaluatorConfig, metadata: Mapping[str, Any]) -> Selection:
    names = config.tasks.split(",") if isinstance(config.tasks, str) else ",".join(config.tasks).split(",")
    with imports_uncollected():
        return select(names, metadata, config.include_path)


def _cache(lm: Any, config: EvaluatorConfig) -> str | None:
    """Where answers are cached: lm-eval files them under their request alone, so all else has to be in the name."""
    if not config.use_cache or config.model in SERVED_MODELS:  # these keep their answers themselves
        return None
    weights, start = "", None
    if config.model in HF_MODELS:
        weights, start = model_weights_sha256(config.model_args), lm.prefix_token_id
    key = json.dumps([weights, config.model, config.model_args, start], sort_keys=True, default=str)
    return f"{config.use_cache}_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _folder_name(results: Results) -> str:
    """lm-eval's name of the model, cut with a digest where a folder could not have it."""
    name = str(results["model_name_sanitized"])
    if len(name.encode()) <= LONGEST:
        return name
    kept = name.encode()[-LONGEST:].decode(errors="ignore")
    return f"{hashlib.sha256(name.encode()).hexdigest()[:16]}_{kept}"
