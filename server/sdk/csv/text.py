"""Turns an upload into a file of clean UTF-8 text: unpacked, decoded strictly, each line ended by a line feed."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from server.sdk.csv import formats
from server.sdk.csv.parser import MAX_ROW
from server.sdk.errors import TaskError

MAX_BYTES = 4 * 2**30  # maximum bytes of the unpacked text: a small gzip file may contain any amount

#: The assumed encoding of a file that is not UTF-8: it maps nearly every byte to a letter, so that a reader sees a
#: wrong guess. Statistical guessing was tried (charset-normalizer 3.5): it read "Köln" as Chinese in a short file.
FALLBACK = "windows-1252"

_CHUNK = 2**20
_GZIP = b"\x1f\x8b"
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

#: Control characters that never occur in text: a file with one has another format.
_BINARY = bytes((*range(9), *range(14, 27), *range(28, 32)))

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Text:
    """The path of the clean text, and the properties of the original."""

    path: Path
    encoding: str
    compressed: bool


def clean(source: Path, target: Path, encoding: str | None, progress: Progress) -> Text:
    """Write the text of `source` to `target`; `progress` receives the number of bytes read.

    Raises:
        TaskError: `csv-unreadable` with the line, or `csv-too-large`.
    """
    head, compressed = _head(source)
    if name := formats.of_bytes(head):
        raise TaskError("csv-unreadable", f"This is {name}, not a table in text. Save the table as CSV.")
    candidates = [_codec_name(encoding)] if encoding else _likely_encodings(head)
    for candidate in candidates:
        try:
            _rewrite(source, target, candidate, compressed, progress)
            return Text(target, candidate, compressed)
        except _Undecodable as error:
            line = error.line
    raise TaskError(
        "csv-unreadable",
        f"Line {line} is not text in {' or '.join(candidates)}. Set `encoding` to the file's encoding.",
    )


class _Undecodable(Exception):
    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _codec_name(encoding: str) -> str:
    try:
        "".encode(encoding)  # some codecs do not encode text
        codecs.getincrementaldecoder(encoding)
    except LookupError:
        raise TaskError("csv-unreadable", f"There is no encoding {encoding!r}; try utf-8, cp1252, shift_jis.") from None
    return codecs.lookup(encoding).name


def _head(source: Path) -> tuple[bytes, bool]:
    with source.open("rb") as file:
        compressed = file.read(len(_GZIP)) == _GZIP
    with _opened(source, compressed) as opened:
        return next(_chunks(opened), b"")[:4096], compressed


def _likely_encodings(head: bytes) -> list[str]:
    """Return the encodings to try. UTF-16 without a mark is recognized by the zeros of plain letters."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return [name]
    half = max(1, len(head) // 2)
    if head[1::2].count(0) > 0.4 * half:
        return ["utf-16-le"]
    return ["utf-16-be"] if head[0::2].count(0) > 0.4 * half else ["utf-8", FALLBACK]


def _opened(source: Path, compressed: bool) -> BinaryIO:
    return cast(BinaryIO, gzip.open(source) if compressed else source.open("rb"))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    try:
        while chunk := file.read(_CHUNK):
            yield chunk
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise TaskError("csv-unreadable", "The gzip file is damaged or cut off. Send it again.") from None


def _rewrite(source: Path, target: Path, encoding: str, compressed: bool, progress: Progress) -> None:
    recode = _Recoder(encoding)
    read = 0
    with _opened(source, compressed) as file, target.open("wb") as out:
        for chunk in _chunks(file):
            read += len(chunk)
            if read > MAX_BYTES:
                raise TaskError("csv-too-large", f"The text has more than {MAX_BYTES} bytes unpacked.")
            out.write(recode.feed(chunk))
            progress(read)
        out.write(recode.end())


class _Recoder:
    """Converts bytes in any encoding to UTF-8 with line feeds, chunk by chunk, and counts the lines."""

    def __init__(self, encoding: str) -> None:
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._line = 1
        self._last = b"\n"
        self._begun = False
        self._length = 0  # of the current line

    def feed(self, chunk: bytes, *, final: bool = False) -> bytes:
        try:
            text = self._decoder.decode(chunk, final)
            if not self._begun and text:
                self._begun, text = True, text.removeprefix("\ufeff")
            data = text.encode()
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(error.encoding, "replace")
            raise _Undecodable(self._line + len(re.findall("\r\n?|\n", before))) from None
        except UnicodeError:
            raise _Undecodable(self._line) from None
        _refuse_binary(data, self._line)
        self._check_line_length(data)
        self._line += data.count(b"\n")
        self._last = data[-1:] or self._last
        return data

    def _check_line_length(self, data: bytes) -> None:
        """Refuse a line that exceeds the limit of a row: a file without line feeds must not fill the memory."""
        first = data.find(b"\n")
        if self._length + (first if first >= 0 else len(data)) > MAX_ROW:
            raise TaskError("csv-too-large", f"Line {self._line} is longer than 4 MiB.")
        self._length = self._length + len(data) if first < 0 else len(data) - data.rfind(b"\n") - 1

    def end(self) -> bytes:
        """Return the bytes that the decoder still has, and a line feed if the last line has none."""
        data = self.feed(b"", final=True)
        return data if self._last == b"\n" else data + b"\n"


def _refuse_binary(data: bytes, line: int) -> None:
    if len(data.translate(None, _BINARY)) == len(data):
        return
    first = min(index for byte in _BINARY if (index := data.find(byte)) >= 0)
    line_number = line + data.count(b"\n", 0, first)
    raise TaskError("csv-unreadable", f"Line {line_number} holds a control character: this is not a text file.")
