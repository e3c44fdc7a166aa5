"""Options have dashes, are taken with underscores too, and a wrong one is answered with what may have been meant."""

from __future__ import annotations

import pytest

from harness.terminal.options import DashedParser


@pytest.fixture
def parser() -> DashedParser:
    parser = DashedParser(prog="program")
    group = parser.add_argument_group("all")
    group.add_argument("--output_path", help="where %(prog)s writes, and a long text that is hyphen-separated")
    group.add_argument("--model_args", "--model-args", nargs="+")
    parser.finish()
    return parser


@pytest.mark.parametrize("words", ["--output-path a_b", "--output_path a_b", "--output_path=a_b", "--output a_b"])
def test_dashes_and_underscores_are_one_option(parser: DashedParser, words: str) -> None:
    assert parser.parse_args(words.split()).output_path == "a_b"


def test_help_has_dashes_alone(parser: DashedParser) -> None:
    told = parser.format_help()
    assert "--output-path" in told
    assert "--model-args" in told
    assert "_path" not in told.replace("OUTPUT_PATH", "")
    assert "--model_args" not in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--outputpath x", "no such option: --outputpath; did you mean '--output-path'?"),
        ("--colour=red", "no such option: --colour.\n"),
        ("stray", "unexpected: stray"),
    ],
)
def test_an_unknown_option_ends_the_program_with_the_nearest_one(
    parser: DashedParser, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parser.parse_args(words.split())
    assert end.value.code == 2
    assert f"program: {message}" in capsys.readouterr().err


def test_help_is_as_wide_as_the_terminal_and_breaks_no_word(
    parser: DashedParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = parser.format_help().splitlines()
    assert max(map(len, lines)) <= 60
    assert any("hyphen-separated" in line for line in lines)
