"""Names and messages of others are spelled out on a terminal, never acted on."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hostile import BIDI, ESCAPES, HOSTILE, acting

from harness.scoring.eval_table import Line, printed
from harness.terminal.options import DashedParser
from harness.terminal.printable import is_inert, one_line, printable
from harness.terminal.tables import aligned


def test_what_a_terminal_acts_on_is_spelled_out_and_letters_of_all_scripts_stay() -> None:
    assert printable("\x1b[31m\x07\x9b\u202e\u2028\ud800\U000e0041") == (
        "\\x1b[31m\\x07\\x9b\\u202e\\u2028\\ud800\\U000e0041"
    )
    plain = "Größe 模型 العربية עברית \N{GRINNING FACE} a\tb\nc"
    assert printable(plain) == plain
    assert one_line("a\tb\nc") == "a\\tb\\nc"
    assert is_inert("Größe")
    assert not is_inert("a\n")


def test_the_printed_table_is_inert_and_one_line_a_row() -> None:
    text = printed([Line(HOSTILE, HOSTILE, 1.0, None, 3, 2)])
    assert acting(text) == []
    assert acting(aligned([["a"], [HOSTILE]], width=60)) == []
    assert len(aligned([["a"], ["x\ny"]]).splitlines()) == 3


def test_an_option_that_is_none_is_quoted_inertly(capsys: pytest.CaptureFixture[str]) -> None:
    parser = DashedParser(prog="p")
    parser.finish()
    with pytest.raises(SystemExit):
        parser.parse_args([f"--{ESCAPES}{BIDI}"])
    assert acting(capsys.readouterr().err) == []


@pytest.mark.parametrize(
    "code", ["logging.getLogger('harness').warning(x)", "raise KeyError(x)", "raise ValueError(x)"]
)
def test_a_log_line_and_a_traceback_that_quote_a_file_are_inert(code: str) -> None:
    start = f"import logging; from harness.terminal.logs import start_logging; start_logging(); x = {HOSTILE!r}; "
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=False)
    assert "script" in done.stderr
    assert acting(done.stderr) == []
