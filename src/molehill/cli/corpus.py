"""`molehill corpus`: texts become a corpus of token shards; what is in one; whether it is whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import JsonOption, print_error, print_json, print_table, progress

if TYPE_CHECKING:
    from molehill.text import Corpus
    from molehill.text.building import Progress

__all__ = ["register"]

_FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Where the corpus is.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    family = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Texts as tokens on disk: make a corpus to train on, see what is in it, verify it."
        "\n\nExample: molehill corpus build books=books/ --out corpus",
    )
    family.command("build")(_build)
    family.command("show")(_show)
    family.command("verify")(_verify)
    app.add_typer(family, name="corpus")


def _build(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Files (.txt .md .jsonl .parquet; .gz or .zst of them), folders, or data sets "
            "(hf:NAME); KIND=SOURCE counts a kind of text apart.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the corpus is made.")],
    split: Annotated[
        str,
        typer.Option("--split", help="A document of a text file is: file, paragraph or line."),
    ] = "file",
    column: Annotated[
        str, typer.Option("--column", help="The field with the text, of JSON lines and tables.")
    ] = "text",
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            "--tokenizer", metavar="FOLDER", help="A model's tokenizer; default: one is learned."
        ),
    ] = None,
    d_vocab: Annotated[
        int, typer.Option("--d-vocab", help="The most tokens of a tokenizer that is learned.")
    ] = 8192,
    held_out: Annotated[
        float, typer.Option("--held-out", help="The share of documents kept for evaluation.")
    ] = 0.01,
    seed: Annotated[int, typer.Option("--seed", help="Chooses the documents held out.")] = 0,
    shard_tokens: Annotated[
        int, typer.Option("--shard-tokens", help="A file is closed when it has so many tokens.")
    ] = 2**23,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Threads; default: one per processor.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a corpus of token shards, which `molehill train` reads.

    Given again, the same command goes on where it stopped.

    Example: molehill corpus build books=books/ dictionary=words.jsonl.gz --out corpus
    """
    from molehill.text import Tokenizer, build_corpus

    given = None if tokenizer is None else Tokenizer.from_folder(tokenizer)
    try:
        with _stages() as told:
            corpus = build_corpus(
                _by_kind(sources),
                out,
                tokenizer=given,
                d_vocab=d_vocab,
                held_out=held_out,
                seed=seed,
                split=split,
                column=column,
                shard_tokens=shard_tokens,
                workers=workers,
                progress=told,
            )
    except KeyboardInterrupt:
        whole = len(list(out.glob("shards/*.json")))
        print_error(f"stopped: {whole} shards are whole in {out}; give the same command to go on")
        raise SystemExit(130) from None  # said above: not once more
    _print(corpus, as_json)


def _show(folder: _FolderArgument, as_json: JsonOption = False) -> None:
    """Show how much text of each kind a corpus has, on each side, and what it was made with.

    Example: molehill corpus show corpus
    """
    from molehill.text import Corpus

    _print(Corpus.open(folder), as_json)


def _verify(folder: _FolderArgument, as_json: JsonOption = False) -> None:
    """Hold every file of a corpus to its hash; the first that was changed is named.

    Example: molehill corpus verify corpus
    """
    from molehill.text import Corpus

    corpus = Corpus.open(folder)
    files = [file for shard in corpus.shards for file in shard.files]
    total = sum(file.bytes for file in files)
    with progress("Bytes", total) as advance:
        corpus.verify(advance)
    if as_json:
        print_json({"folder": folder, "digest": corpus.digest, "files": len(files), "bytes": total})
    else:
        typer.echo(f"All {len(files)} files are as they were made ({total / 1e6:,.1f} MB).")


def _by_kind(sources: list[str]) -> dict[str, list[str]]:
    """The sources of each kind; one without a kind is of the kind `text`."""
    from molehill.text.documents import DEFAULT_KIND

    found: dict[str, list[str]] = {}
    for source in sources:
        named = re.fullmatch(r"([\w .-]+)=(.+)", source)
        if named is None or Path(source).exists():
            found.setdefault(DEFAULT_KIND, []).append(source)
        else:
            found.setdefault(named[1], []).append(named[2])
    return found


@contextmanager
def _stages() -> Iterator[Progress]:
    """A bar for each stage in turn; once the texts were read to their end, the next knows it."""
    labels = {"sample": "Reading, for the vocabulary", "tokens": "Encoding"}
    read: dict[str, int] = {}
    with ExitStack() as bars:
        advance: dict[str, Any] = {}

        def told(stage: str, count: int) -> None:
            if stage not in advance:
                bars.close()
                total = read.get("sample") if stage == "tokens" else None
                advance[stage] = bars.enter_context(progress(labels[stage], total))
            read[stage] = read.get(stage, 0) + count
            advance[stage](count)

        yield told


def _print(corpus: Corpus, as_json: bool) -> None:
    from molehill.text.corpus import SPLITS

    counts = {split: {kind: corpus.count(split, kind) for kind in corpus.kinds} for split in SPLITS}
    if as_json:
        print_json(
            {
                "folder": corpus.folder,
                "digest": corpus.digest,
                "tokenizer": corpus.tokenizer.digest,
                "d_vocab": corpus.tokenizer.d_vocab,
                "shards": len(corpus.shards),
                "empty_documents": corpus.empty_documents,
                "settings": corpus.settings,
                "counts": counts,
            }
        )
        return
    rows = [
        (split.replace("_", " "), kind, each.documents, each.tokens, each.bytes, _ratio(each))
        for split, kinds in counts.items()
        for kind, each in kinds.items()
    ]
    print_table(["split", "kind", "documents", "tokens", "bytes", "bytes/token"], rows)
    typer.echo(f"\n{corpus.tokenizer!r}, {len(corpus.shards)} shards in {corpus.folder}")
    typer.echo(f"Digest {corpus.digest}")
    if corpus.empty_documents:
        typer.echo(f"{corpus.empty_documents:,} documents without text were passed over.")
    if missing := [kind for kind, each in counts["held_out"].items() if not each.documents]:
        typer.echo(f"Nothing is held out of {', '.join(missing)}: raise --held-out, or --split.")


def _ratio(counts: Any) -> float:
    return round(counts.bytes / counts.tokens, 2) if counts.tokens else 0.0
