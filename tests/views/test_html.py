"""The page as text: one file, nothing fetched, nothing that data could break out of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.views.made import HOSTILE, data

from molehill.views.html import embedded_json, module, page

MODULES = ("kit.js", "shift.js", "ledger.js", "ledger-river.js", "account.js", "lens.js", "why.js")


class Elements(HTMLParser):
    """Which elements a browser would see, with their attributes and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.content: dict[str, str] = {}
        self.open = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

        self.open = f"{tag} {dict(attributes).get('type', '')}".strip()

    def handle_endtag(self, tag):
        self.open = ""

    def handle_data(self, data):
        self.content[self.open] = self.content.get(self.open, "") + data


@pytest.fixture(scope="module")
def hostile() -> str:
    made = data("llama", HOSTILE)
    return page("shift", made, title=HOSTILE[0], text="\n".join(HOSTILE))


def test_hostile_sentences_add_no_element(hostile):
    tags = [tag for tag, _ in Elements(hostile).found]
    assert tags == [
        "html",
        "meta",
        "meta",
        "meta",
        "meta",
        "title",
        "style",
        "main",
        "noscript",
        "pre",
        "script",
        "script",
    ]


def test_the_data_come_back_as_they_were(hostile):
    held = json.loads(Elements(hostile).content["script application/json"])
    assert held == data("llama", HOSTILE)


def test_the_policy_allows_exactly_the_script_and_the_style_that_are_there(hostile):
    elements = Elements(hostile)
    policy = next(a["content"] for _, a in elements.found if a.get("http-equiv"))
    for kind, key in (("script", "script module"), ("style", "style")):
        digest = hashlib.sha256(elements.content[key].encode()).digest()
        assert f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_the_page_names_no_place_outside_of_it(hostile):
    script = Elements(hostile).content["script module"]
    addresses = set(re.findall(r"https?://[^\s\"'`]+", script))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|WebSocket|sendBeacon|importScripts|eval)\b", script
    )


def test_no_text_becomes_markup():
    for name in MODULES:
        source = (files("molehill.views") / "static" / name).read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser", source
        )


def test_a_module_stays_small():
    for name in MODULES:
        assert len((files("molehill.views") / "static" / name).read_bytes()) < 60_000


@pytest.mark.parametrize("view", ["shift", "ledger", "lens", "why"])
def test_the_written_in_kit_leaves_no_import(view):
    text = module(view)
    assert "import" not in re.findall(r"^\w+", text, re.MULTILINE)
    assert text.count("export ") == 1


@pytest.mark.parametrize("view", ["ledger", "lens"])
def test_modules_that_are_joined_share_no_name(view):
    """Each is in the text once, before what needs it, and declares nothing that another does."""
    text = module(view)
    own = re.findall(r"^(?:class|const|let|(?:async )?function) (\w+)", text, re.MULTILINE)
    assert len(own) == len(set(own))
    assert text.index("class Page") < text.index("class View")
    if view == "ledger":
        assert text.index("class Page") < text.index("class River") < text.index("class View")


@given(st.text() | st.lists(st.text(alphabet="<>&/!-script\u2028\u2029\ud800")))
def test_embedded_json_is_inert_and_exact(value):
    text = embedded_json(value)
    assert not set("<>&\u2028\u2029") & set(text)
    text.encode("utf-8")
    assert json.loads(text) == value


def test_a_page_of_six_sentences_stays_below_a_megabyte_and_a_half(smollm2_shift_data):
    text = page("shift", smollm2_shift_data, title="mole", text="")
    assert len(text.encode()) < 1_500_000
