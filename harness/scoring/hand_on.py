"""What else `lm_eval run` does with results: Weights & Biases, Trackio, the hub."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from harness.terminal.secrets import recordable

if TYPE_CHECKING:
    from lm_eval.config.evaluate_config import EvaluatorConfig

Results = dict[str, Any]


def hand_on(results: Results, config: EvaluatorConfig) -> None:
    """Give results to every logger that the command line names, and to the hub; without keys in their settings."""
    from lm_eval.loggers import EvaluationTracker, TrackioLogger, WandbLogger

    configs = {
        task: {**told, "metadata": recordable(told.get("metadata") or {})} for task, told in results["configs"].items()
    }
    results = {**results, "config": recordable(results["config"]), "configs": configs}
    loggers = [WandbLogger(config.wandb_args, config.wandb_config_args)] if config.wandb_args else []
    loggers += [TrackioLogger(config.trackio_args)] if config.trackio_args else []
    for logger in loggers:
        logger.post_init(without_samples(results))
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
            tracker.save_results_aggregated(without_samples(results), results["samples"])
            for task, samples in results["samples"].items():
                tracker.save_results_samples(task, [dict(sample) for sample in samples])
            if tracker.push_results_to_hub or tracker.push_samples_to_hub:
                tracker.recreate_metadata_card()


def without_samples(results: Results) -> Results:
    """Results as they are printed and logged."""
    return {key: value for key, value in results.items() if key != "samples"}
