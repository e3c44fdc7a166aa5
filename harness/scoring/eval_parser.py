"""The options of `stereoscope eval`: lm-eval's own of `lm_eval run`, told with this project's defaults, and ours."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from harness.machine.peers import HANG_SECONDS, PEER_SECONDS
from harness.scoring.sensitivity import ITEMS
from harness.terminal.options import DashedParser

_DESCRIPTION = (
    "Score a model on this project's tasks, or on any of lm-eval's. Every option of `lm_eval run` is taken and means "
    "what it means there."
)
_USAGE = "stereoscope eval --model-args pretrained=MODEL --tasks TASK [TASK ...] [--output-path FOLDER] [options]"

# By lm-eval's names; an option that a later lm-eval adds keeps its own text.
_HELP: Mapping[str, str] = {
    "config": "YAML file that sets any of these options; what is given on the command line wins",
    "tasks": "tasks and groups, with spaces or commas between them; a pattern ('stereoset*'), a task's YAML file and a "
    "folder of such files are taken too. `stereoscope tasks` lists this project's",
    "model": "class of the model (default: hf-any, which is hf-causal, hf-masked or hf-seq2seq, as the model's config "
    "asks for; local-completions and local-chat-completions ask a server; lm-eval's own classes are taken too)",
    "model_args": "the model and how to load it: pretrained=MODEL, a folder or a hub id; dtype=float32 (the default); "
    "revision=..., peft=ADAPTER, prefix_token_id=ID, ...; of a server model=NAME,base_url=URL",
    "apply_chat_template": "put prompts into the model's chat template, or into the one of this name (default: no)",
    "limit": "score so many documents of each task, the first ones; below 1, this share of them (default: all)",
    "use_cache": "beginning of the name of a file that keeps the model's answers, for the next time they are asked for",
    "num_fewshot": "examples before each prompt (default: what the task says; this project's have none)",
    "batch_size": "rows in a batch at most (default: auto, which fills batches by their tokens alone)",
    "max_batch_size": "rows in a batch at most, where --batch-size is auto and texts are generated on a GPU",
    "device": "cuda, cuda:0, cpu, ... (default: the GPU if there is one)",
    "gen_kwargs": "change how texts are generated, in all tasks: max_gen_toks=40 top_p=1 ...",
    "output_path": "folder for the results and all that they are computed from, or the name of a .json file (default: "
    "nothing is kept)",
    "log_samples": "keep the model's answers beside the results (always done with --output-path)",
    "samples": "score these documents: JSON of task names and document numbers, '{\"crows_pairs\": [0, 1, 2]}'",
    # Refused, see `eval_command`.
    "cache_requests": argparse.SUPPRESS,
    "check_integrity": "let lm-eval run its own checks of the tasks first",
    "system_instruction": "text that goes before every prompt",
    "fewshot_as_multiturn": "examples as turns of a conversation (default: with --apply-chat-template)",
    "include_path": "folder with further task YAMLs; this project's need none",
    "verbosity": "how much lm-eval logs: WARNING (the default), INFO, DEBUG",
    "write_out": "print the prompts of the first documents",
    "show_config": "print the whole configuration after scoring",
    "wandb_args": "send the results to Weights & Biases: arguments of its init",
    "wandb_config_args": "arguments of its config",
    "trackio_args": "send the results to Trackio: arguments of its init, project=...",
    "hf_hub_log_args": "send the results to the Hugging Face hub: arguments of lm-eval's EvaluationTracker",
    "predict_only": "keep the answers and compute no scores",
    "seed": "seeds of Python, NumPy, torch and the choice of examples: one number for all, or four with commas "
    "(default: 0,1234,1234,1234); the third one decides generated texts",
    "trust_remote_code": "run code that comes with a model or data set on the hub",
    "confirm_run_unsafe_code": "run tasks that execute what the model wrote",
    "metadata": "settings of the tasks: data_dir=FOLDER, permutations=3, k=5, toxicity_classifier=..., and whatever "
    "lm-eval's tasks know",
}


def eval_parser() -> DashedParser:
    """lm-eval's own parser of `run`, so that every flag is taken, and means what it means there; and our options."""
    from lm_eval._cli.run import Run

    commands = DashedParser(add_help=False).add_subparsers()
    Run.create(commands)
    parser: DashedParser = commands.choices["run"]
    parser.prog, parser.usage, parser.epilog, parser.description = "stereoscope eval", _USAGE, None, _DESCRIPTION
    for action in parser._actions:
        action.help = _HELP.get(action.dest, action.help)
    for group in parser._action_groups:
        group.title = (group.title or "").partition(" (see also")[0]
    ours = parser.add_argument_group("of this project")
    ours.add_argument(
        "--verbose",
        action="store_true",
        help="print all metrics, those of each bias type and group included (default: each task's headline metrics)",
    )
    ours.add_argument(
        "--compare-start-token",
        metavar="<token or id>",
        help="score the tasks again with sentences started after this token, and print both and the spread",
    )
    ours.add_argument(
        "--check-sensitivity",
        type=_positive,
        nargs="?",
        const=ITEMS,
        metavar="<items>",
        help=f"score a sample of items a task ({ITEMS}) also in float32, after BOS and EOS and in other words, print "
        "how far each moves the scores, and keep it for the report",
    )
    ours.add_argument(
        "--hang-seconds",
        type=_seconds,
        default=HANG_SECONDS,
        metavar="<seconds>",
        help="of several processes: end, and name the one that hangs, when others have waited so long for it and it "
        f"did nothing (default: {HANG_SECONDS:g})",
    )
    ours.add_argument(
        "--ddp-timeout",
        type=_seconds,
        default=PEER_SECONDS,
        metavar="<seconds>",
        help=f"of several processes: wait so long for all of them to come (default: {PEER_SECONDS:g})",
    )
    parser.finish()
    return parser


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{given!r}: expected seconds, more than 0")
    return seconds


def _positive(given: str) -> int:
    if not given.isdecimal() or int(given) < 1:
        raise argparse.ArgumentTypeError(f"{given!r}: expected how many items of each task to score again, 1 or more")
    return int(given)
