"""What the tests of this room share: real text, real vocabularies, and a small trained one."""

from __future__ import annotations

import argparse
import random
import sysconfig
import textwrap
import unicodedata
from pathlib import Path

import pytest

from molehill.checkpoints.gguf import GgufFile
from molehill.text import Tokenizer


@pytest.fixture(scope="session")
def smollm2_metadata(smollm2_gguf) -> dict[str, object]:
    with_tensors = GgufFile(smollm2_gguf)
    metadata = dict(with_tensors.metadata)
    with_tensors.close()
    return metadata


@pytest.fixture(scope="session")
def smollm2_in_transformers(smollm2_gguf):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(smollm2_gguf.parent, gguf_file=smollm2_gguf.name)


@pytest.fixture(scope="session")
def smollm2(smollm2_metadata) -> Tokenizer:
    return Tokenizer.from_gguf(smollm2_metadata)


@pytest.fixture(scope="session")
def minilm(minilm_folder) -> Tokenizer:
    return Tokenizer.from_folder(minilm_folder)


@pytest.fixture(scope="session")
def trained() -> Tokenizer:
    """A byte-level vocabulary of 600 tokens, learned from two modules of Python's library."""
    texts = [Path(module.__file__).read_text("utf-8") for module in (textwrap, argparse)]
    return Tokenizer.train(texts, d_vocab=600)


@pytest.fixture(scope="session")
def stdlib_lines() -> list[str]:
    """2,500 lines of Python's library, and all of its lines that are not ASCII up to 1,500."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
    paths = [path for path in paths if "site-packages" not in path.parts]
    chance = random.Random(0)
    lines = []
    for path in chance.sample(paths, min(400, len(paths))):
        try:
            lines += path.read_text("utf-8").split("\n")
        except UnicodeDecodeError:
            continue
    plain = [line for line in lines if line.isascii() and line.strip()]
    rich = [line for line in lines if not line.isascii()]
    return chance.sample(plain, 2_500) + rich[:1_500]


@pytest.fixture(scope="session")
def unicode_lines() -> list[str]:
    """1,500 lines of random assigned characters of all scripts, with blanks and digits between."""
    chance = random.Random(1)
    # Private and unassigned characters, controls and surrogates are no text.
    known = [chr(code) for code in range(0x20, 0x30000)]
    known = [each for each in known if unicodedata.category(each)[0] != "C"]
    joints = [" ", "  ", "\t", "\u00a0", "\u200d", "\u0301", "1", "23", "'s", "mole", ".", "\r\n"]
    return [
        "".join(chance.choice(chance.choice((known, joints))) for _ in range(chance.randint(1, 30)))
        for _ in range(1_500)
    ]


@pytest.fixture(scope="session")
def real_lines(coarsewsd, stdlib_lines, unicode_lines) -> list[str]:
    """10,000 lines: encyclopedia sentences, code, and characters of all scripts."""
    sentences = [
        line.partition("\t")[2]
        for path in sorted(coarsewsd.glob("*/t*.data.txt"))
        for line in path.read_text("utf-8").splitlines()
    ]
    others = stdlib_lines + unicode_lines
    return random.Random(2).sample(sentences, 10_000 - len(others)) + others
