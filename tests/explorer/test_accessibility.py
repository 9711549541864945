"""Every view of the page looked over by axe-core, in one theme or the other, and at 360 pixels:
nothing serious, nothing that scrolls sideways."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from tests.explorer.conftest import serving
from tests.explorer.test_page import Explorer, exploring

from molehill.explorer.rooms import ROOMS
from molehill.questions import Desk, ModelEntry
from molehill.questions.offers import shipped_features

SHOWN = [name for room in ROOMS for name in room.questions]
SENTENCES = quote('["The mole", "A mole"]')
ASKED = {
    "shift": f"word=mole&sentences={SENTENCES}",
    "crowd": f"word=mole&sentences={SENTENCES}",
    "moving": f"text=Leo+Rosner+plays&position=-1&direction={quote('golf - polo')}",
    "facts.write": "layer=0",
    "superposition.report": "layers=false",
    "snapshots": f"word=mole&sentences={SENTENCES}",
}
REFUSED = {"facts.undo": "No edit is applied"}
"""Views that have nothing to show without an edit: what they say is looked over."""

NARROW = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"


@pytest.fixture(scope="module")
def page(browser, small_run, few_examples):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    desk = Desk({"village": ModelEntry("village")}, shipped_features(), runs={"small": small_run})
    with (
        serving(desk) as served,
        exploring(browser, served, reduced_motion="reduce") as context,
    ):
        made = Explorer(context.new_page(), served.address)
        made.axe = axe.Axe()
        yield made.open("lens?text=a")
        made.refused()
        assert made.troubles == []


def serious(page) -> list[str]:
    found = page.axe.run(page.page).response["violations"]
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("name", SHOWN)
def test_a_view_can_be_read_by_everybody(page, name):
    theme = ("dark", "light")[SHOWN.index(name) % 2]
    page.page.set_viewport_size({"width": 1280, "height": 900})
    page.page.evaluate(f"localStorage.setItem('molehill.theme', '{theme}')")
    page.open(f"{name}?{ASKED.get(name, '')}", fails=name in REFUSED)
    if name in REFUSED:
        page.until("() => document.querySelector('.status .wrong')")
        assert REFUSED[name] in page.text(".status .wrong")
    assert page.page.locator(".shell").get_attribute("data-theme") == theme
    assert serious(page) == []
    page.page.set_viewport_size({"width": 360, "height": 760})
    page.page.wait_for_timeout(150)
    assert page.page.evaluate(NARROW) == 0, "the page scrolls sideways at 360 pixels"
