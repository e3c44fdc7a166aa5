"""Downloads from a server on this machine that can cut a transfer off or know nothing of ranges."""

from __future__ import annotations

import hashlib
import io
import random
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import Request

import pytest
from typer.testing import CliRunner

from harness.data import fetch, sources
from harness.data.sources import SOURCES, Name, Pin

CSV, ZIP = "/crows_pairs/crows_pairs_anonymized.csv", "/wikitext2/wikitext-2-raw-v1.zip"
PAIRS = random.Random(0).randbytes(300_000)
TEXT = b" = Title = \n" * 20_000


@dataclass
class Mirror:
    """What the server holds and does; `asked` are the paths and `Range` headers it saw."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut_after: int | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, mirror: Mirror, *arguments: object) -> None:
        self.mirror = mirror
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.mirror.asked.append((self.path, wanted))
        body = self.mirror.files.get(self.path)
        if body is None:
            return self.send_error(404)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.mirror.ranges else 0
        if start >= len(body):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][: self.mirror.cut_after])
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(no_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """A mirror of CrowS-Pairs and WikiText-2 stand-ins, whose checksums are the pinned ones."""

    def pinned(name: Name, content: bytes) -> sources.Source:
        return SOURCES[name]._replace(pins=(Pin("sha256", hashlib.sha256(content).hexdigest()),))

    known = {"crows_pairs": pinned("crows_pairs", PAIRS), "wikitext2": pinned("wikitext2", TEXT)}
    for module in (fetch, sources):
        monkeypatch.setattr(module, "SOURCES", known)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("wikitext-2-raw/wiki.test.raw", TEXT)
    served = Mirror({CSV: PAIRS, ZIP: archive.getvalue()})
    yield from serve(served, monkeypatch)


def serve(served: Mirror, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, served)) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("STEREOSCOPE_MIRROR", f"http://127.0.0.1:{server.server_port}/")
        yield served
        server.shutdown()
        thread.join()


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.part")]


def test_a_fetched_file_is_whole_and_used_from_then_on(mirror: Mirror, no_data: Path) -> None:
    path = fetch.download("crows_pairs")
    assert path == no_data / "crows_pairs" / "crows_pairs_anonymized.csv"
    assert path.read_bytes() == PAIRS
    assert sources.locate("crows_pairs")[2:] == ("fetched", True)
    assert not leftovers(no_data)


def test_a_member_of_an_archive_is_unpacked_and_checked(mirror: Mirror, no_data: Path) -> None:
    assert fetch.download("wikitext2").read_bytes() == TEXT
    assert [path.name for path in (no_data / "wikitext2").iterdir()] == ["wiki.test.raw"]


def test_a_file_that_is_there_is_not_fetched_again(mirror: Mirror) -> None:
    fetch.download("crows_pairs")
    fetch.download("crows_pairs")
    assert mirror.asked == [(CSV, None)]


@pytest.mark.parametrize("name", ["crows_pairs", "wikitext2"])
def test_a_transfer_that_is_cut_off_is_continued(mirror: Mirror, no_data: Path, name: Name) -> None:
    mirror.cut_after = 500
    with pytest.raises(ConnectionError, match=r"cut off after 500 of \d+ bytes; run the same command again"):
        fetch.download(name)
    assert not (no_data / SOURCES[name].path).exists()
    assert len(leftovers(no_data)) == 1
    mirror.cut_after = None
    assert fetch.is_published(fetch.download(name), fetch.SOURCES[name])
    assert [asked for _, asked in mirror.asked] == [None, "bytes=500-"]
    assert not leftovers(no_data)


def test_a_server_without_ranges_sends_it_all_again(mirror: Mirror, no_data: Path) -> None:
    mirror.cut_after, mirror.ranges = 500, False
    with pytest.raises(ConnectionError):
        fetch.download("crows_pairs")
    mirror.cut_after = None
    assert fetch.download("crows_pairs").read_bytes() == PAIRS


def test_a_complete_part_file_only_has_to_be_renamed(mirror: Mirror, no_data: Path) -> None:
    (no_data / "crows_pairs").mkdir(parents=True)
    (no_data / "crows_pairs" / "crows_pairs_anonymized.csv.part").write_bytes(PAIRS)
    assert fetch.download("crows_pairs").read_bytes() == PAIRS


def test_a_wrong_checksum_is_reported_and_nothing_is_kept(mirror: Mirror, no_data: Path) -> None:
    mirror.files[CSV] = b"another edition\n"
    expected, found = (hashlib.sha256(content).hexdigest() for content in (PAIRS, b"another edition\n"))
    with pytest.raises(ValueError, match=f"expected sha256 {expected}; found sha256 {found}; removed"):
        fetch.download("crows_pairs")
    assert not list((no_data / "crows_pairs").iterdir())


def test_an_altered_file_stays_until_the_new_one_is_checked(mirror: Mirror, no_data: Path) -> None:
    path = fetch.download("crows_pairs")
    path.write_bytes(b"altered\n")
    mirror.cut_after = 500
    with pytest.raises(ConnectionError):
        fetch.download("crows_pairs")
    assert path.read_bytes() == b"altered\n"
    mirror.cut_after = None
    assert fetch.download("crows_pairs").read_bytes() == PAIRS


def test_an_archive_that_is_none_is_removed(mirror: Mirror, no_data: Path) -> None:
    mirror.files[ZIP] = b"no archive"
    with pytest.raises(ValueError, match="expected a zip archive"):
        fetch.download("wikitext2")
    assert not (no_data / "wikitext2" / "wiki.test.raw").exists()
    assert not leftovers(no_data)


def test_an_archive_without_the_file_is_removed(mirror: Mirror, no_data: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("wikitext-2-raw/wiki.valid.raw", TEXT)
    mirror.files[ZIP] = archive.getvalue()
    with pytest.raises(ValueError, match=r"expected a zip archive that holds wikitext-2-raw/wiki\.test\.raw"):
        fetch.download("wikitext2")
    assert not leftovers(no_data)


def test_a_missing_address_and_a_dead_server_are_named(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    del mirror.files[CSV]
    with pytest.raises(ConnectionError, match=f"{CSV}: HTTP 404"):
        fetch.download("crows_pairs")
    monkeypatch.setenv("STEREOSCOPE_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9/crows_pairs"):
        fetch.download("crows_pairs")


def test_only_https_sources_and_no_step_down_to_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEREOSCOPE_MIRROR", raising=False)
    source = SOURCES["crows_pairs"]
    assert fetch.address(source) == source.url
    with pytest.raises(ValueError, match="https only"):
        fetch.address(source._replace(url="http://example.org/file.csv"))
    with pytest.raises(ConnectionError, match="not https"):
        fetch._HttpsStaysHttps().redirect_request(
            Request("https://example.org/a"), io.BytesIO(), 302, "", fetch.HTTPMessage(), "http://example.org/a"
        )
    monkeypatch.setenv("STEREOSCOPE_MIRROR", "file:///etc")
    with pytest.raises(ValueError, match="expected an http or https address"):
        fetch.address(source)


def test_the_command_names_file_and_licence(mirror: Mirror, no_data: Path) -> None:
    result = CliRunner().invoke(fetch.app, ["fetch", "crows_pairs"])
    assert result.exit_code == 0
    assert str(no_data / "crows_pairs") in result.stdout
    assert "licence CC BY-SA 4.0" in result.stdout


def test_one_source_that_fails_does_not_stop_the_others(mirror: Mirror, no_data: Path) -> None:
    del mirror.files[CSV]
    result = CliRunner().invoke(fetch.app, ["fetch"])
    assert result.exit_code == 1
    assert "crows_pairs: http://127.0.0.1" in result.stderr
    assert (no_data / "wikitext2" / "wiki.test.raw").is_file()


def test_an_unknown_name_is_refused(no_data: Path) -> None:
    result = CliRunner().invoke(fetch.app, ["fetch", "winobias"])
    assert result.exit_code == 2
    assert "unknown data set winobias" in re.sub(r"[^\w ]|\s+", " ", result.stderr).replace("  ", " ")


def test_verify_tells_published_altered_and_absent(mirror: Mirror, no_data: Path) -> None:
    assert CliRunner().invoke(fetch.app, ["verify"]).exit_code == 1
    path = fetch.download("crows_pairs")
    good = CliRunner().invoke(fetch.app, ["verify"])
    assert good.exit_code == 0
    assert "crows_pairs: published" in good.stdout
    assert "wikitext2: absent" in good.stdout
    path.write_bytes(b"altered\n")
    bad = CliRunner().invoke(fetch.app, ["verify", str(no_data)])
    assert bad.exit_code == 1
    assert f"found sha256 {hashlib.sha256(b'altered' + bytes([10])).hexdigest()}" in bad.stdout


def test_list_says_which_file_is_scored(mirror: Mirror, no_data: Path) -> None:
    fetch.download("crows_pairs")
    result = CliRunner().invoke(fetch.app, ["list"])
    assert f"{no_data / 'crows_pairs' / 'crows_pairs_anonymized.csv'} (fetched, published edition)" in result.stdout
    assert "(built-in sample, 6 original short articles)" in result.stdout


def test_the_published_files_pass_from_a_mirror(
    real_data: Path, no_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        for name in ("wikitext2", "wikitext2_valid"):
            content.write(real_data / SOURCES[name].path, SOURCES[name].member)
    at_hand = [name for name, source in SOURCES.items() if (real_data / source.path).is_file()]
    files = {f"/{SOURCES[name].path}": (real_data / SOURCES[name].path).read_bytes() for name in at_hand}
    for _ in serve(Mirror(files | {ZIP: archive.getvalue()}), monkeypatch):
        for name in at_hand:
            fetch.download(name)
    assert [sources.locate(name)[2:] for name in at_hand] == [("fetched", True)] * len(at_hand)
