"""Making and reading a corpus: megabytes of text a second by ways of sharing the work, and a batch.

The texts are the modules of Python's own library in pieces of 4,000 characters. Ways: one thread;
a thread per processor, which is what `build_corpus` does; the `tokenizers` library's own threads; a
process per processor, its start included. Then a whole build from JSON lines, the pass over the
same texts when it is given again, verifying, and the time of one batch of 16 x 257 tokens.

python benchmarks/corpus.py [--rounds 3] [--megabytes 8]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from _machine import machine, report
from _measure import in_turn

CORES = os.cpu_count() or 1
GROUP = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=8)
    arguments = parser.parse_args()
    report(machine=machine())
    texts = library_texts(int(arguments.megabytes * 1e6))
    size = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        for name, took in in_turn(encoders(texts, Path(folder)), arguments.rounds).items():
            report(
                benchmark="encoding", way=name, mb_per_s=round(size / took["seconds"], 2), **took
            )
        build_and_read(texts, size, Path(folder))


def library_texts(size: int) -> list[str]:
    """Pieces of a few kilobytes, `size` bytes of them in all."""
    texts: list[str] = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        text = path.read_text("utf-8", errors="ignore")
        texts += [text[at : at + 4000] for at in range(0, len(text), 4000)]
        if len(texts) * 4000 > 2 * size:
            break
    total, kept = 0, []
    for text in texts:
        total += len(text.encode())
        if total > size:
            break
        kept.append(text)
    return kept


def encoders(texts: Sequence[str], folder: Path) -> dict[str, Callable[[], object]]:
    from molehill.text import Tokenizer

    Tokenizer.train(texts, d_vocab=8192).save(folder / "tokenizer")
    groups = [texts[at : at + GROUP] for at in range(0, len(texts), GROUP)]
    start(str(folder / "tokenizer"))

    def shared(make: Callable[[], Executor]) -> None:
        with make() as pool:
            assert sum(pool.map(encode, groups)) > 0

    def alone() -> None:
        assert sum(map(encode, groups)) > 0

    def processes() -> Executor:
        start_it = (str(folder / "tokenizer"),)
        return ProcessPoolExecutor(CORES, get_context("spawn"), start, start_it)

    return {
        "one thread": lambda: single(alone),
        f"{CORES} threads": lambda: single(lambda: shared(lambda: ThreadPoolExecutor(CORES))),
        "the library's threads": alone,
        f"{CORES} processes": lambda: single(lambda: shared(processes)),
    }


def single(work: Callable[[], None]) -> None:
    """Without the library's own threads."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        work()
    finally:
        os.environ["TOKENIZERS_PARALLELISM"] = "true"


def start(folder: str) -> None:
    """Load the tokenizer in this process."""
    from molehill.text import Tokenizer

    global TOKENIZER
    TOKENIZER = Tokenizer.from_folder(folder)


def encode(group: Sequence[str]) -> int:
    return sum(map(len, TOKENIZER.ids(group, add_special=False)))


def build_and_read(texts: Sequence[str], size: float, folder: Path) -> None:
    from molehill.text import Corpus, TokenStream, build_corpus

    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")

    def build() -> object:
        return build_corpus(path, folder / "corpus", tokenizer=TOKENIZER)

    def verify() -> None:
        Corpus.open(folder / "corpus").verify()

    for what, work in (("build", build), ("given again", build), ("verify", verify)):
        begun, processor = time.perf_counter(), time.process_time()
        work()
        took, cpu = time.perf_counter() - begun, time.process_time() - processor
        report(
            benchmark="corpus",
            what=what,
            mb_per_s=round(size / took, 1),
            seconds=round(took, 3),
            processor_seconds=round(cpu, 3),
        )
    stream = TokenStream(build(), context=256, batch=16)
    times = []
    for step in range(1100):
        begun = time.perf_counter()
        stream.rows(step)
        times.append(time.perf_counter() - begun)
    report(
        benchmark="batch",
        rows=16,
        tokens=257,
        milliseconds=round(1e3 * statistics.median(times[100:]), 3),
        longest=round(1e3 * max(times[100:]), 3),
    )


if __name__ == "__main__":
    main()
