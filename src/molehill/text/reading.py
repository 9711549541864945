"""One file of text, JSON lines or Parquet becomes numbered texts, however long the file is.

    for number, text in texts_of_file(Path("notes.jsonl.gz"), split="file", column="text"): ...

Only one text is held at a time (of Parquet, some thousand rows). What is wrong with a file is told
by its name and the line, row or byte. This module knows nothing of kinds, tokens or folders of
shards.
"""

from __future__ import annotations

import contextlib
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from molehill.errors import MissingExtraError, TextError

__all__ = [
    "FILE_ENDINGS",
    "LONGEST_DOCUMENT",
    "SPLITS_OF_FILES",
    "is_readable",
    "need_extra",
    "text_in_row",
    "texts_of_file",
]

LONGEST_DOCUMENT = 2**24
"""The most characters of one document; a book has a million."""

SPLITS_OF_FILES = ("file", "paragraph", "line")
"""What one document of a plain text file is."""

FILE_ENDINGS = {
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
"""The form of a file by its ending; before `.gz` or `.zst`, if there is one."""

_COMPRESSED = (".gz", ".zst")
# A character has up to four bytes in UTF-8, and up to twelve as escapes in JSON.
_LONGEST_FILE = 4 * LONGEST_DOCUMENT
_LONGEST_LINE = 12 * LONGEST_DOCUMENT
_ROWS = 1024


def is_readable(path: Path) -> bool:
    """Whether the file's ending is one that is read."""
    return _form(path) is not None


def texts_of_file(path: Path, *, split: str, column: str) -> Iterator[tuple[int, str]]:
    """Each document's number and text, in the order of the file.

    Args:
        path: A file with one of `FILE_ENDINGS`, as it is or compressed (`.gz`, `.zst`).
        split: Of a plain text file, what one document is: the `file`; a `paragraph`, which ends at
            a blank line; or a `line`.
        column: Of JSON lines and Parquet, the field that holds the text.

    Yields:
        The number of the line where the text begins, or of its row, from 1; and the text.

    Raises:
        TextError: the file is absent, damaged, not UTF-8, or a line or row of it is no document.
        MissingExtraError: Parquet and zstd need the extra `data`.
    """
    form = _form(path)
    if form is None:
        known = ", ".join(FILE_ENDINGS)
        raise TextError(
            f"{path} has an ending that is not read; known are {known}, each also with .gz or .zst."
        )
    try:
        if form == "parquet":
            yield from _parquet(path, column)
            return
        with _opened(path) as file:
            if form == "jsonl":
                yield from _json_lines(file, path, column)
            elif split == "file":
                yield 1, _whole(file, path)
            elif split == "line":
                yield from ((n, line.rstrip("\r\n")) for n, line in _lines(file, path))
            else:
                yield from _paragraphs(file, path)
    except (EOFError, zlib.error) as error:
        raise TextError(f"{path} is damaged or cut off: {error}.") from None
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror or error}.") from None


def text_in_row(row: Mapping[str, Any], column: str, where: str) -> str:
    """The text in a record's field; `where` names the record in errors."""
    if column not in row:
        near = difflib.get_close_matches(column, [str(key) for key in row], n=1, cutoff=0.5)
        shown = ", ".join(map(repr, list(row)[:8])) or "none"
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise TextError(f"{where} has no field {column!r}; it has {shown}.{hint}")
    text = row[column]
    if not isinstance(text, str):
        raise TextError(
            f"{where}: the field {column!r} holds {type(text).__name__}, expected a string."
        )
    return text


def need_extra(what: str, error: ImportError) -> MissingExtraError:
    """The error that says which extra reads `what`."""
    return MissingExtraError(
        f"{what} is read with the extra 'data' ({error}): pip install 'molehill[data]'."
    )


# --- forms ----------------------------------------------------------------------------------------


def _whole(file: io.BufferedIOBase, path: Path) -> str:
    raw = file.read(_LONGEST_FILE + 1)
    if len(raw) > _LONGEST_FILE:
        raise TextError(
            f"{path} is longer than {LONGEST_DOCUMENT:,} characters, the most of one document: "
            "take each paragraph or line of it as one (split='paragraph', split='line')."
        )
    return _decoded(raw, path, 0)


def _paragraphs(file: io.BufferedIOBase, path: Path) -> Iterator[tuple[int, str]]:
    held: list[str] = []
    first = length = 0
    for number, line in _lines(file, path):
        if not line.strip():
            if held:
                yield first, "".join(held).rstrip("\r\n")
            held, length = [], 0
            continue
        first = first if held else number
        held.append(line)
        length += len(line)
        if length > LONGEST_DOCUMENT:
            raise TextError(
                f"{path}, line {first}: a paragraph is longer than {LONGEST_DOCUMENT:,} "
                "characters, the most of one document: take each line as one (split='line')."
            )
    if held:
        yield first, "".join(held).rstrip("\r\n")


def _json_lines(file: io.BufferedIOBase, path: Path, column: str) -> Iterator[tuple[int, str]]:
    for number, line in _lines(file, path):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            row = json.loads(line.strip())
        except json.JSONDecodeError as error:
            raise TextError(f"{where} is not JSON: {error.msg} at column {error.colno}.") from None
        except RecursionError:
            raise TextError(f"{where} is not read: its brackets are nested too deep.") from None
        if not isinstance(row, dict):
            raise TextError(f"{where} holds {type(row).__name__}, expected an object.")
        yield number, text_in_row(row, column, where)


def _parquet(path: Path, column: str) -> Iterator[tuple[int, str]]:
    try:
        import pyarrow  # pyrefly: ignore[missing-import]
        from pyarrow import parquet  # pyrefly: ignore[missing-import]
    except ImportError as error:
        raise need_extra(str(path), error) from None
    try:
        with parquet.ParquetFile(path) as file:
            text_in_row(dict.fromkeys(file.schema_arrow.names, ""), column, str(path))
            number = 0
            for rows in file.iter_batches(batch_size=_ROWS, columns=[column]):
                for text in rows.column(0).to_pylist():
                    number += 1
                    yield number, text_in_row({column: text}, column, f"{path}, row {number}")
    except pyarrow.ArrowException as error:
        raise TextError(f"{path} is damaged or no Parquet: {str(error).splitlines()[0]}.") from None


# --- bytes ----------------------------------------------------------------------------------------


def _form(path: Path) -> str | None:
    inner = path.with_suffix("") if path.suffix in _COMPRESSED else path
    form = FILE_ENDINGS.get(inner.suffix.lower())
    return None if form == "parquet" and inner != path else form


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """The file's bytes, decompressed as they are read."""
    if path.suffix == ".gz":
        with gzip.open(path, "rb") as file:
            yield file
    elif path.suffix == ".zst":
        try:
            import pyarrow  # pyrefly: ignore[missing-import]
        except ImportError as error:
            raise need_extra(str(path), error) from None
        # Unlike the zstandard library's own reader, it notices a file that is cut off.
        with pyarrow.input_stream(str(path), compression="zstd") as raw:
            yield io.BufferedReader(raw, 2**20)
    else:
        with open(path, "rb") as file:
            yield file


def _lines(file: io.BufferedIOBase, path: Path) -> Iterator[tuple[int, str]]:
    """Each line with its end, numbered from 1."""
    place = 0
    for number in count(1):
        raw = file.readline(_LONGEST_LINE)
        if not raw:
            return
        if len(raw) == _LONGEST_LINE and not raw.endswith(b"\n"):
            raise TextError(
                f"{path}, line {number} is longer than {_LONGEST_LINE:,} bytes, which holds more "
                f"than {LONGEST_DOCUMENT:,} characters, the most of one document: cut it."
            )
        yield number, _decoded(raw, path, place)
        place += len(raw)


def _decoded(raw: bytes, path: Path, place: int) -> str:
    """UTF-8 as text, without the mark that some editors put at a file's beginning."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path} is not UTF-8: byte {place + error.start} (0x{raw[error.start]:02X}) begins no "
            "character. Convert the file, for example with iconv."
        ) from None
    return text.removeprefix("\ufeff") if place == 0 else text
