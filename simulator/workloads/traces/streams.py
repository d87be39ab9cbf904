"""Trace files as bounded blocks of whole lines, plain, gzip or zstd, whatever their name says."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from simulator.errors import InputError

BLOCK = 4 << 20
MAX_LINE = 16 << 20
MAX_RATIO = 200
FREE_BYTES = 1 << 30

_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_REFUSED = {
    b"PK\x03\x04": "a zip archive: unpack it and give the trace inside",
    b"BZh": "bzip2: decompress it first",
    b"\xfd7zXZ": "xz: decompress it first",
}


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of a file; `line` is the 1-based number of the first."""

    line: int
    data: bytes


def container(path: Path) -> str:
    """ "plain", "gzip", "zstd" or "parquet", by the first bytes. Raises `InputError` for what cannot be read."""
    if path.is_dir():
        raise InputError("a folder: give the trace file in it", file=path)
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise InputError(f"cannot read the trace: {error.strerror or error}", file=path) from None
    if not head:
        raise InputError("an empty file: expected a request trace", file=path)
    for magic, remedy in _REFUSED.items():
        if head.startswith(magic):
            raise InputError(remedy, file=path)
    if head[257:262] == b"ustar":
        raise InputError("a tar archive: unpack it and give the trace inside", file=path)
    kinds = {_GZIP: "gzip", _ZSTD: "zstd", _PARQUET: "parquet"}
    return next((kind for magic, kind in kinds.items() if head.startswith(magic)), "plain")


def blocks(path: Path, *, size: int = BLOCK) -> Iterator[Block]:
    """The decompressed file in blocks of whole lines of about `size` bytes; the last line needs no newline.

    Raises `InputError` for a damaged or cut-off archive, a line over 16 MB, bytes that are no text, and an
    archive that expands more than 200-fold beyond 1 GiB.
    """
    kind = container(path)
    rest, line = b"", 1
    with path.open("rb") as raw:
        for piece in _pieces(raw, kind, path, size):
            data = rest + piece
            cut = data.rfind(b"\n") + 1
            rest = data[cut:]
            if len(rest) > MAX_LINE:
                raise InputError(f"a line over {MAX_LINE >> 20} MB: not a request trace", file=path, line=line)
            if cut:
                yield _checked(data[:cut], line, path)
                line += data.count(b"\n", 0, cut)
    if rest.strip():
        yield _checked(rest, line, path)


def _checked(data: bytes, line: int, path: Path) -> Block:
    if b"\0" in data:
        at = line + data.count(b"\n", 0, data.index(b"\0"))
        raise InputError("binary data: expected CSV, JSONL or Parquet", file=path, line=at)
    return Block(line, data)


def _pieces(raw: BinaryIO, kind: str, path: Path, size: int) -> Iterator[bytes]:
    stream, written = opened(raw, kind), 0
    while True:
        try:
            piece = stream.read(size)
        except EOFError:
            raise InputError(f"cut-off {kind} file: fetch it again", file=path) from None
        except (OSError, zlib.error, ValueError) as error:
            raise InputError(f"damaged {kind} file: {error}", file=path) from None
        if not piece:
            break
        written += len(piece)
        if kind != "plain" and written > FREE_BYTES and written > MAX_RATIO * max(raw.tell(), 1):
            raise InputError(f"expands more than {MAX_RATIO}-fold: refused as an archive bomb", file=path)
        yield bytes(piece)
    if kind == "zstd" and not _zstd_complete(raw):
        raise InputError("cut-off zstd file: fetch it again", file=path)


def opened(raw: BinaryIO, kind: str) -> Any:
    """A stream of the decompressed bytes of an open file of a kind that `container` tells."""
    if kind == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if kind == "zstd":
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return raw


def _zstd_complete(raw: BinaryIO) -> bool:
    """Whether all frames end inside the file; Arrow's reader takes a cut-off frame for the end."""
    raw.seek(0)
    return _walk_frames(raw)


def _walk_frames(stream: BinaryIO) -> bool:
    """Walk the blocks of zstd frames (RFC 8878, sections 3.1.1 and 3.1.2) without decoding them."""
    while True:
        magic = stream.read(4)
        if not magic:
            return True
        if len(magic) < 4:
            return False
        if 0x184D2A50 <= int.from_bytes(magic, "little") <= 0x184D2A5F:
            length = stream.read(4)
            if len(length) < 4 or len(stream.read(int.from_bytes(length, "little"))) < int.from_bytes(length, "little"):
                return False
            continue
        if magic != _ZSTD or not _walk_frame(stream):
            return False


def _walk_frame(stream: BinaryIO) -> bool:
    head = stream.read(1)
    if not head:
        return False
    flags = head[0]
    single, checksum = flags >> 5 & 1, flags >> 2 & 1
    sizes = (1 if single else 0, 2, 4, 8)[flags >> 6]
    skipped = (0 if single else 1) + (0, 1, 2, 4)[flags & 3] + sizes
    if len(stream.read(skipped)) < skipped:
        return False
    while True:
        header = stream.read(3)
        if len(header) < 3:
            return False
        value = int.from_bytes(header, "little")
        last, kind, size = value & 1, value >> 1 & 3, value >> 3
        size = 1 if kind == 1 else size
        if len(stream.read(size)) < size:
            return False
        if last:
            return len(stream.read(4 * checksum)) == 4 * checksum
