"""What the MLPs store: find a fact, read it, write it, rewrite it, and see what that did."""

from __future__ import annotations

from molehill.facts.fact import Fact, subject_tokens

__all__ = ["Fact", "subject_tokens"]
