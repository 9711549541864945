"""How far SmolLM2 (plain and read twice) and MiniLM tell senses apart, by word and layer.

python benchmarks/senses.py [FOLDER] [--most-train 150] [--keep DIR] [--figure FILE.png]

FOLDER is in CoarseWSD-20's format and is not shipped; without one given, $MOLEHILL_DATA/coarsewsd20
is taken. `--keep DIR` stores each word's vectors, so that an interrupted run goes on where it was.
Test labels only score: the one layer is chosen by cross-validation on the training uses, and the
reading of all layers has nothing to choose.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from statistics import mean

from _machine import report
from _senses_figure import by_layer

READINGS = (
    ("smollm2", "bfloat16", False),
    ("smollm2", "bfloat16", True),
    ("minilm", "float32", False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=default_folder())
    parser.add_argument(
        "--most-train", type=int, default=150, help="uses of each sense learnt from"
    )
    parser.add_argument("--keep", type=Path, help="folder for the words' vectors")
    parser.add_argument("--figure", type=Path, help="write macro-F1 by layer as a PNG")
    parser.add_argument("--only", choices=[title(*one) for one in READINGS], help="one reading")
    told = parser.parse_args()
    if not told.folder.is_dir():
        report(
            benchmark="senses", skipped=f"{told.folder} is not there; name CoarseWSD-20's folder"
        )
        return
    from molehill.journey.coarsewsd import read_sense_words

    words = read_sense_words(told.folder)
    scored = {
        title(*one): scores_of(words, *one, told.most_train, told.keep)
        for one in READINGS
        if told.only in (None, title(*one))
    }
    if told.figure:
        by_layer(scored, told.figure)


def title(model: str, dtype: str, twice: bool) -> str:
    return f"{model}{', read twice' if twice else ''}"


def default_folder() -> Path:
    return Path(os.environ.get("MOLEHILL_DATA", "data")) / "coarsewsd20"


def scores_of(words, model, dtype, twice, most_train, keep):
    """Every word's scores by one reading, each reported as it is had, and their means."""
    import molehill
    from molehill.journey.senses import draw_uses, score_vectors

    lm = molehill.load(model, dtype=dtype)
    reading = {"benchmark": "senses", "model": model, "dtype": dtype, "twice": twice}
    found = []
    for word in words:
        train = draw_uses(word.train, most_train)
        vectors = vectors_of(lm, (*train, *word.test), twice, keep and keep / name(word, **reading))
        scores = score_vectors(lm, word, train, vectors)
        for layer in scores.layers:
            report(
                **reading,
                word=word.word,
                layer=layer.point,
                macro_f1=layer.test.macro_f1,
                accuracy=layer.test.accuracy,
                recall=layer.test.recall,
                shuffled=layer.shuffled,
                silhouette=layer.silhouette,
                variance_ratio=layer.variance_ratio,
                train_macro_f1=layer.train_macro_f1,
            )
        report(
            **reading,
            word=word.word,
            layer="all",
            macro_f1=scores.combined.macro_f1,
            accuracy=scores.combined.accuracy,
            recall=scores.combined.recall,
            shuffled=mean(scores.shuffled),
            train_macro_f1=scores.combined_train_macro_f1,
            most_frequent=scores.most_frequent,
            chosen=scores.chosen,
            uses=scores.uses,
        )
        found.append(scores)
    report(
        **reading,
        words=len(found),
        most_train=most_train,
        most_frequent=mean(one.most_frequent for one in found),
        layer_0=mean(one.layers[0].test.macro_f1 for one in found),
        one_layer=mean(one.plain.test.macro_f1 for one in found),
        all_layers=mean(one.combined.macro_f1 for one in found),
        all_layers_recall=mean(mean(one.combined.recall.values()) for one in found),
        all_layers_train=mean(one.combined_train_macro_f1 for one in found),
        shuffled=mean(mean(one.shuffled) for one in found),
        by_layer={
            point: mean(one.layers[place].test.macro_f1 for one in found)
            for place, point in enumerate(layer.point for layer in found[0].layers)
        },
    )
    return found


def name(word, model, twice, dtype, **_) -> str:
    return f"{model}-{dtype}{'-twice' if twice else ''}-{word.word}.safetensors"


def vectors_of(lm, uses, twice, path):
    """The word's vectors in these uses, from the file if it holds them."""
    import torch

    from molehill.checkpoints.tensorfile import open_tensors, read_description, write_tensors
    from molehill.journey.gather import WordVectors, gather

    kind = "molehill.benchmarks.senses/1"
    about = {"kind": kind, "model": lm.fingerprint, "uses": len(uses)}
    if path and path.exists():
        held = read_description(path, kind)
        if {key: held[key] for key in about} == about:
            with open_tensors(path) as file:
                return WordVectors(tuple(held["points"]), file.get_tensor("v").float(), twice)
    found = gather(lm, [u.sentence for u in uses], [(u.start, u.end) for u in uses], twice=twice)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        half = found.vectors.to(
            torch.bfloat16 if lm.model.dtype == torch.bfloat16 else torch.float32
        )
        write_tensors(path, {"v": half}, {**about, "points": list(found.points)})
    return found


if __name__ == "__main__":
    main()
