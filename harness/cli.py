"""The `stereoscope` command. Heavy imports wait until a command needs them, so that help is instant."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from harness.completion import EvalCommand
from harness.data.fetch import app as data_app
from harness.experiments.launching import Stopped
from harness.exporting.card_command import card_command
from harness.exporting.command import app as export_app
from harness.mitigation.command import project_command
from harness.models.commands import app as model_app
from harness.terminal.bars import bars_on_terminals_only
from harness.terminal.logs import start_logging
from harness.terminal.printable import printable

if TYPE_CHECKING:
    from harness.experiments.stage import Executor

app = typer.Typer(
    name="stereoscope",
    help="Does fine-tuning make a language model less biased without breaking it, and does that hold as models grow?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Options were called --output_dir before they were called --output-dir.
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)
app.add_typer(data_app, name="data", help="List, fetch and verify the benchmark data.")
app.add_typer(model_app, name="model", help="Write a real model as a transformers folder, without a model hub.")
app.add_typer(
    export_app, name="export", help="Write what was scored in the formats of others, without loading a model."
)

_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"stereoscope {version('lm-stereoscope')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before any command."""


@app.command(name="eval", cls=EvalCommand, context_settings=_PASS_ON)
def evaluate(context: typer.Context) -> None:
    """Score a model on this project's tasks, or on any of lm-eval's."""
    from harness.scoring.eval_command import run as run_eval

    run_eval(context.args)


@app.command(context_settings=_PASS_ON)
def train(context: typer.Context) -> None:
    """Fine-tune a model on CrowS-Pairs, here or, with --accelerate-config, on several processes."""
    from harness.experiments.train_command import run as run_training

    run_training(context.args)


@app.command()
def experiments() -> None:
    """List the ready experiments: what each is for, its models, and the data that it needs."""
    from harness.experiments.ready import listing

    for line in listing():
        print(printable(line))


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of a ready experiment, as `stereoscope experiments` lists them.")],
    file: Annotated[Path | None, typer.Argument(help="File to write; default: NAME.yaml here.")] = None,
) -> None:
    """Write a commented copy of a ready experiment, to start one of your own from."""
    from harness.experiments.ready import write_copy

    print(write_copy(name, file))


@app.command()
def tasks() -> None:
    """List the tasks: what each gives, which models it takes, and whether its data is on this machine."""
    from harness.planning.task_list import table

    print(table())


@app.command()
def run(
    experiment: Annotated[Path, typer.Argument(help="Experiment file, or the name of a ready one, e.g. demo.")],
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder of the run. [default: runs/NAME]", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print each model's memory and every command, and run nothing.")
    ] = False,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="Where stages run: here one by one, or on a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="HOST:PORT of the Ray cluster's head; default: the one this machine is part of.")
    ] = None,
) -> None:
    """Score the base, fine-tune, score every checkpoint, and report; a run that was stopped goes on where it was."""
    from harness.experiments.experiment import run as run_experiment

    if address is not None and executor != "ray":
        raise typer.BadParameter("--address names a Ray cluster: give --executor ray with it")
    report = run_experiment(experiment, output_dir, dry_run, _ray(address) if executor == "ray" else None)
    if not dry_run:
        _show(report)


@app.command()
def plan(
    experiment: Annotated[Path, typer.Argument(help="Experiment file, or the name of a ready one, e.g. scalability.")],
    device: Annotated[
        str, typer.Option(help="t4x2, p100, t4, l4, rtx3090, rtx4090, a100-40, a100-80 or cpu (this machine's).")
    ] = "t4x2",
    host_gib: Annotated[
        float | None, typer.Option(help="Memory of the machine itself in GiB, where it differs from the usual.")
    ] = None,
) -> None:
    """Show the memory that each model takes under every accelerate config, and which config to take."""
    from harness.experiments.experiment_file import load
    from harness.planning.plan_table import plan as lines

    for line in lines(load(experiment).trained, device, host_gib):
        print(printable(line), flush=True)


@app.command()
def report(
    run_dirs: Annotated[list[Path], typer.Argument(help="Folders of runs, or of `stereoscope eval` results.")],
    output_dir: Annotated[
        Path | None, typer.Option(help="Where to write. [default: report/ in the only run folder]", show_default=False)
    ] = None,
    halves: Annotated[bool, typer.Option("--halves", help="Show StereoSet by two halves of its terms too.")] = False,
) -> None:
    """Write report, leaderboards and plots from results that are there; no model is loaded."""
    from harness.reporting.build import build_report

    _show(build_report(run_dirs, output_dir, halves=halves))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Folder of results; of a run: FOLDER@base, FOLDER@last or FOLDER@STEP.")],
    b: Annotated[str, typer.Argument(help="What is compared with it, item by item; the words are about this one.")],
    fail_if_worse: Annotated[
        bool,
        typer.Option("--fail-if-worse", help="Exit with 1 if B is more biased or broken, with 2 if nothing tells."),
    ] = False,
) -> None:
    """Compare two scored models or stages, item by item, with the smallest change that could have been shown."""
    from harness.reporting.compare import compare as compared

    try:
        found = compared(a, b)
    except (OSError, ValueError) as error:
        if not fail_if_worse:
            raise
        print(f"stereoscope: {printable(error)}", file=sys.stderr)
        raise typer.Exit(2) from error
    print(printable(found))
    if fail_if_worse and found.is_worse:
        raise typer.Exit(1)
    if fail_if_worse and found.judgement.word == "suspect":
        raise typer.Exit(2)


@app.command()
def classify(
    results_dir: Annotated[Path, typer.Argument(help="Folder of results, of `stereoscope eval` or of a run.")],
    classifier: Annotated[
        str | None, typer.Option(help="Hub id or folder. Default: the judge that each task was run with.")
    ] = None,
    label: Annotated[str, typer.Option(help="The label that a toxicity classifier gives to toxic texts.")] = "hate",
    data_dir: Annotated[
        str | None, typer.Option(help="Data folder that holds HurtLex, which HONEST counts words of.")
    ] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Accept pickled weights, which can run code of whoever made them.")
    ] = False,
) -> None:
    """Judge saved texts again, with another classifier; nothing is generated. Reports take the newest judgement."""
    from harness.judging.saved_texts import reclassify

    for file in reclassify(results_dir, classifier, label, data_dir, allow_pickle):
        print(printable(file))


app.command(name="project")(project_command)
app.command(name="card")(card_command)


@app.command(hidden=True)
def score(job: Annotated[Path, typer.Argument(help="Job file of a run's scoring stage.")]) -> None:
    """Score a base and its checkpoints; `stereoscope run` starts this, under accelerate where it says so."""
    from harness.machine.orphans import exit_with_run
    from harness.scoring.job import run_job

    exit_with_run()
    run_job(job)


@app.command(hidden=True)
def control(job: Annotated[Path, typer.Argument(help="Job file of a run's control stage.")]) -> None:
    """Make the controls that a trained model is compared with; `stereoscope run` starts this in one process."""
    from harness.editing.job import run_control
    from harness.machine.orphans import exit_with_run

    exit_with_run()
    run_control(job)


@app.command(hidden=True)
def projection(job: Annotated[Path, typer.Argument(help="Job file of a run's projection stage.")]) -> None:
    """Make the projection of a method; `stereoscope run` starts this in one process."""
    from harness.machine.orphans import exit_with_run
    from harness.mitigation.job import run_projection

    exit_with_run()
    run_projection(job)


@app.command(hidden=True)
def scale(job: Annotated[Path, typer.Argument(help="Job file of a run's scaling stage.")]) -> None:
    """Take what training taught another number of times; `stereoscope run` starts this in one process."""
    from harness.editing.scaling import run_scaling
    from harness.machine.orphans import exit_with_run

    exit_with_run()
    run_scaling(job)


def _ray(address: str | None) -> Executor:
    try:
        from harness.experiments.ray_executor import RayExecutor
    except ModuleNotFoundError as error:
        raise RuntimeError("--executor ray needs Ray: pip install 'lm-stereoscope[ray]'") from error
    return RayExecutor(address)


def _show(folder: Path) -> None:
    print(printable((folder / "leaderboard.md").read_text(encoding="utf-8")))
    for file in sorted(folder.iterdir()):
        print(printable(file))


def main() -> None:
    """Run the command line; what the user can mend is one message, anything else keeps its traceback."""
    bars_on_terminals_only()
    start_logging()
    try:
        app()
    except (ValueError, OSError, RuntimeError, FloatingPointError) as error:
        logging.getLogger(__name__).debug("where it came from", exc_info=True)
        print(f"stereoscope: {printable(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stereoscope: stopped; the same command goes on from the last finished stage", file=sys.stderr)
        sys.exit(130)
    except Stopped:
        print("stereoscope: stopped by SIGTERM; the same command goes on from what is saved", file=sys.stderr)
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
