"""`molehill generate`: a model goes on from prompts, and its words appear as they come."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    JsonOption,
    ModelOption,
    kept_feature_edits,
    load_model,
    loads_models,
    print_json,
)

if TYPE_CHECKING:
    from molehill.features.edit_files import FeatureEdits
    from molehill.language_model import Continuation, LanguageModel
    from molehill.trace.ahead import AheadEditing

__all__ = ["register"]

_ENDINGS = {
    "length": "stopped after {count} tokens: --max-new-tokens gives it more room",
    "context": "stopped after {count} tokens: the model reads no longer text than {n_ctx} tokens",
}


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("generate")(loads_models(_generate))


def _generate(
    prompts: Annotated[
        list[str],
        typer.Argument(metavar="PROMPT...", help="One text or several.", show_default=False),
    ],
    model: ModelOption = DEFAULT_MODEL,
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", "-n", metavar="N", help="Tokens to add at most.")
    ] = 128,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", help="0 takes the likeliest token every time.")
    ] = 0.0,
    top_k: Annotated[
        int | None, typer.Option("--top-k", help="Draw from the K likeliest tokens.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", help="Draw from the fewest tokens that hold this probability."),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option("--min-p", help="Draw from tokens with this share of the best's probability."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            max=2**31,
            help="The same seed draws the same; prompts count on from it.",
        ),
    ] = 0,
    stop: Annotated[
        list[str] | None,
        typer.Option("--stop", metavar="TEXT", help="End a text here; repeatable."),
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Ask through the model's chat template.")
    ] = False,
    dtype: DtypeOption = Dtype.float32,
    as_json: JsonOption = False,
) -> None:
    """Go on from prompts. One prompt is written out as it comes, several one after another.

    --edits takes edits of facts, and edits of features (`molehill features steer --save`).

    Example: molehill generate "A mole is" -n 40
    """
    kept = kept_feature_edits()
    lm = load_model(model, dtype, edited=kept is None)
    asked = [_as_chat(lm, prompt) for prompt in prompts] if chat else prompts
    pieces = lm.stream(
        asked,
        max_new_tokens=max_new_tokens,
        stop=stop or (),
        add_special=not chat,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        # Equal prompts are to go on differently, and each as it would with its seed alone.
        seed=[seed + number for number in range(len(asked))],
        watch=None if kept is None else _steered(lm, kept),
    )
    alone = len(asked) == 1 and not as_json
    if alone and not chat:
        _say(prompts[0])
    continuations = _followed(pieces, aloud=alone)
    if as_json:
        from molehill.views.provenance import checked

        print_json(
            {
                "model": lm.name,
                "fingerprint": lm.fingerprint,
                "dtype": str(dtype),
                "checked": checked(lm.name, lm.fingerprint, str(dtype)),
                "sampling": {
                    "temperature": temperature,
                    "top_k": top_k,
                    "top_p": top_p,
                    "min_p": min_p,
                    "seed": seed,
                },
                "texts": [
                    {"prompt": prompt} | vars(continuation)
                    for prompt, continuation in zip(asked, continuations, strict=True)
                ],
            }
        )
        return
    for number, (prompt, continuation) in enumerate(zip(prompts, continuations, strict=True)):
        if not alone:
            _say(f"{json.dumps(prompt, ensure_ascii=False)}\n" if chat else prompt)
            _say(f"{continuation.text}\n" + "\n" * (number + 1 < len(prompts)))
        _tell_ending(lm, continuation)


def _steered(lm: LanguageModel, kept: FeatureEdits) -> AheadEditing:
    """A watcher that changes the features that a file of edits names."""
    from molehill.features.trained import load_features
    from molehill.trace.ahead import AheadEditing

    features = load_features(kept.path)
    features.check(lm)
    return AheadEditing(kept.edits(features), lm.model)


def _as_chat(lm: LanguageModel, prompt: str) -> str:
    from molehill.errors import TextError

    if lm.tokenizer is None:
        raise TextError(f"The model {lm.name!r} has no tokenizer, and so no chat template.")
    return lm.tokenizer.chat([{"role": "user", "content": prompt}])


def _followed(pieces, *, aloud: bool) -> list[Continuation]:
    """Everything that the stream gives, said as it comes if `aloud`; an interruption leaves what
    was said, on a line of its own."""
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            if aloud:
                _say("\n")
            return end.value
        except BaseException:  # an interruption, or scores that are no numbers
            if aloud:
                _say("\n")
            raise
        if aloud:
            _say(piece[0])


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _tell_ending(lm: LanguageModel, continuation: Continuation) -> None:
    """On stderr, and only to a person: why a text stopped where its writer might have gone on."""
    ending = _ENDINGS.get(continuation.ending)
    if ending and sys.stderr.isatty():
        note = ending.format(count=len(continuation.ids), n_ctx=lm.config.n_ctx)
        typer.echo(f"({note})", err=True)
