"""`import harness`: what everybody may call is complete, told of, and costs nothing until it is used."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness

HEAVY = ("torch", "transformers", "lm_eval", "pandas", "matplotlib", "numpy", "pydantic")
FUNCTIONS = [name for name in harness.__all__ if inspect.isfunction(getattr(harness, name))]


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_harness_imports_nothing_heavy() -> None:
    assert not loaded_by("import harness; dir(harness)").intersection(HEAVY)


def test_reports_are_built_without_model_libraries() -> None:
    assert not loaded_by("from harness import report").intersection({"torch", "transformers", "lm_eval"})


def test_all_is_sorted_and_complete() -> None:
    assert harness.__all__ == sorted(harness.__all__)
    assert set(harness.__all__) == {*harness._PLACES, "__version__"}
    public = {name for name in dir(harness) if name in harness._PLACES or name == "__version__"}
    assert public == set(harness.__all__)


def test_every_file_of_the_face_that_is_called_is_exported() -> None:
    folder = Path(harness.__file__).parent / "api"
    functions = {
        name
        for file in folder.glob("*.py")
        for name in re.findall(r"^def ([a-z]\w*)\(", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if name == file.stem
    }
    # `compare` is the report's own.
    assert functions | {"compare"} == set(FUNCTIONS)


def test_a_room_does_not_hide_a_function_of_its_name() -> None:
    rooms = {folder.name for folder in Path(harness.__file__).parent.iterdir() if folder.is_dir()}
    assert not rooms & set(harness.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_says_what_it_takes_and_raises(name: str) -> None:
    function = getattr(harness, name)
    told = inspect.getdoc(function) or ""
    arguments, _, raises = told.partition("Args:")[2].partition("Raises:")
    assert raises
    for parameter in inspect.signature(function).parameters.values():
        assert re.search(rf"^\s+{parameter.name}: ", arguments, flags=re.MULTILINE), parameter.name
    assert function.__annotations__["return"]


@pytest.mark.parametrize("name", [name for name in harness.__all__ if inspect.isclass(getattr(harness, name))])
def test_every_class_and_its_methods_are_told_of(name: str) -> None:
    kind = getattr(harness, name)
    own = [value for key, value in vars(kind).items() if not key.startswith("_")]
    assert kind.__doc__
    assert all(inspect.getdoc(value) for value in own if inspect.isroutine(value) or isinstance(value, property))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such"):
        harness.no_such  # noqa: B018
