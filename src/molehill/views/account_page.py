"""The account of parameters as the data of a page, and as text.

Beside the counts it says of every part how many layers have it and what it does, so that a page can
be read by somebody who meets the parts here for the first time. This module draws nothing.
"""

from __future__ import annotations

from typing import Any

from molehill.language_model import LanguageModel
from molehill.model.account import Account
from molehill.views.account import account_data, account_summary
from molehill.views.provenance import provenance
from molehill.views.words import percent

__all__ = ["SCHEMA", "account_page_data", "account_text"]

SCHEMA = "molehill.account/1"

_DOES = {
    "token embedding": "One vector for each token of the vocabulary: where every journey begins.",
    "positions": "One vector for each position, added at the start.",
    "token types": "One vector for the first and one for the second of two texts.",
    "embedding projections": "Between the token's own vector and a stream of another width.",
    "attention queries": "What a token asks of those before it.",
    "attention keys": "What each token is found by.",
    "attention values": "What a token hands on where it is looked at.",
    "attention output": "Writes what every head has gathered into the stream.",
    "MLP gate": "A row for each neuron that decides whether it fires.",
    "MLP in": "A row for each neuron: what it asks for.",
    "MLP out": "A column for each neuron: what it adds when it fires.",
    "norms": "Gains and shifts of the norms between the parts.",
    "head transform": "Turns the last vector once more before words are read from it.",
    "unembedding": "One vector for each token: the score of every next word.",
}


def account_page_data(lm: LanguageModel, account: Account, *, version: str) -> dict[str, Any]:
    """Everything that the page of an account shows, as plain values.

    Args:
        version: of Molehill, for the provenance.
    """
    config = lm.config
    data = account_data(account, lm.name)
    layers: dict[str, set[int | None]] = {}
    for entry in account.entries:
        layers.setdefault(entry.part, set()).add(entry.layer)
    parts = [
        part
        | {
            "layers": len(layers[part["part"]] - {None}),
            "does": _DOES[part["part"]],
            "share_non_embedding": part["total"] / account.non_embedding
            if part["group"] not in ("embedding", "head")
            else None,
        }
        for part in data["parts"]
    ]
    sizes = {
        "layers": config.n_layers,
        "heads": config.n_heads,
        "d_model": config.d_model,
        "d_mlp": config.d_mlp,
        "d_vocab": config.d_vocab,
    }
    return {
        "schema": SCHEMA,
        **data,
        "parts": parts,
        "sizes": sizes,
        "summary": [account_summary(account), _thirds(account, lm)],
        "notes": [
            "Every number of the model is counted once; a tied unembedding is the token embedding.",
            "Not embeddings: without the vectors of tokens, positions and the unembedding, which "
            "grow with the vocabulary and not with depth.",
        ],
        "provenance": provenance(lm, version),
    }


def _thirds(account: Account, lm: LanguageModel) -> str:
    """Why the MLPs' share is two thirds, or is not."""
    config = lm.config
    wide = config.d_mlp / config.d_model
    matrices = 3 if config.gated else 2
    narrow = config.kv_heads != config.n_heads
    text = (
        f"A layer's MLP has {matrices} matrices, each {wide:.3g} times as large as one of d × d; "
        f"attention has four{', of which two are narrower' if narrow else ''}."
    )
    share = percent(account.mlp_share_non_embedding)
    if matrices == 2 and wide == 4 and not narrow:
        return f"{text} That is 8 of 12 parts, the two thirds of the notes: {share}."
    return f"{text} So their share is {share} here, where two thirds is the classic one."


def account_text(data: dict[str, Any]) -> str:
    """The account as plain text."""
    wide = max(len(part["part"]) for part in data["parts"])
    lines = [
        f"{part['part']:<{wide}}  {part['total']:>13,}  {percent(part['share']):>6}"
        for part in data["parts"]
    ]
    head = f"Parameters of {data['model']}: {data['total']:,}"
    return "\n".join([head, "", *data["summary"], "", *lines]) + "\n"
