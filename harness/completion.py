"""What a shell offers for `stereoscope eval`, whose options are lm-eval's and unknown to the command line above it."""

from __future__ import annotations

from argparse import SUPPRESS
from typing import Any, NamedTuple

from typer.core import TyperCommand


class Offered(NamedTuple):
    """A completion, as the shells' classes read one."""

    value: str
    help: str | None = None
    type: str = "plain"


class EvalCommand(TyperCommand):
    """Completes options, and the names of tasks behind --tasks; for anything else the shell offers files."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """For the word that is being typed, with what stands before it in `ctx.args`."""
        if incomplete.startswith("-"):
            from harness.scoring.eval_parser import eval_parser

            shown = (action for action in eval_parser()._actions if action.help != SUPPRESS)
            options = [name for action in shown for name in action.option_strings]
            return [Offered(name) for name in options if name.startswith(incomplete.replace("_", "-"))]
        options = [word for word in ctx.args if word.startswith("-")]
        if not options or options[-1] not in ("--tasks", "-t"):
            return []
        from harness.planning.task_list import groups, tasks

        before, comma, name = incomplete.rpartition(",")
        known = [*(task.name for task in tasks()), *groups()]
        return [Offered(f"{before}{comma}{task}") for task in known if task.startswith(name)]
