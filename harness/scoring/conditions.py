"""The provenance of a scored model: what it is, and under which conditions it was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.judging.judges import choice_of
from harness.metrics.benchmarks import BENCHMARKS
from harness.scoring.lineage import lineage_of
from harness.scoring.trained import checkpoint_of, trained, trained_from
from harness.storage.controls import read_record
from harness.storage.projections import read_record as projection_record
from harness.storage.provenance import NOT_KNOWN, Generation, Provenance, TaskData, asking_of
from harness.storage.recipes import Recipe, weights_by
from harness.storage.weights import files_sha256

if TYPE_CHECKING:
    from harness.models.served import Served

VERSIONED = ("lm-stereoscope", "lm-eval", "transformers", "torch", "peft", "accelerate")
_SOURCE = ("pretrained", "revision", "subfolder", "gguf_file")


def scoring_conditions(lm: Any, results: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the provenance that the model and the results know: start token, precision, prompt, data, versions.

    Args:
        lm: the model that was scored, any of lm-eval's that have one of `transformers`.
        results: lm-eval's, with samples.
    """
    if hasattr(lm, "start"):
        token, token_id = lm.start
    else:
        token, token_id = str(lm.tokenizer.convert_ids_to_tokens(lm.prefix_token_id)), lm.prefix_token_id
    return {
        "family": getattr(lm, "family", lm.backend),
        "lineage": lineage_of(lm),
        "started_after": token,
        "started_after_id": token_id,
        "dtype": str(lm.model.dtype).removeprefix("torch."),
        **asking_conditions(results),
    }


def asking_conditions(results: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the provenance that the results alone know: prompts, data, how texts were drawn, versions."""
    return {
        "asking": asking_of(results, results["samples"]),
        "tasks": {
            task: _data(task, samples, results["n-samples"][task]) for task, samples in results["samples"].items()
        },
        "generations": {
            task: _generation(config, results["config"]["torch_seed"])
            for task, config in results["configs"].items()
            if "measures" in (config.get("metadata") or {})
        },
        "versions": {name: version(name) for name in VERSIONED},
    }


def _data(task: str, samples: Sequence[Mapping[str, Any]], counted: Mapping[str, int]) -> TaskData:
    if task in BENCHMARKS:
        doc = samples[0]["doc"]
        return TaskData(sha256=doc["data_sha256"], origin=doc["data_origin"], n=len(samples), of=counted["original"])
    documents = sorted({sample["doc_hash"] for sample in samples})
    return TaskData(
        sha256=hashlib.sha256("".join(documents).encode()).hexdigest(),
        origin="task",
        n=len(samples),
        of=counted["original"] * len(samples) // counted["effective"],  # a document has a line for each filter
    )


def eval_provenance(
    lm: Any, model_args: Mapping[str, Any], results: Mapping[str, Any], command: str, seconds: float
) -> Provenance:
    """The provenance of what `stereoscope eval` scored: an adapter, a checkpoint of ours, or a recipe, is a step.

    Raises:
        ValueError: the checkpoint's split belongs to other weights.
    """
    pretrained, peft = str(model_args["pretrained"]), model_args.get("peft")
    checkpoint = checkpoint_of(model_args)
    told = None if checkpoint is None else trained(checkpoint)
    control = None if checkpoint is None else read_record(checkpoint)
    projected = None if checkpoint is None else projection_record(checkpoint)
    base = pretrained if peft or told is None or told.split is None else told.split.base or pretrained
    if projected is not None:
        base = projected.base
    recipe: Recipe | None = getattr(lm, "recipe", None)
    unadapted = {name: value for name, value in model_args.items() if name in _SOURCE}
    return Provenance(
        model=Path(base).resolve().name if Path(base).is_dir() else base,
        pretrained=pretrained,
        parameters=parameters_of(lm),
        weights_sha256=weights_by(recipe, model_weights_sha256(model_args)),
        **trained_from(checkpoint, model_weights_sha256(unadapted), bool(peft), recipe is not None),
        stage="control" if control else "base" if told is None and recipe is None else "step",
        method=recipe.kind if recipe else projected and projected.kind,
        recipe=recipe,
        control=control and control.kind,
        matched_by=control and control.matched_by,
        seed=control and control.seed,
        step=told and told.step,
        epoch=told and told.epoch,
        fold=told and told.fold,
        checkpoint=None if checkpoint is None else str(checkpoint),
        **scoring_conditions(lm, results),
        command=command,
        seconds=seconds,
    )


def served_provenance(lm: Served, results: Mapping[str, Any], command: str, seconds: float) -> Provenance:
    """The provenance of a model behind an API: what its server says, and nothing of its weights.

    Args:
        results: lm-eval's, with samples.
        command: what was called, without keys.
    """
    token, token_id = lm.start
    conditions = asking_conditions(results)
    if lm.template:
        conditions["asking"] = conditions["asking"].model_copy(update={"chat_template_sha256": lm.template})
    return Provenance(
        model=lm.model,
        pretrained=lm.model,
        parameters=lm.server.parameters,
        family="causal",
        weights_sha256=None,
        weights_from="server",
        server=lm.server,
        started_after=token,
        started_after_id=token_id,
        dtype=lm.server.format or NOT_KNOWN,
        **conditions,
        command=command,
        seconds=seconds,
    )


def model_weights_sha256(model_args: Mapping[str, Any]) -> str:
    """Digest of the weights that lm-eval's model arguments name, the adapter's included."""
    return files_sha256(**{name: str(model_args[name]) for name in (*_SOURCE, "peft") if model_args.get(name)})


def parameters_of(lm: Any) -> int | None:
    """Number of parameters of the base model, whether an adapter stands on it or not, so that both have the same size.

    None for a quantised model, whose tensors hold several packed into one number.
    """
    if getattr(lm.model, "hf_quantizer", None) is not None:
        return None
    counted: int | None = getattr(lm, "parameters", None)
    if counted is not None:
        return counted
    found: int = sum(weight.numel() for name, weight in lm.model.named_parameters() if "lora_" not in name)
    return found


def _generation(config: Mapping[str, Any], seed: int) -> Generation:
    measures = config["metadata"]["measures"]
    choice = choice_of(measures, config["metadata"])
    return Generation(
        measures=measures,
        k=config["repeats"],
        arguments=config["generation_kwargs"],
        seed=seed,
        classifier=choice.classifier,
        labels=choice.labels,
    )
