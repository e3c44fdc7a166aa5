"""The flags of `stereoscope eval`: lm-eval's own, and this project's two."""

from __future__ import annotations

import argparse

from harness.scoring.sensitivity import ITEMS

OUR_MODEL = "hf-any"
OUR_MODELS = (OUR_MODEL, "hf-causal", "hf-masked", "hf-seq2seq")


def parser() -> argparse.ArgumentParser:
    """lm-eval's own parser of `run`, so that every flag is taken, and means what it means there."""
    from lm_eval._cli.run import Run

    whole = argparse.ArgumentParser(prog="stereoscope eval", add_help=False)
    commands = whole.add_subparsers()
    Run.create(commands)
    command: argparse.ArgumentParser = commands.choices["run"]
    command.prog, command.usage, command.epilog = "stereoscope eval", None, None
    command.description = (
        f"All flags of `lm_eval run`. Other defaults: --model {OUR_MODEL} (this project's), --batch_size auto, "
        "dtype=float32, --log_samples with --output_path. This project's tasks need no --include_path."
    )
    command.add_argument(
        "--compare_start_token",
        metavar="<token or id>",
        help="score the tasks again with sentences started after this token, and print both and the spread",
    )
    command.add_argument(
        "--check-sensitivity",
        "--check_sensitivity",
        type=_positive,
        nargs="?",
        const=ITEMS,
        metavar="<items>",
        help=f"score a sample of items a task ({ITEMS}) also in float32, after BOS and EOS and in other words, print "
        "how far each moves the scores, and keep it for the report",
    )
    return whole


def _positive(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given!r}: expected how many items of each task to score again, 1 or more")
    return int(given)
