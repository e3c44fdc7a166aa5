"""An argparse parser whose options have dashes, wherever they were declared with underscores, and that takes both."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, NoReturn

from harness.terminal.nearest import did_you_mean
from harness.terminal.printable import printable


class DashedParser(argparse.ArgumentParser):
    """Shows and takes `--output-path`, takes `--output_path`, and says which option an unknown one may have been.

    Call `finish` when all options are declared.
    """

    def finish(self) -> None:
        """Give every option declared so far its dashed name, in place of the underscored one or of both."""
        self.formatter_class = _Wrapped
        for action in self._actions:
            action.option_strings = list(dict.fromkeys(map(dashed, action.option_strings)))
        known = {name: action for action in self._actions for name in action.option_strings}
        # Groups share this very dictionary.
        self._option_string_actions.clear()
        self._option_string_actions.update(known)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse does, with underscores of options taken for dashes."""
        return super().parse_known_args([dashed(word) for word in (sys.argv[1:] if args is None else args)], namespace)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> Any:
        """As argparse does; unknown options end the program with the nearest known ones."""
        found, unknown = self.parse_known_args(args, namespace)
        self.refuse(unknown)
        return found

    def refuse(self, unknown: Sequence[str]) -> None:
        """End the program where there is anything that no option took."""
        if not unknown:
            return
        wrong = next((word for word in unknown if word.startswith("--")), None)
        if wrong is None:
            self.error(f"unexpected: {' '.join(unknown)}")
        name = wrong.partition("=")[0]
        self.error(f"no such option: {name}{did_you_mean(name, self._option_string_actions)}")

    def error(self, message: str) -> NoReturn:
        """One line instead of a usage of a page."""
        self.exit(2, f"{self.prog}: {printable(message)}\n`{self.prog} --help` lists the options.\n")


class _Wrapped(argparse.HelpFormatter):
    """Text as wide as the terminal, whatever line breaks it was written with, and no word cut at a hyphen."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=32, **options)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        """The default goes behind the text, where there is one that says something."""
        default = action.default
        if not action.help or default in (None, "", argparse.SUPPRESS) or isinstance(default, bool | dict):
            return action.help
        shown = " ".join(map(str, default)) if isinstance(default, list) else str(getattr(default, "value", default))
        return f"{action.help} (default: {shown.replace('%', '%%')})" if shown else action.help

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = (" ".join(one.split()) for one in text.split("\n\n"))
        filled = [
            textwrap.fill(one, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
            for one in paragraphs
        ]
        return "\n\n".join(filled)


def dashed(word: str) -> str:
    """`--output_path=a_b` as `--output-path=a_b`; any other word as it is."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value
