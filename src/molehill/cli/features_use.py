"""`molehill features steer`, `list`, `undo` and `graph`: text with features changed, such changes
kept in files, and what made which."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    HtmlOption,
    JsonOption,
    ModelOption,
    check_writable,
    kept_feature_edits,
    load_model,
    loads_models,
    print_json,
    print_view,
    print_view_json,
    progress,
    write_files,
)
from molehill.errors import ConfigError

if TYPE_CHECKING:
    from molehill.features.edit_files import FeatureEdits
    from molehill.features.trained import Features

__all__ = ["register"]

_DURING = ("all", "prompt", "generated")


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("steer")(loads_models(_steer))
    app.command("list")(_list)
    app.command("undo")(_undo)
    app.command("graph")(loads_models(_graph))


def _steer(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the model goes on from.")],
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            metavar="FILE",
            help="An autoencoder of the model; default: that of --edits.",
            show_default=False,
        ),
    ] = None,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            "--feature",
            metavar="N=VALUE",
            help="`12=+5` adds, `12=5` holds, `12=x2` multiplies, `12=off`; repeatable. Default: "
            "the last edit of --edits.",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            "--save", metavar="FILE", help="Keep these changes, after those of --edits, there."
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    strength: Annotated[
        list[float] | None,
        typer.Option("--strength", metavar="S", help="Times the change; repeatable. Default: 1."),
    ] = None,
    during: Annotated[
        str,
        typer.Option("--during", help="Change `all` tokens, the `prompt`'s or the `generated`."),
    ] = "all",
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", "-n", metavar="N", help="Tokens to add at most.")
    ] = 40,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", help="0 takes the likeliest token every time.")
    ] = 0.0,
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", help="Draw from the fewest tokens that hold this probability."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31, help="Of every run, so that they draw alike.")
    ] = 0,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Write on from a prompt with features changed, side by side with the unchanged text.

    --edits takes a file that --save wrote: its edits belong to every run, the unchanged one too.

    Example: molehill features steer "The mole" --features lexicon-4 --feature 12=+5
    """
    if during not in _DURING:
        raise ConfigError(f"--during is {during!r}, expected one of {', '.join(_DURING)}.")
    check_writable([file for file in (html, save) if file is not None])

    from molehill.features.edit_files import FeatureEdits
    from molehill.features.steering import read_change, steer
    from molehill.features.trained import load_features
    from molehill.version import __version__
    from molehill.views.features_steer import steer_data
    from molehill.views.features_steer_text import steer_renderable, steer_text

    changes = tuple(read_change(one) for one in feature or ())
    kept = kept_feature_edits()
    if kept is None and (features is None or not changes):
        raise ConfigError("Say what is changed: --features FILE --feature 12=+5, or --edits FILE.")
    path = features or Path(kept.path if kept is not None else "")
    found = load_features(path)
    before = FeatureEdits.of(found, path) if kept is None else kept
    before.check(found)
    if not changes:
        before, last = before.apart()
        changes, during = last.changes, last.during
    if save is not None:
        _check_saved(save, kept, strength or ())
    lm = load_model(model, dtype, edited=kept is None)
    strengths = strength or (1.0,)
    steered = steer(
        lm,
        found,
        prompt,
        changes,
        strengths=strengths,
        during=during,  # pyrefly: ignore[bad-argument-type] (checked above)
        base=before.edits(found),
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
    )
    data = steer_data(lm, found, steered, version=__version__)
    if html is not None:
        from molehill.views.html import page

        content = page("features-steer", data, title=f"{prompt}, steered", text=steer_text(data))
        write_files([(html, content.encode("utf-8"))])
    if save is not None:
        scaled = [change.at(strengths[0]) for change in changes]
        _write_edits(save, before.with_edit(scaled, steered.during))
    if as_json:
        print_view_json(data)
        return
    print_view(lambda width, ascii_only: steer_renderable(data, width=width, ascii_only=ascii_only))


def _check_saved(save: Path, kept: FeatureEdits | None, strengths: Sequence[float]) -> None:
    """Before the work: would it be lost what the file holds, and which strength is meant?"""
    from molehill.features.edit_files import load_feature_edits

    if len(strengths) > 1:
        raise ConfigError(f"--save keeps one strength, and there are {len(strengths)}: give one.")
    there = load_feature_edits(save).kept if save.exists() else ()
    if there != (() if kept is None else kept.kept[: len(there)]):
        raise ConfigError(
            f"{save} holds edits that would be lost: go on from them with --edits {save}, or name "
            "another file."
        )


def _write_edits(path: Path, edits: FeatureEdits) -> None:
    from molehill.features.edit_files import save_feature_edits

    save_feature_edits(path, edits)
    count = "1 edit" if len(edits.kept) == 1 else f"{len(edits.kept)} edits"
    print(f"Written: {path} ({count})", file=sys.stderr)


_EditsFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="Edits of features (`features steer --save`).")
]


def _list(file: _EditsFile, as_json: JsonOption = False) -> None:
    """List the edits of features in a file.

    Example: molehill features list strong.json
    """
    from molehill.features.edit_files import load_feature_edits

    _tell_edits(load_feature_edits(file), as_json)


def _undo(
    file: _EditsFile,
    number: Annotated[int, typer.Argument(metavar="N", help="The edit's number in the list.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Default: the same file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take one edit out of a file of edits of features.

    Example: molehill features undo strong.json 1
    """
    out = out or file
    check_writable([out])

    from molehill.features.edit_files import load_feature_edits

    left = load_feature_edits(file).without(number)
    _write_edits(out, left)
    _tell_edits(left, as_json)


def _tell_edits(edits: FeatureEdits, as_json: bool) -> None:
    if as_json:
        print_json(edits)
        return
    typer.echo(f"Of {edits.name} ({edits.digest[:12]}), features of {edits.model}: {edits.path}")
    for number, one in enumerate(edits.kept, 1):
        typer.echo(f"{number:>3}  {one}")
    if not edits.kept:
        typer.echo("No edits.")


def _labels(path: Path, transcoders: Sequence[Features]) -> tuple[int, list[str]]:
    """The labels in an examples file, and the layer whose transcoder they are of.

    Raises:
        ConfigError: none of the transcoders is the one that the examples were made of.
    """
    from molehill.features.examples_file import open_examples
    from molehill.model.sites import parse_site

    with open_examples(path) as opened:
        about = opened.about
        for one in transcoders:
            sites = list(one.reads), list(one.writes), one.n_features
            if sites == (about["reads"], about["writes"], opened.n_features):
                layer, _ = parse_site(one.writes[0])
                assert layer is not None, "a transcoder stands for a layer's MLP"
                return layer, opened.labels()
        raise ConfigError(
            f"{path} is of {about['features_name']} ({opened.n_features:,} features, "
            f"{' + '.join(about['reads'])} -> {' + '.join(about['writes'])}), which is none of the "
            "transcoders: name its file with --transcoders."
        )


def _graph(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the model reads.")],
    transcoders: Annotated[
        list[Path],
        typer.Option(
            "--transcoders", metavar="FILE", help="A transcoder of one layer's MLP; repeatable."
        ),
    ],
    model: ModelOption = DEFAULT_MODEL,
    examples: Annotated[
        list[Path] | None,
        typer.Option(
            "--examples",
            metavar="DB",
            help="Labels of a transcoder's features (`features examples`); repeatable.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="WORD",
            help="A next word to explain; repeatable. Default: the likeliest, up to ten.",
        ),
    ] = None,
    nodes: Annotated[
        float, typer.Option("--nodes", help="Keep nodes with this share of the influence.")
    ] = 0.8,
    edges: Annotated[float, typer.Option("--edges", help="Then edges with this share.")] = 0.98,
    most: Annotated[
        int, typer.Option("--most", min=1, help="Features to look into; the most influential.")
    ] = 4096,
    top: Annotated[int, typer.Option("--top", min=1, help="Features to tell in the text.")] = 12,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Write the graph in Neuronpedia's schema."),
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Draw up which features made which, and the next word: direct effects, exactly.

    Example: molehill features graph "Leo Rosner plays" -m village --transcoders village-mlp-0
    --transcoders village-mlp-1 --transcoders village-mlp-2
    """
    check_writable([file for file in (out, html) if file is not None])

    from molehill.features.attribution import attribute
    from molehill.features.graph_files import write_graph
    from molehill.features.trained import load_features
    from molehill.version import __version__
    from molehill.views.features_graph import graph_data
    from molehill.views.features_graph_text import graph_renderable, graph_text

    found = [load_features(file) for file in transcoders]
    labels = dict(_labels(path, found) for path in examples or ())
    lm = load_model(model, dtype)
    words = None if not target else [lm.next_token(word) for word in target]
    with progress("Features") as advance:
        whole = attribute(lm, prompt, found, targets=words, most_features=most, progress=advance)
    whole = whole.labelled(labels)
    pruned = whole.pruned(nodes, edges)
    data = graph_data(lm, whole, pruned, version=__version__)
    if out is not None:
        write_graph(pruned, out, settings={"nodes": nodes, "edges": edges})
    if html is not None:
        from molehill.views.html import page

        content = page("features-graph", data, title=f"{prompt}, a graph", text=graph_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: graph_renderable(
            data, width=width, top=top, ascii_only=ascii_only
        )
    )
