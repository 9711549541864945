"""Texts that `lexicon` writes itself, in which pages look for examples of its features.

    python recipes/lexicon_own_texts.py src/molehill/models/lexicon

The same weights give the same texts; about two minutes of one core.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import molehill
from molehill.files import write_atomically
from molehill.questions.made_examples import OWN_TEXTS, own_texts

_TIMES, _LENGTH = 6, 100


def main() -> None:
    """Write them beside the model."""
    folder = Path(sys.argv[1])
    lm = molehill.load(folder)
    held = {
        "fingerprint": lm.fingerprint,
        "texts": own_texts(lm, times=_TIMES, length=_LENGTH),
    }
    raw = json.dumps(held, ensure_ascii=False, indent=0).encode("utf-8", "replace")
    write_atomically(folder / OWN_TEXTS, lambda file: file.write(raw))


if __name__ == "__main__":
    main()
