"""`molehill village`: sentences of an invented world with their truth, its facts, and what a model
knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    Dtype,
    DtypeOption,
    JsonOption,
    load_model,
    loads_models,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from molehill.village import FactScore, SenseScore, Told, World

__all__ = ["register"]

_SeedOption = Annotated[int, typer.Option("--world", metavar="SEED", help="Seed of the world.")]
_WordsOption = Annotated[int, typer.Option("--words", help="Ambiguous words in the world.")]
_PeopleOption = Annotated[int, typer.Option("--people", help="People in the world.")]
_TownsOption = Annotated[int, typer.Option("--towns", help="Towns in the world.")]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    family = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="A small invented world: its sentences with their truth, its facts, a model's score."
        "\n\nExample: molehill village tell -n 5",
    )
    family.command("tell")(_tell)
    family.command("facts")(_facts)
    family.command("score")(loads_models(_score))
    app.add_typer(family, name="village")


def _tell(
    n: Annotated[int, typer.Option("-n", min=1, help="How many sentences.")] = 10,
    seed: Annotated[int, typer.Option("--seed", help="Other sentences of the same world.")] = 0,
    noise: Annotated[
        float, typer.Option("--noise", min=0.0, max=1.0, help="Share of wrong cues and objects.")
    ] = 0.0,
    world: _SeedOption = 0,
    words: _WordsOption = 16,
    people: _PeopleOption = 60,
    towns: _TownsOption = 16,
    as_json: JsonOption = False,
) -> None:
    """Tell sentences of the world, each with what is true in it; --json has every token's truth.

    Example: molehill village tell -n 5 --noise 0.1
    """
    from molehill.village import Grammar, make_world, tell

    drawn = make_world(world, words=words, people=people, towns=towns, grammar=Grammar(noise=noise))
    told = tell(drawn, n, seed)
    if as_json:
        print_json({"world": drawn.settings(), "sentences": told})
        return
    print_table(["sentence", "truth", "known from", "wrong"], [_line(one) for one in told])


def _line(one: Told) -> tuple[str, str, str, str]:
    """A sentence, the sense or fact in it, the word that makes it known, and its wrong words."""
    feature = f"sense:{one.sense}" if one.sense else f"fact:{one.fact}"
    known = next((token.word for token in one.tokens if feature in token.features), "-")
    wrong = " ".join(token.word for token in one.tokens if token.noisy)
    return one.text, one.sense or one.fact or "", known, wrong


def _facts(
    world: _SeedOption = 0,
    people: _PeopleOption = 60,
    towns: _TownsOption = 16,
    as_json: JsonOption = False,
) -> None:
    """List the facts of the world; --json has the prompts that ask for each of them too.

    Example: molehill village facts
    """
    from molehill.village import fact_prompts, make_world

    drawn = make_world(world, people=people, towns=towns)
    if as_json:
        prompts: dict[str, list[dict[str, Any]]] = {fact.name: [] for fact in drawn.facts}
        for one in fact_prompts(drawn):
            prompts[one.fact].append({"prompt": one.prompt, "withheld": one.withheld})
        print_json(
            {
                "world": drawn.settings(),
                "facts": [
                    {
                        "name": fact.name,
                        "relation": fact.relation,
                        "subject": " ".join(fact.subject),
                        "object": fact.object,
                        "prompts": prompts[fact.name],
                    }
                    for fact in drawn.facts
                ],
            }
        )
        return
    rows = [(fact.relation, " ".join(fact.subject), fact.object) for fact in drawn.facts]
    print_table(["relation", "subject", "object"], rows)


def _score(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model whose folder has a world.json.")
    ] = "village",
    dtype: DtypeOption = Dtype.float32,
    as_json: JsonOption = False,
) -> None:
    """Score a model on the facts and the senses of the world that it was trained on.

    Example: molehill village score village
    """
    from molehill.checkpoints import model_path
    from molehill.errors import TextError
    from molehill.views.provenance import checked
    from molehill.village import read_world, score_facts, score_senses

    path = Path(model_path(model))
    world = read_world(path if path.is_dir() else path.parent)
    lm = load_model(model, dtype)
    if lm.tokenizer is None:
        raise TextError(f"The model {model!r} has no tokenizer: put its tokenizer.json beside it.")
    facts = score_facts(world, lm.model, lm.tokenizer)
    senses = {
        "before": score_senses(world, lm.model, lm.tokenizer),
        "after": score_senses(world, lm.model, lm.tokenizer, cues="after"),
    }
    if as_json:
        print_json(
            {
                "model": lm.name,
                "fingerprint": lm.fingerprint,
                "dtype": str(dtype),
                "checked": checked(lm.name, lm.fingerprint, str(dtype)),
                "world": world.settings(),
                "facts": facts,
                "senses": senses,
            }
        )
        return
    _show(world, facts, senses)


def _show(world: World, facts: FactScore, senses: dict[str, SenseScore]) -> None:
    typer.echo(f"{len(world.facts)} facts, as the likeliest next token:")
    typer.echo(f"  {facts.told:.1%} in forms in which the fact was told")
    typer.echo(f"  {facts.withheld:.1%} in the form in which it was withheld")
    for prompt, said in facts.wrong[:5]:
        typer.echo(f"  wrong: {prompt} ... {said}")
    before, after = senses["before"], senses["after"]
    typer.echo("")
    print_table(
        ["point", "cue before the word", "cue only after it"],
        [
            (one.point, f"{one.accuracy:.1%}", f"{other.accuracy:.1%}")
            for one, other in zip(before.points, after.points, strict=True)
        ],
        title=f"Senses by the nearest neighbour: {len(world.senses)} senses of "
        f"{len(world.words)} words, {before.uses} held-out uses, chance {before.chance:.1%}",
    )
