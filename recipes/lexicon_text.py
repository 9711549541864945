"""Prepares the text that `lexicon`, the shipped model of English, learns from.

    python recipes/lexicon_text.py FOLDER [KIND...]

Reads free texts out of installed Debian packages and writes one file per kind, `FOLDER/KIND.jsonl`,
whose lines are documents ({"text", "kind", "name"}), and `FOLDER/manifest.json`: which packages in
which version under which licences, what was kept and why, the files' sizes and hashes. The same
packages give the same bytes. Nothing is installed and nothing is fetched: where a package is
missing, the command that installs it is told. A few minutes on two cores.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from lexicon.clean import documents
from lexicon.debian import licence, missing, version
from lexicon.records import Text, draw
from lexicon.sources import SOURCES

from molehill.files import write_atomically

ROOT = Path("/")


def main(folder: Path, kinds: list[str]) -> int:
    """Every kind that was asked for (all, where none was), two at a time, then the manifest."""
    chosen = [source for source in SOURCES if source.kind in kinds or not kinds]
    unknown = set(kinds) - {source.kind for source in SOURCES}
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(s.kind for s in SOURCES)}")
        return 2
    lacking = missing(package for source in chosen for package in source.packages)
    if lacking:
        print(f"{len(lacking)} packages are missing. They come with\n\n    {command(lacking)}")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {}
    with ProcessPoolExecutor(max_workers=2) as pool:
        for row in pool.map(partial(write_kind, folder), [source.kind for source in chosen]):
            print(
                f"{row['kind']:<14}{row['documents']:>8,} documents {row['bytes'] / 1e6:8.2f} MB",
                flush=True,
            )
            told[row["kind"]] = row
    write_atomically(folder / "manifest.json", partial(write_json, manifest(folder, told)))
    return 0


def command(packages: list[str]) -> str:
    """What installs them. Descriptions come with `update`, where a language is asked for."""
    install = f"apt-get install --no-install-recommends {' '.join(packages)}"
    return f"apt-get -o Acquire::Languages=en update && {install}"


def write_kind(folder: Path, kind: str) -> dict[str, Any]:
    """One kind's file, whole or not at all, and its row of the manifest."""
    source = next(source for source in SOURCES if source.kind == kind)
    count, size, words = 0, 0, 0
    digest = hashlib.sha256()

    def write(file: BinaryIO) -> None:
        nonlocal count, size, words
        for one in kept(documents(source.read(ROOT)), source.keep):
            line = json.dumps(
                {"text": one.text, "kind": kind, "name": one.name}, ensure_ascii=False
            )
            file.write(line.encode() + b"\n")
            digest.update(line.encode() + b"\n")
            count, size, words = (
                count + 1,
                size + len(one.text.encode()),
                words + len(one.text.split()),
            )

    write_atomically(folder / f"{kind}.jsonl", write)
    return {
        "kind": kind,
        "documents": count,
        "bytes": size,
        "words": words,
        "sha256": digest.hexdigest(),
        "keep": source.keep,
        "note": source.note,
        "packages": [
            {"name": name, "version": version(name), "licences": licence(name, ROOT)}
            for name in source.packages
        ],
    }


def kept(texts: Iterator[Text], share: float) -> Iterator[Text]:
    """The share of documents whose own hash draws them."""
    yield from (text for text in texts if share >= 1 or draw(text.text) < share)


def manifest(folder: Path, rows: dict[str, Any]) -> dict[str, Any]:
    """The rows, beside those of kinds that an earlier call wrote and this one did not."""
    path = folder / "manifest.json"
    before = json.loads(path.read_text(encoding="utf-8"))["kinds"] if path.exists() else []
    every = {row["kind"]: row for row in before} | rows
    kinds = [every[source.kind] for source in SOURCES if source.kind in every]
    return {
        "about": "Text for lexicon. `bytes` counts texts alone; `sha256` is of the file.",
        "documents": sum(row["documents"] for row in kinds),
        "bytes": sum(row["bytes"] for row in kinds),
        "kinds": kinds,
    }


def write_json(value: dict[str, Any], file: BinaryIO) -> None:
    file.write(json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
