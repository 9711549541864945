"""`molehill senses`: how well a model tells a word's senses apart, senses without labels, and what
parts two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    JsonOption,
    ModelOption,
    check_writable,
    load_model,
    loads_models,
    print_json,
    print_table,
    progress,
    read_lines,
)

if TYPE_CHECKING:
    from molehill.journey.senses import SenseScores

__all__ = ["register"]

_TwiceOption = Annotated[
    bool,
    typer.Option("--twice", help="Read each text twice; follow the word in the second reading."),
]
_Folders = Annotated[
    list[Path],
    typer.Argument(
        metavar="FOLDER...",
        help="Folders in CoarseWSD-20's format, one per word, or a folder of such folders.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    family = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Senses of a word: score them, find them without labels, see what parts two of them."
        "\n\nExample: molehill senses evaluate docs/examples/senses/mole --model minilm",
    )
    family.command("evaluate")(loads_models(_evaluate))
    family.command("group")(loads_models(_group))
    family.command("part")(loads_models(_part))
    app.add_typer(family, name="senses")


def _evaluate(
    folders: _Folders,
    model: ModelOption = DEFAULT_MODEL,
    twice: _TwiceOption = False,
    most_train: Annotated[
        int | None,
        typer.Option(
            "--most-train", metavar="N", min=2, help="Learn from at most N uses of each sense."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Add each word's result to this file of JSON lines; words in it are skipped.",
        ),
    ] = None,
    dtype: DtypeOption = Dtype.float32,
    as_json: JsonOption = False,
) -> None:
    """Score how well a model tells a word's senses apart.

    Every layer by itself, then all of them together, beside what they must beat. Test labels only
    score: the layer is chosen and the reading fitted on the training uses. A model that reads from
    left to right has not seen what comes after the word; --twice lets it.

    Example: molehill senses evaluate coarsewsd20/mole --model minilm
    """
    from molehill.files import write_atomically
    from molehill.journey.coarsewsd import is_sense_word, read_sense_word, read_sense_words
    from molehill.journey.senses import draw_uses, score_senses
    from molehill.views.provenance import checked

    check_writable([] if out is None else [out])
    words = [
        word
        for folder in folders
        for word in (
            [read_sense_word(folder)] if is_sense_word(folder) else read_sense_words(folder)
        )
    ]
    done = _earlier(out)
    lm = load_model(model, dtype)
    results = []
    for word in words:
        key = f"{word.word} {lm.fingerprint} {twice} {most_train}"
        if key not in done:
            train = len(draw_uses(word.train, most_train))
            with progress(word.word, train + len(word.test)) as advance:
                scores = score_senses(
                    lm, word, twice=twice, most_train=most_train, progress=advance
                )
            check = checked(lm.name, lm.fingerprint, str(dtype))
            done[key] = _record(scores, most_train) | {"checked": check}
            if out is not None:
                lines = "".join(json.dumps(record) + "\n" for record in done.values())
                write_atomically(out, lambda file, text=lines: file.write(text.encode()))
        results.append(done[key])
    if as_json:
        print_json(results)
    else:
        _show(results)


def _record(scores: SenseScores, most_train: int | None) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(scores), "most_train": most_train}


def _earlier(path: Path | None) -> dict[str, dict[str, Any]]:
    from molehill.errors import TextError

    if path is None or not path.exists():
        return {}
    try:
        records = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]
        return {
            f"{one['word']} {one['fingerprint']} {one['twice']} {one['most_train']}": one
            for one in records
        }
    except (ValueError, KeyError, TypeError) as error:
        raise TextError(
            f"{path} is not a file of earlier results ({error}): name another, or remove it."
        ) from None


def _show(results: list[dict[str, Any]]) -> None:
    rows: list[tuple[Any, ...]] = []
    for one in results:
        plain = next(layer for layer in one["layers"] if layer["point"] == one["chosen"])
        rows.append(
            (
                one["word"],
                one["most_frequent"],
                one["layers"][0]["test"]["macro_f1"],
                one["chosen"],
                plain["test"]["macro_f1"],
                one["combined"]["macro_f1"],
                min(one["combined"]["recall"].values()),
                sum(one["shuffled"]) / len(one["shuffled"]),
            )
        )
    if len(rows) > 1:
        means = [sum(float(row[n]) for row in rows) / len(rows) for n in (1, 2, 4, 5, 6, 7)]
        rows.append(("mean", means[0], means[1], "", *means[2:]))
    print_table(
        [
            "word",
            "most frequent",
            "embedding",
            "best layer",
            "one layer",
            "all layers",
            "lowest recall",
            "shuffled",
        ],
        [tuple(round(v, 3) if isinstance(v, float) else v for v in row) for row in rows],
        title=f"Macro-F1 on the test uses, {results[0]['model']}"
        f"{', read twice' if results[0]['twice'] else ''}",
    )
    if cut := sum(one.get("cut", 0) for one in results):
        texts = "text was" if cut == 1 else "texts were"
        typer.echo(f"{cut} {texts} longer than the model reads, and cut around the word.")
    if len(results) == 1:
        _show_layers(results[0])


def _show_layers(one: dict[str, Any]) -> None:
    """One word in detail: every layer, then the reading of all of them, with recall by sense."""
    senses = list(one["uses"])
    typer.echo("\nOne layer at a time; recall by sense:")
    print_table(
        ["point", "macro-F1", "shuffled", "accuracy", "silhouette", "between/within"]
        + [str(number) for number in range(len(senses))],
        [
            (
                layer["point"],
                *(
                    f"{layer[name] if name in layer else layer['test'][name]:.3f}"
                    for name in ("macro_f1", "shuffled", "accuracy", "silhouette", "variance_ratio")
                ),
                *(_share(layer["test"]["recall"].get(sense)) for sense in senses),
            )
            for layer in one["layers"]
        ],
    )
    typer.echo("\nRecall by sense, all layers:")
    for number, sense in enumerate(senses):
        learnt, tested = one["uses"][sense]
        share = _share(one["combined"]["recall"].get(sense))
        typer.echo(f"  {number} {sense}: {share} of {tested} (learnt from {learnt})")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _group(
    word: Annotated[str, typer.Argument(metavar="WORD", help="The word.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A text file, a sentence a line.")],
    model: ModelOption = DEFAULT_MODEL,
    k: Annotated[int | None, typer.Option("--groups", "-k", min=2, help="How many groups.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Point, such as 18.resid_post.")] = None,
    twice: _TwiceOption = False,
    dtype: DtypeOption = Dtype.float32,
    as_json: JsonOption = False,
) -> None:
    """Group a word's uses into senses without labels.

    Each group is told in its own words: those that its sentences say more than the others.

    Example: molehill senses group mole sentences.txt
    """
    from molehill.journey.discover import discover_senses

    sentences = [line.strip() for line in read_lines(file)]
    lm = load_model(model, dtype)
    with progress(word, len(sentences)) as advance:
        found = discover_senses(lm, word, sentences, k=k, at=at, twice=twice, progress=advance)
    if as_json:
        print_json(found)
        return
    typer.echo(
        f"{len(sentences)} uses of {word!r} in {len(found.groups)} groups, by their vectors at "
        f"{found.at} of {found.model}"
        + (f" (silhouette {found.silhouette:.2f})" if found.silhouette is not None else "")
    )
    for number, group in enumerate(found.groups, start=1):
        typer.echo(f"\n{number}. {len(group.sentences)} uses: {', '.join(group.words) or '-'}")
        for sentence in group.sentences[:3]:
            typer.echo(f"   {_shortened(sentences[sentence])}")


def _shortened(sentence: str, most: int = 96) -> str:
    return sentence if len(sentence) <= most else sentence[: most - 1] + "…"


def _part(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A word's folder.")],
    a: Annotated[int, typer.Argument(metavar="A", min=0, help="Number of one sense.")],
    b: Annotated[int, typer.Argument(metavar="B", min=0, help="Number of the other.")],
    model: ModelOption = DEFAULT_MODEL,
    at: Annotated[str | None, typer.Option("--at", help="Point, such as 18.resid_post.")] = None,
    twice: _TwiceOption = False,
    most: Annotated[int, typer.Option("--most", min=1, help="Uses read of each sense.")] = 40,
    dtype: DtypeOption = Dtype.float32,
    as_json: JsonOption = False,
) -> None:
    """Tell what moves one sense away from another.

    From which point on they are apart, and which source words, heads, attention and MLPs did it.

    Example: molehill senses part coarsewsd20/mole 0 1
    """
    from molehill.journey.coarsewsd import read_sense_word
    from molehill.journey.discover import default_point
    from molehill.journey.sense_parting import part_senses

    word = read_sense_word(folder)
    lm = load_model(model, dtype)
    told = part_senses(lm, word, a, b, at=at or default_point(lm.config), twice=twice, most=most)
    if as_json:
        print_json(told)
        return
    typer.echo(
        f"{word.word}: from {told.a} to {told.b} at {told.at}, a distance of {told.distance:.2f} "
        f"(closing error {told.closing_error:.1e})"
    )
    parts = f"part at {told.parts_at}" if told.parts_at else "do not part"
    typer.echo(
        f"Their means {parts}. Relative distance: "
        + ", ".join(
            f"{told.distances[point]:.2f} at {point}"
            for point in dict.fromkeys(("embed", told.parts_at or told.at, told.at))
        )
    )
    for title, shares in (
        ("source word", told.by_source),
        ("head", told.by_head),
        ("component", told.by_component),
    ):
        typer.echo("")
        print_table(
            [title, "share"],
            [(name, f"{value / told.distance:+.1%}") for name, value in list(shares.items())[:8]],
        )
