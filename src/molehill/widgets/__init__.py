"""The views in a notebook: Jupyter, marimo, and every other host of anywidget."""

from __future__ import annotations

from molehill.widgets.view import ViewWidget, draw, show

__all__ = ["ViewWidget", "draw", "show"]
