"""How one word's vector got where it is: its ledger, its path, why it was attended, its senses."""

from __future__ import annotations

from molehill.journey.attention import Attention, HeadAttention, Toward, attention
from molehill.journey.coarsewsd import SenseWord, Use, read_sense_word, read_sense_words
from molehill.journey.discover import FoundSense, FoundSenses, discover_senses
from molehill.journey.gather import WordVectors, gather
from molehill.journey.head_measures import MEASURES, HeadMeasure, measure_heads
from molehill.journey.ledger import ClosingError, Ledger, Reading, Row, between
from molehill.journey.lens import LensGrid, LensReading, lens, nearest
from molehill.journey.parts import OtherRows
from molehill.journey.paths import Journey, follow, journeys, ledger
from molehill.journey.sense_parting import SenseParting, part_senses
from molehill.journey.senses import SenseScores, score_senses
from molehill.journey.shift import Parting, Shift, ShiftPair, ShiftSentence, shift
from molehill.journey.why import AttendingHead, WhyAttended, attending_heads, why_attended

__all__ = [
    "MEASURES",
    "AttendingHead",
    "Attention",
    "ClosingError",
    "FoundSense",
    "FoundSenses",
    "HeadAttention",
    "HeadMeasure",
    "Journey",
    "Ledger",
    "LensGrid",
    "LensReading",
    "OtherRows",
    "Parting",
    "Reading",
    "Row",
    "SenseParting",
    "SenseScores",
    "SenseWord",
    "Shift",
    "ShiftPair",
    "ShiftSentence",
    "Toward",
    "Use",
    "WhyAttended",
    "WordVectors",
    "attending_heads",
    "attention",
    "between",
    "discover_senses",
    "follow",
    "gather",
    "journeys",
    "ledger",
    "lens",
    "measure_heads",
    "nearest",
    "part_senses",
    "read_sense_word",
    "read_sense_words",
    "score_senses",
    "shift",
    "why_attended",
]
