"""`stereoscope data`: download the published data files, check them, say where they are.

A download goes into a `.part` file beside its target, which an interrupted one leaves for the next to continue, and is
renamed once its checksum is a published one: a data file is either absent or whole.
"""

from __future__ import annotations

import lzma
import os
import posixpath
import ssl
import sys
import zipfile
import zlib
from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, Annotated, Literal, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import typer

from harness.data.plugins import given
from harness.data.sources import SOURCES, Name, Source, cache_folder, find, is_published, mismatch
from harness.storage.reading import shown
from harness.terminal.printable import printable

LARGEST = 1 << 28
"""Bytes of a download, and of a file that is unpacked from one; the largest published one has 13 million."""
TIMEOUT = 60
BLOCK = 1 << 16

app = typer.Typer(no_args_is_help=True, help="List, fetch and verify the benchmark data.")


@app.callback()
def _with_plugins() -> None:
    given()


class Check(NamedTuple):
    """What a data folder holds of one source. `detail`: the file, with expected and found checksums if altered."""

    name: Name
    state: Literal["published", "altered", "absent"]
    detail: str


def download(name: Name, folder: Path | None = None) -> Path:
    """Fetch one published file into a data folder (default: `cache_folder()`), unless it is there already.

    Raises:
        ConnectionError: the transfer failed or was cut off; what came is kept, and the next call continues it.
        ValueError: what came has another checksum than the published ones, or is too large for one; it is removed.
    """
    source = SOURCES[name]
    target = (folder or cache_folder()) / source.path
    if target.is_file() and is_published(target, source):
        return target
    url = address(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{posixpath.basename(url)}.part")
    _transfer(url, part)
    whole = target.with_name(f".{target.name}.part") if source.member else part
    try:
        if source.member:
            _unpack(url, part, source.member, whole)
        if not is_published(whole, source):
            raise ValueError(f"{url}: not the published file: {mismatch(whole, source)}; removed, fetch it again")
    except ValueError:
        whole.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        raise
    whole.replace(target)
    part.unlink(missing_ok=True)
    return target


def address(source: Source) -> str:
    """The source's URL, or `<mirror>/<folder>/<file name of the URL>` on the mirror that `STEREOSCOPE_MIRROR` names.

    Raises:
        ValueError: neither https nor, for a mirror, http; the checksums hold for a mirror too.
    """
    if mirror := os.environ.get("STEREOSCOPE_MIRROR"):
        if not mirror.startswith(("https://", "http://")):
            raise ValueError(f"STEREOSCOPE_MIRROR is {mirror!r}, expected an http or https address")
        return "/".join((mirror.rstrip("/"), posixpath.dirname(source.path), posixpath.basename(source.url)))
    if not source.url.startswith("https://"):
        raise ValueError(f"{source.url}: data is fetched over https only")
    return source.url


def check(folder: Path) -> list[Check]:
    """Compare every known file in a data folder with its published checksums."""
    checks = []
    for name, source in SOURCES.items():
        path = folder / source.path
        if not path.is_file():
            checks.append(Check(name, "absent", str(path)))
        elif is_published(path, source):
            checks.append(Check(name, "published", str(path)))
        else:
            checks.append(Check(name, "altered", f"{path}: {mismatch(path, source)}"))
    return checks


@app.command("fetch")
def fetch_command(
    names: Annotated[list[str] | None, typer.Argument(help=f"Any of {', '.join(SOURCES)}. Default: all.")] = None,
) -> None:
    """Download data sets from their publishers; a download that was interrupted is continued."""
    if unknown := sorted(set(names or ()) - set(SOURCES)):
        raise typer.BadParameter(f"unknown data set {', '.join(unknown)}; expected any of {', '.join(SOURCES)}")
    failed = False
    for name in [known for known in SOURCES if not names or known in names]:
        try:
            path = download(name)
        except (OSError, ValueError) as error:
            failed = True
            typer.echo(printable(f"{name}: {error}"), err=True)
        else:
            source = SOURCES[name]
            typer.echo(printable(f"{name}: {path}\n  licence {source.licence}; {source.publication}"))
    if os.environ.get("STEREOSCOPE_DATA"):
        typer.echo("STEREOSCOPE_DATA is set and goes first; unset it to score on the fetched files.", err=True)
    if failed:
        raise typer.Exit(1)


@app.command("verify")
def verify_command(
    folder: Annotated[
        Path | None, typer.Argument(help="A data folder. Default: STEREOSCOPE_DATA, else where `fetch` writes.")
    ] = None,
) -> None:
    """Compare the files of a data folder with their published checksums; exit 1 if one is altered or none is there."""
    if folder is None:
        named = os.environ.get("STEREOSCOPE_DATA", "sample")
        folder = cache_folder() if named == "sample" else Path(named).expanduser()
    checks = check(folder)
    for name, state, detail in checks:
        typer.echo(printable(f"{name}: {state}, {detail}"))
    states = {one.state for one in checks}
    if "altered" in states or states == {"absent"}:
        raise typer.Exit(1)


@app.command("list")
def list_command() -> None:
    """Show which file each benchmark is scored on here, and the licence of the published one."""
    for name, source in SOURCES.items():
        try:
            file = find(name)
        except (OSError, ValueError) as error:
            found = str(error)
        else:
            edition = "published edition" if file.pinned else "not the published edition"
            found = f"built-in sample, {source.sample}" if file.origin == "sample" else f"{file.origin}, {edition}"
            found = f"{file.path} ({found})"
        typer.echo(printable(f"{name}: {found}\n  published under {source.licence}; {source.publication}"))


class _HttpsStaysHttps(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        wanted = ("https://",) if req.full_url.startswith("https://") else ("https://", "http://")
        if not newurl.startswith(wanted):
            raise ConnectionError(f"{req.full_url}: redirected to {newurl}, which is not https; not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _transfer(url: str, part: Path) -> None:
    """Append to `part` what is missing of the file at `url`; start over where the server sends all of it again."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "lm-stereoscope"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        # Said here, so that nothing that was set in this process makes certificates optional.
        checked = HTTPSHandler(context=ssl.create_default_context())
        opener = build_opener(_HttpsStaysHttps, checked)
        response: HTTPResponse = opener.open(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        # 416: nothing lies behind what is here, so the file is complete, or wrong; its checksum will tell.
        if have and error.code == 416:
            return
        raise ConnectionError(f"{url}: HTTP {error.code} {error.reason}") from error
    except URLError as error:
        raise ConnectionError(f"{url}: {error.reason}") from error
    with response:
        if response.status != 206:
            have = 0
        length = response.headers.get("Content-Length")
        if length and not (length.isascii() and length.isdigit()):
            raise ConnectionError(f"{url}: Content-Length is {shown(length)}, expected a number of bytes")
        total = have + int(length) if length else None
        _require_bounded(url, total or 0, part)
        with part.open("ab" if have else "wb") as file:
            for block in _blocks(url, response, have, total):
                have += len(block)
                _require_bounded(url, have, part)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and (size := part.stat().st_size) < total:
        raise ConnectionError(f"{url}: cut off after {size} of {total} bytes; run the same command again to continue")


def _require_bounded(url: str, size: int, part: Path) -> None:
    if size > LARGEST:
        part.unlink(missing_ok=True)
        raise ValueError(
            f"{url}: {size:,} bytes or more, expected at most {LARGEST:,}: not the published file; removed"
        )


def _blocks(url: str, response: HTTPResponse, have: int, total: int | None) -> Iterator[bytes]:
    from tqdm import tqdm

    name = posixpath.basename(url)
    with tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=name, file=sys.stderr) as bar:
        while True:
            try:
                block = response.read(BLOCK)
            except (OSError, HTTPException) as error:
                raise ConnectionError(f"{url}: cut off ({error}); run the same command again to continue") from error
            if not block:
                return
            yield block
            bar.update(len(block))


def _unpack(url: str, archive: Path, member: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as content, content.open(member) as packed, target.open("wb") as file:
            size = 0
            # As it unpacks: what an archive says of a member's size is its own word.
            while block := packed.read(BLOCK):
                size += len(block)
                _require_bounded(f"{url}, {member}", size, archive)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(
            f"{url}: expected a zip archive that holds {member}: {error}; removed, fetch it again"
        ) from error
