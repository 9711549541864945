"""What Debian's packages are for, in their maintainers' words: modern English on every trade."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lexicon.clean import prose, sentence, tidy
from lexicon.debian import under
from lexicon.records import Text

__all__ = ["descriptions", "parsed", "stanzas"]

# Families with thousands of near-equal descriptions of parts, for programmers alone.
FAMILIES = re.compile(
    r"librust-|golang-|node-|texlive-lang|libghc-|r-cran-rcpp|task-|firefox-.*l10n|libreoffice-l10n|"
    r"hunspell-|hyphen-|language-pack|.*-dbg(?:sym)?$|.*-dev$|linux-"
)


def stanzas(text: str) -> Iterator[tuple[str, str]]:
    """(package, description) of a list of translations."""
    for stanza in text.split("\n\n"):
        name = re.search(r"^Package: (.+)$", stanza, re.MULTILINE)
        told = re.search(r"^Description-en: (.*\n?(?:^ .*\n?)*)", stanza, re.MULTILINE)
        if name and told and not FAMILIES.match(name[1]):
            yield name[1], told[1]


def parsed(name: str, told: str) -> Text | None:
    """The paragraphs that are prose; lists and the lines about parts of packages go."""
    summary, *lines = told.split("\n")
    body = "\n".join(line.removeprefix(" ") for line in lines)
    blocks = [
        tidy(one) for one in re.split(r"^\.$", body, flags=re.MULTILINE) if "\n *" not in "\n" + one
    ]
    blocks = [
        one
        for one in blocks
        if prose(one, words=8) and not re.match(r"This (?:package|is a)\b", one)
    ]
    if not blocks:
        return None
    head = sentence(re.sub(r"\s*\(.*\)$| - .*$", "", summary))
    return Text(
        name, "\n\n".join([f"{name}: {head}" if prose(head, words=3) else "", *blocks]).strip()
    )


def descriptions(root: Path) -> Iterator[Text]:
    """All of the stable release's main section, from the lists that apt keeps."""
    for path in under(root, "var/lib/apt/lists", "*debian_dists_*_main_i18n_Translation-en*"):
        if "-updates_" in path.name or "-security" in path.name:
            continue
        command = [str(root / "usr/lib/apt/apt-helper"), "cat-file", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for name, told in stanzas(text):
            found = parsed(name, told)
            if found:
                yield found
