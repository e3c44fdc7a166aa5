"""A log file holds lines of one format: ours, and of the libraries what they warn of."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

START = "import logging, warnings; from harness.terminal.logs import start_logging; start_logging(); "


def logged(code: str, rank: str = "0", start: str = START) -> list[str]:
    environment = {**os.environ, "RANK": rank}
    done = subprocess.run(
        [sys.executable, "-c", start + code], env=environment, capture_output=True, text=True, check=True
    )
    assert not done.stdout
    return [re.sub(r"^\d\d:\d\d:\d\d ", "TIME ", line) for line in done.stderr.splitlines()]


def test_a_librarys_warning_has_our_format_and_says_whose_it_is() -> None:
    code = "logging.getLogger('lm_eval.api').warning('two\\n lines'); logging.getLogger('lm_eval.api').info('news')"
    assert logged(code) == ["TIME warning (lm_eval): two lines"]


def test_a_warning_of_python_is_one_line_and_deprecations_are_none() -> None:
    lines = logged("warnings.warn('beware'); warnings.warn('old', FutureWarning)")
    assert lines == ["TIME warning: UserWarning: beware (<string>, line 1)"]


def test_deepspeed_which_makes_its_own_handler_later_is_heard_in_our_format() -> None:
    code = (
        "logger = logging.getLogger('DeepSpeed'); logger.propagate = False; logger.addHandler(logging.StreamHandler());"
        "logger.warning('Setting accelerator to CPU. If you have'); logger.warning('an overflow'); logger.info('x')"
    )
    assert logged(code) == ["TIME warning (DeepSpeed): an overflow"]


def test_an_error_keeps_its_traceback() -> None:
    code = "\ntry: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('transformers').exception('lost')"
    lines = logged(code)
    assert lines[0] == "TIME error (transformers): lost"
    assert lines[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("rank", "heard"), [("0", ["TIME news", "TIME warning: hear"]), ("1", ["TIME warning: hear"])])
def test_our_lines_come_from_the_first_process_and_warnings_from_all(rank: str, heard: list[str]) -> None:
    assert logged("log = logging.getLogger('training'); log.info('news'); log.warning('hear')", rank) == heard


def test_a_notice_of_the_data_is_given_once_by_a_run_and_not_by_its_stages() -> None:
    code = (
        "import os, subprocess, sys; os.environ.pop('STEREOSCOPE_DATA', None); "
        "os.environ['STEREOSCOPE_CACHE'] = 'nowhere'; from harness.data.sources import locate; locate('crows_pairs'); "
    )
    stage = "import subprocess; from harness.data.sources import locate; locate('crows_pairs'); locate('stereoset')"
    lines = logged(f"{code} subprocess.run([sys.executable, '-c', {stage!r}], check=True)")
    assert [re.search(r"(\w+): scores on the built-in", line)[1] for line in lines] == ["crows_pairs", "stereoset"]  # type: ignore[index]
