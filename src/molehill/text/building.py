"""From documents to a corpus: a vocabulary is learned, texts are encoded in parallel, shards made.

    build_corpus({"dictionary": "words.jsonl", "books": "books/"}, "corpus", d_vocab=8192)

Given again after a break it goes on after the last whole shard; the texts before are read and
hashed, not encoded. Memory holds one shard and a few batches of texts, however long the sources
are. This module knows nothing of how a file is read or a shard written.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from molehill.errors import TextError
from molehill.files import write_atomically
from molehill.text.corpus import Corpus
from molehill.text.documents import Document, Sources, check_split, documents
from molehill.text.filling import Choice, Pending, ShardFiller
from molehill.text.sample import sample_of
from molehill.text.shards import id_dtype, shard_record
from molehill.text.tokenizer import Tokenizer

__all__ = ["Progress", "build_corpus"]

Progress = Callable[[str, int], None]
"""Told which stage is at work (`sample`, then `tokens`) and how many bytes of text were just read
for it; both stages read all of the sources."""

_SETTINGS = "settings.json"
_LAST_OF_TOKENIZER = "tokenizer_config.json"  # of its files, the last to be written
_BATCH_CHARACTERS = 2**18
_BATCH_TEXTS = 512


def build_corpus(
    sources: Sources,
    folder: str | os.PathLike[str],
    *,
    tokenizer: Tokenizer | None = None,
    d_vocab: int = 8192,
    tokenizer_bytes: int = 2**25,
    held_out: float = 0.01,
    seed: int = 0,
    split: str = "file",
    column: str = "text",
    shard_tokens: int = 2**23,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Make a corpus of token shards, or go on with one, and open it.

    A document is held out if a hash of its text says so, so equal texts are on one side. Which ones
    these are depends on the text and the seed alone. Documents without a visible character are
    counted and passed over. The result is the same for any number of workers.

    Args:
        sources: What `documents` reads; as a mapping, kinds of text that are counted apart.
        folder: Where the corpus is made: new, empty, or that of the same corpus, unfinished or not.
        tokenizer: Writes the texts; it must have an end-of-text token. None: one is learned.
        d_vocab: Of a vocabulary that is learned, the most tokens (`Tokenizer.train`).
        tokenizer_bytes: It is learned from a random sample of the training documents of at most so
            many bytes.
        held_out: The share of documents kept for evaluation, 0 to below 1.
        seed: Of the choices of held-out documents and of the sample.
        split, column: As in `documents`.
        shard_tokens: A shard is closed when it has so many tokens; uses some 6 bytes of memory
            each.
        workers: Threads that encode; None: one per processor.
        progress: See `Progress`.

    Raises:
        TextError: settings out of range, another corpus in the folder, sources that have changed
            since it was begun, or whatever `documents` finds wrong.
        MissingExtraError: a source needs the extra `data`.
        OSError: the disk is full, or the folder cannot be written.
    """
    _check(held_out, shard_tokens, tokenizer_bytes, workers, seed)
    check_split(split)
    choice = Choice(held_out, seed)

    def read(stage: str) -> Iterator[Document]:
        return _told(documents(sources, split=split, column=column), stage, progress)

    path = Path(folder)
    learned = {"d_vocab": d_vocab, "tokenizer_bytes": tokenizer_bytes}
    settings = {
        "tokenizer": learned if tokenizer is None else {"digest": tokenizer.digest},
        "held_out": held_out,
        "seed": seed,
        "split": split,
        "column": column,
        "shard_tokens": shard_tokens,
    }
    _claim(path, settings)
    if tokenizer is None:
        if (path / "tokenizer" / _LAST_OF_TOKENIZER).exists():
            tokenizer = Tokenizer.from_folder(path / "tokenizer")
        else:
            training = (each for each in read("sample") if not choice.holds_out(each.text))
            texts = sample_of(training, tokenizer_bytes, seed=seed)
            if not texts:
                raise TextError("The sources hold no text to learn a vocabulary from.")
            tokenizer = Tokenizer.train(texts, d_vocab=d_vocab)
    if tokenizer.eos_id is None:
        raise TextError(
            "The tokenizer has no end-of-text token (eos) to put between documents: give one that "
            "has."
        )
    tokenizer.save(path / "tokenizer")
    dtype = id_dtype(tokenizer.d_vocab)
    filler = ShardFiller(path / "shards", dtype, tokenizer.digest, choice, shard_tokens)
    count = (os.cpu_count() or 1) if workers is None else workers
    with ThreadPoolExecutor(count) as pool:
        for group, encoded in _in_order(pool, 2 * count, filler.pending(read("tokens")), tokenizer):
            for document, ids in zip(group, encoded, strict=True):
                filler.add(document, ids)
    shards = filler.close()
    if not any(section.split == "train" for shard in shards for section in shard.sections):
        seen, empty = filler.passed
        raise TextError(
            f"There is nothing to train on: of {seen} documents {empty} have no text, and the "
            f"others are held out (held_out={held_out})."
        )
    return Corpus.finish(path, tokenizer, shards, settings)


def _told(stream: Iterator[Document], stage: str, progress: Progress | None) -> Iterator[Document]:
    """The same documents; `progress` is told of each megabyte or so."""
    read = 0
    for document in stream:
        yield document
        read += len(document.text.encode())
        if progress is not None and read >= 2**20:
            progress(stage, read)
            read = 0
    if progress is not None:
        progress(stage, read)


# --- encoding in parallel -------------------------------------------------------------------------


def _in_order(
    pool: ThreadPoolExecutor, ahead: int, pending: Iterator[Pending], tokenizer: Tokenizer
) -> Iterator[tuple[list[Pending], list[np.ndarray]]]:
    """Groups of documents with their ids, in order; at most `ahead` groups are under way."""
    under_way: deque[tuple[list[Pending], Future[list[np.ndarray]]]] = deque()
    try:
        for group in _groups(pending):
            under_way.append((group, pool.submit(_encoded, tokenizer, group)))
            if len(under_way) >= ahead:
                first, future = under_way.popleft()
                yield first, future.result()
        while under_way:
            first, future = under_way.popleft()
            yield first, future.result()
    finally:
        for _, future in under_way:
            future.cancel()


def _groups(pending: Iterable[Pending]) -> Iterator[list[Pending]]:
    group: list[Pending] = []
    characters = 0
    for each in pending:
        group.append(each)
        characters += len(each.document.text)
        if characters >= _BATCH_CHARACTERS or len(group) >= _BATCH_TEXTS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _encoded(tokenizer: Tokenizer, group: Sequence[Pending]) -> list[np.ndarray]:
    """The ids of each document, closed by the end-of-text token."""
    dtype = id_dtype(tokenizer.d_vocab)
    texts = [each.document.text for each in group]
    try:
        encoded = tokenizer.ids(texts, add_special=False)
    except TextError as error:
        if len(group) == 1:
            raise TextError(f"{group[0].document.place}: {error}") from None
        # One by one, to find which document it is.
        return [ids for each in group for ids in _encoded(tokenizer, [each])]
    return [np.array([*ids, tokenizer.eos_id], dtype) for ids in encoded]


# --- settings -------------------------------------------------------------------------------------


def _check(
    held_out: float, shard_tokens: int, tokenizer_bytes: int, workers: int | None, seed: int
) -> None:
    if not 0 <= held_out < 1:
        raise TextError(f"held_out is {held_out}; expected a share from 0 to below 1.")
    if not 0 <= seed < 2**64:
        raise TextError(f"seed is {seed}; expected 0 to 2**64 - 1.")
    numbers = {"tokenizer_bytes": tokenizer_bytes, "workers": 1 if workers is None else workers}
    for name, number in {**numbers, "shard_tokens": shard_tokens}.items():
        if number < 1:
            raise TextError(f"{name} is {number}; expected 1 or more.")
    if shard_tokens > 2**30:
        raise TextError(f"shard_tokens is {shard_tokens:,}; expected at most {2**30:,}.")


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Make the folder this corpus's own, or see that it already is."""
    path = folder / _SETTINGS
    if path.exists():
        try:
            known = json.loads(path.read_bytes())
        except ValueError:
            raise TextError(f"{path} is damaged: remove the folder and begin anew.") from None
        if known == settings:
            return
        if shard_record(folder / "shards", 0).exists():
            names = [name for name in settings if known.get(name) != settings[name]]
            different = "; ".join(f"{n} was {known.get(n)}, now {settings[n]}" for n in names)
            raise TextError(
                f"{folder} holds a corpus made with other settings ({different}): give the same, "
                "or another folder."
            )
        # No text was encoded yet, so nothing is lost; the vocabulary may be of other settings.
        (folder / "tokenizer" / _LAST_OF_TOKENIZER).unlink(missing_ok=True)
    elif folder.exists() and any(each.suffix != ".tmp" for each in folder.iterdir()):
        raise TextError(f"{folder} holds other files: give a folder that is new or empty.")
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(settings, indent=1).encode()
    write_atomically(path, lambda file: file.write(content))
