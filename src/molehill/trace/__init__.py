"""A run becomes a record: what was at which site, and what was changed on the way."""

from __future__ import annotations

from molehill.trace.ahead import AheadEditing
from molehill.trace.certificate import Certificate, Check, certify
from molehill.trace.editing import Editing
from molehill.trace.edits import (
    Add,
    Edit,
    Patch,
    Replace,
    Scale,
    Zero,
    load_edits,
    save_edits,
)
from molehill.trace.places import find_sites, site_axes
from molehill.trace.record import record
from molehill.trace.rows import Rows
from molehill.trace.store import Store
from molehill.trace.sweeps import Sweep, Swept, sweep
from molehill.trace.trace import Provenance, Trace

__all__ = [
    "Add",
    "AheadEditing",
    "Certificate",
    "Check",
    "Edit",
    "Editing",
    "Patch",
    "Provenance",
    "Replace",
    "Rows",
    "Scale",
    "Store",
    "Sweep",
    "Swept",
    "Trace",
    "Zero",
    "certify",
    "find_sites",
    "load_edits",
    "record",
    "save_edits",
    "site_axes",
    "sweep",
]
