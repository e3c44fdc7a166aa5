"""`stereoscope plan`: what each model of an experiment takes on a machine, config by config, and which one to take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.metrics.formatting import parameters
from harness.planning.choice import Choice, Option, choice
from harness.planning.hardware import Machine, bf16_instructions, machine
from harness.planning.memory import GIB
from harness.planning.plan import parts_of, trainings
from harness.planning.planned_model import PlannedModel

PARTS = ("weights", "gradients", "optimizer", "buffers", "activations", "logits", "peak")
HEADINGS = ("weights", "grads", "optim", "buffers", "activ", "logits", "peak", "host")


def plan(models: Sequence[PlannedModel], device: str, host_gib: float | None = None) -> Iterator[str]:
    """The lines of the plan, each model's as soon as it is made.

    Args:
        device: a name of `harness.planning.hardware.MACHINES`.
        host_gib: memory of the machine itself, where it is not the table's.

    Raises:
        ValueError: the device or a model is not known; says what is.
    """
    on = machine(device, host_gib)
    yield _machine(device, on)
    yield "batch: batches a step x pairs of each, on each device; recomputed: with activation_checkpointing; *: to take"
    yield ""
    yield f"  {'':4} {'config':22} {'batch':23} " + " ".join(f"{name:>7}" for name in HEADINGS)
    summary = []
    for model in models:
        pair = [choice(model, on, full=full) for full in (True, False)]
        yield f"{model.called}: {model.pretrained}, {parameters(pair[0].parameters)} parameters"
        if told := trainings(model):
            yield f"  {told}"
        yield from (_row(one, option) for one in pair for option in one.options)
        summary.append(_summary(model, *pair))
    yield ""
    yield "| model | parameters | all weights | LoRA |\n| --- | ---: | --- | --- |"
    yield from summary


def _machine(device: str, on: Machine) -> str:
    host = f"{on.host_gib:.0f} GiB of its own"
    if not on.gpus:
        able = bf16_instructions()
        tip = f", bf16 by {able}: `bf16: true` in a model's training settings makes steps faster" if able else ""
        return f"{device}: {host}{tip}"
    usable = f"{on.usable(on.gpus):.1f} GiB usable on each GPU"
    return f"{device}: {on.gpus} GPU(s), {usable}, {'bf16' if on.bf16 else 'no bf16'}, {host}. GiB on each GPU:"


def _row(made: Choice, option: Option) -> str:
    parts = parts_of(option.memory)
    sizes = [*(parts[name] for name in PARTS), option.memory.host]
    told = " ".join(f"{size / GIB:7.2f}" for size in sizes)
    mark = "*" if option is made.taken else " "
    how = "full" if made.full else "LoRA"
    return f"{mark} {how:4} {option.config.stem:22} {_batch(option):23} {told}  {option.verdict}"


def _batch(option: Option) -> str:
    times = f"{option.accumulation} x " if option.accumulation > 1 else ""
    again = ", recomputed" if option.checkpointing else ""
    return f"{times}{option.pairs} pair{'s' if option.pairs > 1 else ''}{again}"


def _summary(model: PlannedModel, full: Choice, lora: Choice) -> str:
    return f"| {model.called} | {parameters(full.parameters)} | {_taken(full)} | {_taken(lora)} |"


def _taken(made: Choice) -> str:
    option = made.taken
    if option is None:
        near = made.nearest
        host = f" and {near.memory.host / GIB:.0f} GiB of the host" if near.verdict == "host too small" else ""
        verdict = "tight" if near.verdict == "tight" else "none"
        return f"{verdict}: {near.config.stem}, {_batch(near)} takes {near.memory.peak / GIB:.1f} GiB{host}"
    return f"{option.config.stem}, {_batch(option)}: {option.memory.peak / GIB:.1f} GiB"
