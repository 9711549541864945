"""`molehill features steer` and `graph`: text with features changed, and what made which."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    HtmlOption,
    JsonOption,
    ModelOption,
    check_writable,
    load_model,
    loads_models,
    print_view,
    print_view_json,
    progress,
    write_files,
)
from molehill.errors import ConfigError

__all__ = ["register"]

_DURING = ("all", "prompt", "generated")


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("steer")(loads_models(_steer))
    app.command("graph")(loads_models(_graph))


def _steer(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the model goes on from.")],
    features: Annotated[
        Path, typer.Option("--features", metavar="FILE", help="An autoencoder of the model.")
    ],
    feature: Annotated[
        list[str],
        typer.Option(
            "--feature",
            metavar="N=VALUE",
            help="`12=+5` adds, `12=5` holds, `12=x2` multiplies, `12=off`; repeatable.",
        ),
    ],
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

    Example: molehill features steer "The mole" --features lexicon-4 --feature 12=+5
    """
    if during not in _DURING:
        raise ConfigError(f"--during is {during!r}, expected one of {', '.join(_DURING)}.")
    check_writable([] if html is None else [html])

    from molehill.features.steering import read_change, steer
    from molehill.features.trained import load_features
    from molehill.version import __version__
    from molehill.views.features_steer import steer_data
    from molehill.views.features_steer_text import steer_renderable, steer_text

    changes = [read_change(one) for one in feature]
    found = load_features(features)
    lm = load_model(model, dtype)
    steered = steer(
        lm,
        found,
        prompt,
        changes,
        strengths=strength or (1.0,),
        during=during,  # pyrefly: ignore[bad-argument-type] (checked above)
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
    if as_json:
        print_view_json(data)
        return
    print_view(lambda width, ascii_only: steer_renderable(data, width=width, ascii_only=ascii_only))


def _graph(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What the model reads.")],
    transcoders: Annotated[
        list[Path],
        typer.Option(
            "--transcoders", metavar="FILE", help="A transcoder of one layer's MLP; repeatable."
        ),
    ],
    model: ModelOption = DEFAULT_MODEL,
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
    lm = load_model(model, dtype)
    words = None if not target else [lm.next_token(word) for word in target]
    with progress("Features") as advance:
        whole = attribute(lm, prompt, found, targets=words, most_features=most, progress=advance)
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
