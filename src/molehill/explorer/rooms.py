"""How the page's questions are grouped: the rooms of its menu, in the order of the story.

This module knows names of questions, and nothing of who answers them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ANSWERED_INSIDE", "ROOMS", "Room"]


@dataclass(frozen=True)
class Room:
    """One entry of the menu."""

    name: str
    title: str
    hint: str
    questions: tuple[str, ...]
    """In the order of its tabs; those that are not there are left out."""


ROOMS = (
    Room("motion", "Word in motion", "One word, several sentences, one path for each.",
         ("shift", "crowd", "moving")),
    Room("ledger", "Ledger", "One vector written out as a sum.",
         ("ledger", "neuron", "neurons", "params")),
    Room("attention", "Attention", "Who looks at whom, and why.", ("attention", "why")),
    Room("lens", "Lens", "What each token would say, at every layer.", ("lens",)),
    Room("facts", "Facts", "Known, located, rewritten, undone.",
         ("facts.card", "facts.trace", "facts.holds", "facts.edit", "facts.write", "facts.say",
          "facts.stack", "facts.difference", "facts.undo")),
    Room("features", "Features", "The directions that sparse autoencoders find.",
         ("features.here", "features.search", "features.card", "features.steer",
          "features.graph")),
    Room("superposition", "Superposition", "More directions than dimensions.",
         ("superposition.bounds", "superposition.packing", "superposition.toy",
          "superposition.capacity", "superposition.report")),
    Room("training", "Training", "Runs, and the journey while a model learns.",
         ("runs", "run", "snapshots")),
)  # fmt: skip

ANSWERED_INSIDE = ("attention.head", "shift.parted")
"""Questions that views ask and no menu shows."""
