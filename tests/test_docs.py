"""Every command of the README and of docs/ is one that the programs take, by their own parsers; files are in place."""

from __future__ import annotations

import argparse
import io
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.experiments.places import experiment_path
from harness.storage.shipped import shipped_file

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_OURS = {"cd", "export", "git", "ip", "llama-server", "pip", "ray", "sbatch", "srun", "tar", "vllm"}
pytestmark = pytest.mark.slow
ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each command in the page's shell blocks, and of each whole one between back-ticks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    shell = [block.replace("\\\n", " ") for language, block in blocks if language == "sh"]
    lines = [line.strip() for block in shell for line in block.splitlines()]
    inline = re.findall(r"(?<!`)`((?:[A-Z_]+=\S+ )*(?:python|stereoscope|make|accelerate) [^`]+)`(?!`)", text)
    for line in [*lines, *(" ".join(one.split()) for one in inline)]:
        words = shlex.split(line, comments=True)
        while words and (ASSIGNMENT.match(words[0]) or words[0] == "!"):
            words = words[1:]
        if words and words[-1] == "...":
            words = [*words[:-1], "VALUE"] if words[-2].startswith("--") else words[:-1]
        if words:
            yield words


COMMANDS = [
    pytest.param(words, id=f"{page.stem}: {' '.join(words)[:60]}") for page in PAGES for words in commands(page)
]


@pytest.mark.parametrize("words", COMMANDS)
def test_command_is_one_that_its_program_takes(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check(words)


def check(words: list[str]) -> None:
    program, arguments = words[0], words[1:]
    if program == "stereoscope":
        check_stereoscope(arguments)
    elif program == "accelerate":
        check_launch(arguments[1:])
    elif program == "lm_eval":
        check_eval(arguments)
    elif program == "python":
        check_module(arguments[1], arguments[2:]) if arguments[0] == "-m" else check_script(*arguments)
    elif program == "make":
        subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, capture_output=True)
    else:
        assert program in NOT_OURS, f"no program of ours, and none that the pages may name: {program}"


def check_stereoscope(arguments: list[str]) -> None:
    import typer

    from harness.cli import app

    if not arguments:
        return
    name, *rest = arguments
    if name == "eval":
        check_eval(rest)
        return
    if name == "train":
        check_train(rest)
        return
    command = typer.main.get_command(app)
    nested = name in ("data", "export", "model")
    for word in [name, *rest[:1]] if nested else [name]:
        command = command.commands[word]  # type: ignore[attr-defined]
    given = rest[1:] if nested else rest
    # A command that is only spoken of ("`stereoscope report`") comes without what it needs.
    context = command.make_context(name, given, resilient_parsing=not given)
    for word in given:
        if word.startswith("experiments/") and word != "experiments/NAME.yaml":
            assert Path(word).is_file(), word
    if (
        name in ("run", "plan", "init")
        and given
        and (said := context.params.get("experiment") or context.params["name"])
    ):
        assert str(said) == "NAME" or experiment_path(Path(said)).is_file()
    assert context.command is command


def check_eval(arguments: list[str]) -> None:
    from harness.scoring.eval_parser import eval_parser
    from harness.scoring.task_files import select

    parsed = eval_parser().parse_args(arguments)
    if parsed.tasks:
        names = parsed.tasks if isinstance(parsed.tasks, list) else [parsed.tasks]
        select([name for given in names for name in given.split(",")], {})


def check_launch(arguments: list[str]) -> None:
    if not arguments:
        return
    from accelerate.commands.launch import launch_command_parser

    parsed = launch_command_parser().parse_args(arguments)
    if parsed.config_file and not parsed.config_file.startswith("$"):
        assert Path(parsed.config_file).is_file(), parsed.config_file
    assert parsed.module, "launches no module of ours"
    check_module(parsed.training_script, parsed.training_script_args)


def check_module(module: str, arguments: list[str]) -> None:
    if module == "harness":
        check_stereoscope(arguments)
    elif module == "training":
        from training.config import _parser

        known: argparse.ArgumentParser = _parser()
        if {"--help", "--help-all"} & set(arguments):
            return
        named = {"--model_name_or_path", "--model-name-or-path"} & set(arguments)
        required = [] if named else ["--model-name-or-path", "MODEL"]
        known.parse_args(arguments + required)
    else:
        assert find_spec(module), module


def check_train(arguments: list[str]) -> None:
    if "--help" in arguments or not arguments:
        return
    if arguments[0] == "--accelerate-config":
        assert shipped_file("accelerate_configs", arguments[1]) is not None
        arguments = arguments[2:]
    check_module("training", arguments)


def check_script(script: str, *arguments: str) -> None:
    for flag in (word for word in arguments if word.startswith("--")):
        assert flag in help_of(script), f"{script} has no {flag}"


@cache
def help_of(script: str) -> str:
    """What a script tells of its flags, in this process, which has imported what it imports."""
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(told):
        patch.setattr(sys, "argv", [script, "--help"])
        patch.syspath_prepend(str((ROOT / script).parent))
        with pytest.raises(SystemExit):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    return told.getvalue()
