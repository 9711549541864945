"""What Debian says of its packages: version, licence, files, and the command that installs them."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["licence", "missing", "read_text", "under", "version"]


def version(package: str) -> str:
    """The installed version, or '' where the package is not installed."""
    told = subprocess.run(
        ["dpkg-query", "-W", "-f=${db:Status-Status} ${Version}", package],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    return told[1] if len(told) == 2 and told[0] in ("installed", "unpacked") else ""


def missing(packages: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed."""
    return [package for package in packages if not version(package)]


def licence(package: str, root: Path) -> list[str]:
    """The licences that a package's copyright file names, in its own words, most used first."""
    path = root / "usr/share/doc" / package / "copyright"
    if not path.exists():
        return []
    told = path.read_text(encoding="utf-8", errors="replace")
    named = re.findall(r"^License:[ \t]*(\S.*)$", told, re.MULTILINE)
    known = r"(?:common-licenses/)([A-Za-z]+(?:-[0-9]+(?:\.[0-9]+)*)?)"
    named = named or re.findall(known, told) or public_domain(told) or ["see its copyright file"]
    return sorted(dict.fromkeys(named), key=lambda one: -named.count(one))[:6]


def public_domain(told: str) -> list[str]:
    """What older copyright files say in a sentence."""
    if re.search(r"public\s+domain|copyright[^.]*expired", told, re.IGNORECASE):
        return ["public domain"]
    return ["WordNet licence"] if "WordNet" in told else []


def under(root: Path, folder: str, pattern: str) -> Iterator[Path]:
    """The files of a folder, in one order everywhere."""
    yield from sorted(path for path in (root / folder).glob(pattern) if path.is_file())


def read_text(path: Path) -> str:
    """A text file, or one within gzip or dictzip."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode("utf-8", errors="replace")
