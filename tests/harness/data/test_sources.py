from __future__ import annotations

import hashlib
import logging
import re
import shutil
from pathlib import Path

import pytest

from harness.data.sources import SAMPLE, SOURCES, digest, locate, locate_for

CSV = "crows_pairs/crows_pairs_anonymized.csv"
PUBLISHED = "dfb36986ce0502abbaf7055b9176da3d08d48e07df1251991b5dfbcbceab9d0c"


def altered(folder: Path) -> str:
    """Put an altered file into a data folder; its checksum."""
    (folder / CSV).parent.mkdir(parents=True)
    (folder / CSV).write_bytes(b"altered\n")
    return hashlib.sha256(b"altered\n").hexdigest()


def test_git_blob_checksum_is_the_one_git_gives(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello\n")
    assert digest(tmp_path / "file", "git-blob") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_sources_are_https_at_a_pinned_commit() -> None:
    for source in SOURCES.values():
        assert source.url.startswith("https://")
        assert re.search(r"/[0-9a-f]{40}/", source.url)


def test_without_data_the_sample_is_used_and_says_so_once(no_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = locate("crows_pairs"), locate("crows_pairs")
    assert first == second
    assert first.path == SAMPLE / CSV
    assert (first.origin, first.pinned) == ("sample", False)
    (notice,) = caplog.messages
    assert "90 original sentence pairs" in notice
    assert "not comparable with published numbers" in notice


def test_the_sample_asked_for_gives_no_notice(no_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert locate_for("stereoset", {"data_dir": "sample"}).origin == "sample"
    assert not caplog.messages


def test_a_missing_file_is_named_with_the_expected_checksum(no_data: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path / CSV}: no such file")) as error:
        locate("crows_pairs", tmp_path)
    assert PUBLISHED in str(error.value)


def test_a_missing_file_never_falls_back_to_another_copy(
    no_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="STEREOSCOPE_DATA names"):
        locate("wikitext2")


def test_an_altered_local_file_is_used_with_a_warning(
    no_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = altered(tmp_path)
    file = locate("crows_pairs", tmp_path)
    assert (file.sha256, file.origin, file.pinned) == (found, "local", False)
    (warning,) = caplog.messages
    assert str(tmp_path / CSV) in warning
    assert f"expected sha256 {PUBLISHED}; found sha256 {found}" in warning


def test_an_altered_fetched_file_is_refused(no_data: Path) -> None:
    found = altered(no_data)
    with pytest.raises(ValueError, match=f"expected sha256 {PUBLISHED}; found sha256 {found}"):
        locate("crows_pairs")


def test_data_dir_goes_before_the_environment(no_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", str(SAMPLE))
    altered(tmp_path)
    assert locate("crows_pairs", tmp_path).path == tmp_path / CSV
    assert locate("crows_pairs").path == SAMPLE / CSV


def test_the_published_files_are_recognised(real_data: Path, no_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        at_hand = [name for name, source in SOURCES.items() if (real_data / source.path).is_file()]
        assert all(locate(name, real_data).pinned for name in at_hand)
    # Of BBQ the larger files may be absent.
    assert all(name.startswith("bbq_") for name in SOURCES.keys() - set(at_hand))
    assert not caplog.messages


def test_fetched_files_go_before_the_sample(real_data: Path, no_data: Path) -> None:
    path = SOURCES["crows_pairs"].path
    (no_data / path).parent.mkdir(parents=True)
    shutil.copy(real_data / path, no_data / path)
    assert locate("crows_pairs")[2:] == ("fetched", True)
