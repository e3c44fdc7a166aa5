"""What `stereoscope eval` was asked for, checked before a model is loaded."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from harness.data.families import read_config
from harness.metrics.benchmarks import BENCHMARKS
from harness.models.arguments import require_dtype, require_known_arguments
from harness.scoring.metadata import require_known_metadata
from harness.scoring.served import CHAT, SERVED_MODELS, prepare
from harness.storage.files import require_writable
from harness.storage.names import LONGEST
from harness.storage.results import results_place
from harness.terminal.logs import is_first_process

if TYPE_CHECKING:
    from lm_eval.config.evaluate_config import EvaluatorConfig

OUR_MODEL = "hf-any"
OUR_MODELS = (OUR_MODEL, "hf-causal", "hf-masked", "hf-seq2seq")
HF_MODELS = ("hf", "hf-auto", "huggingface", *OUR_MODELS)
log = logging.getLogger(__name__)


def eval_config(args: argparse.Namespace) -> EvaluatorConfig:
    """lm-eval's configuration, from flags and its `--config` file, with our defaults where neither speaks.

    Raises:
        ValueError: a setting that would fail later, or change nothing; says which and what to do.
        OSError: `--output-path` cannot be written.
    """
    from lm_eval.config.evaluate_config import EvaluatorConfig

    given = {key: value for key, value in vars(args).items() if value is not None}
    if args.config:
        given = {**EvaluatorConfig.load_yaml_config(args.config), **given}
    given["model"] = given.get("model") or OUR_MODEL
    if given["model"] in OUR_MODELS:
        given.setdefault("batch_size", "auto")
    if given["model"] == CHAT:  # a chat takes messages, and the server has the template
        given.setdefault("apply_chat_template", True)
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
    if config.model in SERVED_MODELS:
        prepare(config)
    if config.model in OUR_MODELS and "device" not in given:
        config.device = None
    if config.model in HF_MODELS:
        if not config.model_args.get("pretrained"):
            require_known_arguments(config.model_args)
            raise ValueError("--model-args pretrained=MODEL: which model? A folder or a hub id")
        if "dtype" not in config.model_args:
            log.info("scoring in float32; --model-args dtype=... chooses another precision")
            config.model_args["dtype"] = "float32"
        require_dtype(config.model_args["dtype"])
        if not config.model_args.get("trust_remote_code"):
            require_known_arguments(config.model_args, read_config(config.model_args))
        if config.model not in OUR_MODELS:  # ours do so anyway
            config.model_args.setdefault("softmax_dtype", "float32")
    config.log_samples = config.log_samples or bool(config.output_path)
    if config.output_path and is_first_process():
        require_writable(results_place(config.output_path)[0], "--output-path")
    return config


def require_examples_taken(num_fewshot: int | None, tasks: Sequence[str]) -> None:
    """Refuse examples before each prompt where no task takes any, and tell which do not; lm-eval would say nothing.

    Raises:
        ValueError: all tasks are of this project, whose definitions have no examples.
    """
    without = [task for task in tasks if task in BENCHMARKS]
    if not num_fewshot or not without:
        return
    if len(without) == len(tasks):
        raise ValueError(
            f"--num-fewshot {num_fewshot}: {', '.join(without)} are asked without examples, as their definitions have "
            "it; leave the option out"
        )
    log.warning("--num-fewshot %d is for the other tasks: %s take no examples", num_fewshot, ", ".join(without))


def require_fitting_names(tasks: Iterable[str]) -> None:
    """Refuse tasks whose samples files could not have their names.

    Raises:
        ValueError: names the task.
    """
    for task in tasks:
        if len(task.encode()) > LONGEST:
            raise ValueError(
                f"task {task[:40]}...: its name has {len(task.encode())} bytes and is part of a file's, which takes "
                f"{LONGEST} of it; give it a shorter one"
            )
