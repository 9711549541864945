"""Lexicon as it ships: a finished run's model, and the card that says what it is.

    python recipes/lexicon_card.py RUN FOLDER [--senses ONCE.jsonl TWICE.jsonl]

Everything measured in the card is read from the run's own files, and from what `molehill senses
evaluate CoarseWSD-20 --model RUN --most-train 150 [--twice] --out FILE.jsonl` wrote.
"""

# ruff: noqa: E501 (the card is prose, whose lines are filled in)

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from statistics import mean
from typing import Any

from lexicon.sources import SOURCES

from molehill.files import write_atomically
from molehill.text.corpus import Corpus
from molehill.training import Recipe, read_recipe

# The files that a model is; a run's folder has no others in `final`.
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def main() -> None:
    """Copy the model and write its card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--senses", type=Path, nargs="*", default=(), help="scores of senses")
    told = parser.parse_args()
    recipe = read_recipe(told.run / "recipe.toml")
    corpus = Corpus.open(recipe.corpus.folder)
    scores = [read_lines(file) for file in told.senses]
    text = card(recipe, corpus, read_lines(told.run / "metrics.jsonl"), scores)
    told.folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(told.run / "final" / name, told.folder / name)
    write_atomically(told.folder / "card.md", lambda file: file.write(text.encode()))
    print(text)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def card(
    recipe: Recipe, corpus: Corpus, told: list[dict[str, Any]], scores: list[list[dict[str, Any]]]
) -> str:
    """The model's card."""
    config = recipe.config(corpus.tokenizer.d_vocab)
    plan = next(one["plan"] for one in told if one["event"] == "began")
    steps = [one for one in told if one["event"] == "stepped"]
    tested = [one for one in told if one["event"] == "evaluated"][-1]
    read = plan["steps"] * plan["step_tokens"]
    return f"""# lexicon

A small model of real English, trained by Molehill itself on free text, so that everything here works at once on a word of everyday language.

- **Architecture**: the notes' block. {config.n_layers} layers of {config.n_heads} heads and {config.d_mlp:,} ReLU neurons, {config.d_model} wide, learned
  positions, one layer norm at the end of each block; context {config.n_ctx}; {config.d_vocab:,} pieces of words; the unembedding is the token
  table. {plan["parameters"]:,} parameters, stored in bfloat16.
- **Data**: {plan["corpus_tokens"]:,} tokens of text that Debian packages hold, of the kinds below. `recipes/lexicon_text.py` makes it from the packages.
- **Recipe**: `recipes/lexicon.toml`, seed {recipe.training.seed}: {plan["steps"]:,} steps of {plan["step_tokens"]:,} tokens ({read:,}, {read / plan["corpus_tokens"]:.2f} times the text), Muon for the matrices of the
  blocks and AdamW for the rest, in bfloat16 with float32 weights. {steps[-1]["seconds"] / 60:.0f} minutes of steps on two processor cores.
- **Licence**: that of Molehill, Apache-2.0. The texts keep their own licences, and none of them is in the package.

## Text, and how well each kind is predicted

Bits per byte of documents that were held out (one in a hundred), {tested["loss"]:.3f} nats a token over all of them.

| kind | tokens read from | bits per byte | licence of the text | what it is |
|---|---|---|---|---|
{kinds(corpus, tested["bits_per_byte"])}

{senses(scores)}## Limits

It is a very small model that has read very little: its sentences keep their grammar for a line and their sense for half of one, and facts that it
states are mostly wrong. Four tenths of its text are templates around WordNet, which its own sentences resemble. Dictionaries,
manuals, games and two Bibles are not how people talk. It reads {config.n_ctx} tokens at most, English only, and was not made to be asked anything.
Its text is unfiltered: the dictionaries hold words for what people did and thought in their times, insults among them.
"""


def kinds(corpus: Corpus, bits: dict[str, float]) -> str:
    """The table's rows, longest kind first."""
    rows = []
    for source in sorted(SOURCES, key=lambda one: -corpus.count("train", one.kind).tokens):
        tokens = corpus.count("train", source.kind).tokens
        measured = f"{bits[source.kind]:.3f}" if source.kind in bits else "-"
        rows.append(
            f"| {source.kind} | {tokens:,} | {measured} | {source.license} | {source.note} |"
        )
    return "\n".join(rows)


def senses(readings: list[list[dict[str, Any]]]) -> str:
    """The tables of macro-F1 by layer; nothing without scores."""
    if not readings:
        return ""
    tables = "\n".join(table(scores) for scores in readings)
    return f"""## Senses of ambiguous nouns

Macro-F1 on the test split of CoarseWSD-20 (Loureiro et al. 2021), by layer. A reading is learnt from at most {readings[0][0]["most_train"]} training uses of each sense: at a
layer the nearest centroid, in the last column all layers together. The first column is what the commonest sense alone gives; `embed` is one and the
same vector for every use but for those in which the word opens the text (other tokens there), and at `0.resid_pre` uses differ by their place in the text. Of the data set's 21,208 lines, 36 (11 of them tested) share eight words in a row
with the text that the model was made from: set phrases, and *java* in descriptions of the same programs.

{tables}
"""


def table(scores: list[dict[str, Any]]) -> str:
    """One way of reading: a line for each word, and their mean."""
    points = [layer["point"] for layer in scores[0]["layers"]]
    rows = [
        [
            one["most_frequent"],
            *(layer["test"]["macro_f1"] for layer in one["layers"]),
            one["combined"]["macro_f1"],
        ]
        for one in scores
    ]
    lines = [table_row(one["word"], row) for one, row in zip(scores, rows, strict=True)]
    lines.append(table_row("mean", [mean(column) for column in zip(*rows, strict=True)]))
    cut = sum(one["cut"] for one in scores)
    shuffled = mean(mean(one["shuffled"]) for one in scores)
    how = (
        "Each text read twice, the word followed in the second reading"
        if scores[0]["twice"]
        else "Read once, up to the word"
    )
    return f"""{how}. With shuffled labels all layers give {shuffled:.3f}; {cut:,} texts were too long and cut around the word.

| word | most frequent | {" | ".join(points)} | all layers |
|{"---|" * (len(points) + 3)}
{chr(10).join(lines)}
"""


def table_row(name: str, values: list[float]) -> str:
    """A word's line."""
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |"


if __name__ == "__main__":
    main()
