"""The explorer's page in a browser, before a server at work: what a person does with it, by mouse
and by keys, and what an attacker would like it to do."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sqlite3
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

import pytest
from PIL import Image
from tests.explorer.conftest import serving
from tests.views.browsing import Opened

import molehill
from molehill.checkpoints.names import built_in_models
from molehill.features.examples_writing import write_examples
from molehill.features.gathering import Gathering
from molehill.features.trained import features_path, load_features
from molehill.questions import QUESTIONS, Desk, ModelEntry, made_examples
from molehill.questions.tour import TOUR
from molehill.village import read_world, tell

SECONDS = 60
EVIL = "</script><img src=x onerror=alert(1)>"
GOLF = "model=village&word=golf&sentences=" + quote('["Leo plays golf.", "A golf"]')
DRAWN = ".view article.mh, .live article.mh"


class Explorer(Opened):
    """A page of the explorer."""

    def __init__(self, page, address: str) -> None:
        super().__init__(page)
        self.address = address
        page.set_default_timeout(SECONDS * 1000)

    def open(self, place: str, *, fails: bool = False) -> Explorer:
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}#/{place}")
        if not fails:
            self.drawn()
        return self

    def drawn(self) -> None:
        """Until the view stands and nothing is on its way."""
        self.until(
            f"() => document.querySelector({DRAWN!r}) && !document.querySelector("
            "'.view.pending, .status progress, .status .wrong, .beside > .told:not(:empty)')"
        )

    def until(self, expression: str) -> None:
        """The page's policy forbids what Playwright does for this."""
        begun = time.monotonic()
        while not self.page.evaluate(expression):
            if time.monotonic() - begun > SECONDS:
                raise AssertionError(f"never: {expression}\n{self.text('body')[:2000]}")
            self.page.wait_for_timeout(30)

    def refused(self) -> None:
        """A refusal costs a line in the console of who looks there."""
        self.troubles[:] = [one for one in self.troubles if "Failed to load resource" not in one]

    def hash(self) -> str:
        return self.page.evaluate("decodeURIComponent(location.hash)")

    def focused(self) -> str:
        return self.page.evaluate(
            "() => { const at = document.activeElement; return at.tagName.toLowerCase() + ' ' "
            "+ (at.getAttribute('aria-label') || at.textContent || at.id).trim().slice(0, 60); }"
        )


@contextmanager
def exploring(browser, served, **options) -> Iterator:
    """Makes pages that share one start of the browser and one cookie."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
    first = context.new_page()
    first.goto(served.first)
    first.wait_for_selector(".shell")
    first.close()
    try:
        yield context
    finally:
        context.close()


@pytest.fixture
def few_texts(monkeypatch, tmp_path):
    """Features get their examples from few texts, kept where no other test finds them."""
    shipped = made_examples._shipped
    monkeypatch.setattr(made_examples, "_shipped", lambda lm: (shipped(lm) or [])[:6] or None)
    monkeypatch.setenv("MOLEHILL_EXAMPLES", str(tmp_path / "examples"))


@pytest.fixture(scope="module")
def context(browser, served):
    with exploring(browser, served, permissions=["clipboard-read", "clipboard-write"]) as made:
        yield made


@pytest.fixture
def page(context, served):
    """A page on which nothing may have gone wrong when the test is over."""
    made = Explorer(context.new_page(), served.address)
    yield made
    made.page.close()
    assert made.troubles == []


# --- opening --------------------------------------------------------------------------------------


def test_the_first_address_leaves_a_cookie_and_no_token_and_shows_a_view(browser, served):
    with contextlib.closing(browser.new_context()) as context:
        made = Explorer(context.new_page(), served.address)
        made.page.goto(served.first)
        made.drawn()
        assert served.token not in made.page.url and made.text("h1").startswith("mole")
        kept = {one["name"]: one for one in context.cookies()}[f"molehill_{served.port}"]
        assert kept["httpOnly"] and kept["sameSite"] == "Strict"
        assert all(url.startswith((served.address, "data:", "blob:")) for url in made.asked)
        assert served.token not in "".join(made.asked[1:])
        assert made.troubles == []


def test_without_the_token_there_is_no_page(browser, served):
    with contextlib.closing(browser.new_context()) as context:
        opened = context.new_page()
        assert opened.goto(served.address).status == 401
        assert "molehill explore" in opened.inner_text("body")


def test_the_tour_can_be_clicked_through(page, few_texts):
    page.open("tour")
    for number, step in enumerate(TOUR, 1):
        page.drawn()
        assert page.text(".story h1") == step.title and page.hash() in (
            "#/tour",
            f"#/tour?model=lexicon&step={number}",
        )
        assert page.page.locator(".live article.mh").count() == 1
        assert page.text(".story .count") == f"{number} of 10"
        page.page.locator(".turns .next").click()
    page.drawn()
    assert page.hash().startswith("#/shift")
    page.page.go_back()
    page.until("() => document.querySelector('.story .count')?.textContent === '10 of 10'")


# --- asking ---------------------------------------------------------------------------------------


def test_a_sentence_is_changed_and_drawn_again(page):
    page.open("lens?model=village")
    box = page.page.locator("#in-text")
    box.fill("Ada Bell plays")
    assert "stale" in page.page.locator(".form").get_attribute("class")
    box.press("Enter")
    page.until("() => document.querySelector('.view article').textContent.includes('Bell')")
    page.drawn()
    assert "text=Ada+Bell+plays" in page.hash()
    assert "stale" not in page.page.locator(".form").get_attribute("class")


def test_a_mistake_is_told_in_words_and_put_right(page):
    page.open("ledger?model=village&text=a+mole&position=99", fails=True)
    page.until("() => document.querySelector('.status .wrong')")
    assert "no token at position 99" in page.text(".status .wrong")
    assert page.page.locator(".status .wrong").get_attribute("role") == "alert"
    page.open("shift?model=village&word=mole&sentences=[]", fails=True)
    page.until("() => document.querySelector('.status .wrong')")
    page.refused()
    page.page.locator("#in-sentences").fill("Leo plays.\nOlga plays.")
    page.page.locator("#in-word").fill("plays")
    page.page.locator(".go").click()
    page.drawn()
    assert page.page.locator(".view article.mh").count() == 1


def test_tokens_are_chosen_by_mouse(page):
    page.open("why?model=village&text=Leo+Rosner+plays+golf")
    chips = page.page.locator(".chip")
    chips.first.wait_for()
    chips.nth(3).click()
    assert "query=" not in page.hash().split("|")[0]
    chips.nth(1).click()
    page.until("() => location.hash.includes('key=1')")
    page.drawn()
    assert "query=3" in page.hash()
    page.until("() => document.querySelectorAll('.chip').length > 3")
    chosen = page.page.locator(".chip[aria-selected=true]")
    assert chosen.count() == 2 and {chosen.nth(n).get_attribute("data-as") for n in (0, 1)} == {
        "From",
        "To",
    }


def test_tokens_are_chosen_by_keys(page):
    page.open("attention?model=village&text=Leo+Rosner+plays+golf")
    page.page.locator(".chip").first.wait_for()
    page.page.locator(".chip").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home", "ArrowRight", "Enter"):
        page.page.keyboard.press(key)
    page.until("() => location.hash.includes('position=1')")
    page.drawn()


def test_another_model_answers_and_keeps_the_question(page):
    page.open("lens?model=lexicon&text=The+mole")
    page.page.locator(".choices select").select_option("village")
    page.until("() => location.hash.includes('model=village')")
    page.drawn()
    assert "text=The+mole" in page.hash() and "village" in page.text(".view article footer")


# --- addresses ------------------------------------------------------------------------------------


def test_back_and_forward_bring_back_question_inputs_and_the_views_own_state(page):
    page.open("ledger?model=village&text=Leo+Rosner+plays")
    page.page.locator(".view input[data-state=by]").nth(1).check(force=True)
    page.until("() => location.hash.includes('|')")
    state = page.hash()
    page.page.locator(".rooms a[data-room=lens]").click()
    page.drawn()
    page.page.locator("#in-text").fill("Ada Bell plays")
    page.page.locator("#in-text").press("Enter")
    page.until("() => location.hash.includes('Ada')")
    page.drawn()
    page.page.go_back()
    page.until("() => !location.hash.includes('Ada')")
    page.drawn()
    assert page.page.locator("#in-text").input_value() == "Leo Rosner plays"
    page.page.go_back()
    page.until("() => location.hash.includes('ledger')")
    page.drawn()
    assert page.hash() == state
    assert page.page.locator(".view input[data-state=by]").nth(1).is_checked()
    page.page.go_forward()
    page.page.go_forward()
    page.until("() => location.hash.includes('Ada')")
    page.drawn()
    assert page.page.locator("#in-text").input_value() == "Ada Bell plays"


def test_a_link_opens_the_same_view_in_a_new_tab(page, context, served):
    page.open("lens?model=village&text=Leo+Rosner+plays|point=1&token=0&show=word")
    page.page.get_by_role("button", name="Copy link").click()
    page.until("() => document.querySelector('.keep').textContent.includes('Copied')")
    link = page.page.evaluate("navigator.clipboard.readText()")
    assert served.token not in link
    other = Explorer(context.new_page(), served.address)
    other.page.goto(link)
    other.drawn()
    assert other.hash() == page.hash()
    assert other.text(".view .lead") == page.text(".view .lead")
    drawn = "document.querySelector('.view svg').outerHTML"
    assert other.page.evaluate(drawn) == page.page.evaluate(drawn)
    other.page.close()
    assert other.troubles == []


ODD = {
    "another model": ("lens?model=gpt-9&text=a", "does not have"),
    "no such view": ("teleport?text=a", "no view “teleport”"),
    "too new": ("lens?model=village&text=a+mole&colour=red|depth=9", "does not take"),
    "state of another version": ("lens?model=village&text=a+mole|point=999&zzz=1", "does not have"),
    "no address at all": ("%E0%A4%A|%%%", ""),
    "names of objects": ("lens?__proto__=1&constructor=2&toString=3|__proto__=1", ""),
    "deep": ("lens?model=village&text=a&edits=" + "x," * 100, ""),
    "long": ("lens?model=village&text=" + "mole+" * 9000, ""),
    "wrong kinds": ("ledger?model=village&position=%5B%5B%5D%5D&text=%7B%7D", ""),
    "half a value": ("shift?model=village&sentences=%5B%22a", ""),
}


@pytest.mark.parametrize(("place", "told"), ODD.values(), ids=ODD)
def test_a_link_that_fits_nothing_opens_with_a_word_about_it(page, place, told):
    page.open(place, fails=True)
    page.until(
        f"() => document.querySelector({DRAWN!r}) || document.querySelector('.status .wrong')"
    )
    assert page.page.locator(".rooms a").count() > 5
    said = page.text(".shell")
    assert told in said and "undefined" not in said and "[object" not in said
    page.refused()


# --- keeping --------------------------------------------------------------------------------------


def test_every_export_holds_what_the_view_shows(page, browser, tmp_path):
    page.open(f"shift?{GOLF}")
    group = page.page.locator(".view .exports").first
    svg = page.saved(group.get_by_role("button", name="SVG"))
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and b"<script" not in svg.lower()
    assert not re.search(rb"\son\w+=|javascript:", svg.lower())
    picture = Image.open(io.BytesIO(page.saved(group.get_by_role("button", name="PNG"))))
    assert picture.format == "PNG" and picture.width == 2 * int(float(root.get("width")))
    assert len(set(picture.convert("L").resize((80, 60)).get_flattened_data())) > 3, "it is blank"
    table = list(
        csv.reader(io.StringIO(page.saved(group.get_by_role("button", name="CSV")).decode()))
    )
    assert len({len(row) for row in table}) == 1 and len(table) > 2
    data = json.loads(page.saved(page.page.get_by_role("button", name="Save all as JSON")))
    assert data["schema"].startswith("molehill.shift/") and data["word"] == "golf"
    html = page.saved(page.page.get_by_role("button", name="Save as page"))
    file = tmp_path / "kept 🐀.html"
    file.write_bytes(html)
    with contextlib.closing(browser.new_context(offline=True)) as context:
        alone = Opened(context.new_page())
        alone.page.goto(file.as_uri())
        alone.page.wait_for_selector("article.mh")
        assert alone.text("h1") == page.text(".view h1")
        assert alone.asked == [file.as_uri()] and alone.troubles == []


def test_what_is_copied_as_python_runs_and_says_the_same(page):
    page.open("lens?model=village&text=Leo+Rosner+plays")
    page.page.get_by_role("button", name="Copy as Python").click()
    page.until("() => document.querySelector('.view').textContent.includes('Copied')")
    told = page.page.evaluate("navigator.clipboard.readText()")
    found: dict = {}
    exec(compile(told, "copied", "exec"), found)
    lines = [line for line in told.splitlines() if not line.startswith(" ")]
    assert lines[0].startswith("import molehill") and "Leo Rosner plays" in told


# --- keys only ------------------------------------------------------------------------------------


def test_everything_is_reached_by_keys(page):
    page.open("lens?model=village&text=Leo+Rosner+plays")
    keys = page.page.keyboard
    keys.press("Tab")
    assert page.focused() == "a To the view"
    assert page.page.evaluate("document.activeElement.getBoundingClientRect().left >= 0")
    keys.press("Enter")
    assert page.page.evaluate("document.activeElement.id") == "main"
    page.page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
    page.page.reload()
    page.drawn()
    reached, unseen = [], []
    for _ in range(400):
        keys.press("Tab")
        if page.page.evaluate("document.activeElement === document.body"):
            break
        reached.append(page.focused())
        if not page.page.evaluate(
            "() => { const at = document.activeElement, style = getComputedStyle(at), "
            "near = at.nextElementSibling ? getComputedStyle(at.nextElementSibling) : style; "
            "return style.outlineStyle !== 'none' || style.boxShadow !== 'none' "
            "|| near.outlineStyle !== 'none'; }"
        ):
            unseen.append(reached[-1])
    else:
        raise AssertionError(f"the focus never leaves the page: {reached[-5:]}")
    order = [
        next(at for at, one in enumerate(reached) if part in one)
        for part in ("Guided tour", "Model", "Copy link", "textarea", "Show", "Copy as Python")
    ]
    assert order == sorted(order), list(zip(order, reached, strict=False))
    assert unseen == []


def test_keys_lead_to_rooms_form_and_the_view_alone(page):
    page.open("lens?model=village&text=Leo+Rosner+plays")
    keys = page.page.keyboard
    keys.press("/")
    assert page.page.evaluate("document.activeElement.id") == "in-text"
    keys.type("/f")
    assert page.page.locator("#in-text").input_value().endswith("/f"), "a key was taken away"
    page.page.evaluate("document.activeElement.blur()")
    keys.press("f")
    assert not page.page.locator(".top").is_visible() and page.page.locator(".view h1").is_visible()
    keys.press("f")
    assert page.page.locator(".top").is_visible()
    keys.press("Alt+3")
    page.until("() => location.hash.startsWith('#/ledger')")
    page.drawn()
    keys.press("Alt+1")
    page.until("() => location.hash.startsWith('#/tour')")
    page.drawn()
    keys.press("n")
    page.until("() => document.querySelector('.story .count').textContent === '2 of 10'")
    page.drawn()
    assert page.page.evaluate("document.activeElement.tagName") == "H1"
    keys.press("p")
    page.until("() => document.querySelector('.story .count').textContent === '1 of 10'")
    page.drawn()


# --- long answers, and servers that end -----------------------------------------------------------


@pytest.fixture
def slow(monkeypatch):
    """A server whose lens never ends by itself; what began and what ended."""
    begun, over = threading.Event(), threading.Event()

    def answer(inputs, desk):
        begun.set()
        try:
            for done in range(100_000):
                desk.tell(done, 100_000, "Looking for the end")
                time.sleep(0.005)
        finally:
            over.set()

    odd = tuple(replace(one, answer=answer) if one.name == "lens" else one for one in QUESTIONS)
    monkeypatch.setattr("molehill.explorer.app.QUESTIONS", odd)
    desk = Desk({"village": ModelEntry(molehill.load("village"))})
    with serving(desk) as served:
        yield served, begun, over


def test_escape_ends_a_long_answer_here_and_on_the_server(browser, slow):
    served, begun, over = slow
    with exploring(browser, served) as context:
        page = Explorer(context.new_page(), served.address)
        page.open("lens?model=village&text=a", fails=True)
        assert begun.wait(SECONDS)
        page.until("() => document.querySelector('.status progress[value]')")
        assert "Looking for the end" in page.text(".status")
        page.page.keyboard.press("Escape")
        page.until("() => document.querySelector('.status').textContent === 'Stopped.'")
        assert over.wait(5), "still computing for nobody"
        page.page.locator(".rooms a[data-room=ledger]").click()
        page.drawn()
        assert page.troubles == []


def test_leaving_a_long_answer_ends_it(browser, slow):
    served, begun, over = slow
    with exploring(browser, served) as context:
        page = Explorer(context.new_page(), served.address)
        page.open("lens?model=village&text=a", fails=True)
        assert begun.wait(SECONDS)
        page.page.keyboard.press("Alt+3")
        assert over.wait(5), "still computing for nobody"
        page.drawn()
        assert page.hash().startswith("#/ledger") and page.troubles == []


def test_a_server_that_ended_is_told_and_the_page_stays(browser):
    server = contextlib.ExitStack()
    served = server.enter_context(serving(Desk({"village": ModelEntry("village")})))
    with server, exploring(browser, served) as context:
        page = Explorer(context.new_page(), served.address).open("lens?model=village&text=a+mole")
        server.close()
        page.page.locator("#in-text").fill("Leo plays")
        page.page.locator("#in-text").press("Enter")
        page.until("() => document.querySelector('.status .wrong')")
        assert "is `molehill explore` still running?" in page.text(".status .wrong")
        assert page.page.locator(".rooms a").count() > 5
        assert page.page.locator("#in-text").input_value() == "Leo plays"
        page.page.get_by_role("button", name="Save as page").click()
        page.until("() => document.querySelector('.status .wrong')")
        page.page.locator(".rooms a[data-room=attention]").click()
        page.until(
            "() => document.querySelector('.status .wrong') && !document.querySelector('progress')"
        )
        page.refused()
        assert page.troubles == []


# --- attackers and odd texts ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(browser, small_run, tmp_path_factory):
    """A server all of whose names are scripts: a model, features and their labels, a run, examples
    and what they are from."""
    lm = molehill.load("village")
    path = tmp_path_factory.mktemp("hostile") / "evil.db"
    world = read_world(built_in_models() / "village")
    texts = [told.text for told in tell(world, 60, seed=1)] + [f"Leo {EVIL} plays"]
    settings = Gathering(top=4, sample=4)
    features = load_features(features_path("village-1"))
    write_examples(path, lm, replace(features, name=EVIL), texts, settings, named=[EVIL])
    with contextlib.closing(sqlite3.connect(path)) as base, base:
        base.execute(
            "UPDATE features SET label = ?, told = json_set(told, '$.text', ?)", [EVIL] * 2
        )
    desk = Desk(
        {EVIL: ModelEntry(lm)},
        features={EVIL: features_path("village-1")},
        examples={EVIL: path},
        runs={EVIL: small_run},
    )
    with serving(desk) as served, exploring(browser, served) as context:
        page = Explorer(context.new_page(), served.address)
        yield page
        assert page.troubles == []


HOSTILE = {
    "model": "lens?text=Leo+Rosner+plays",
    "token text": f"lens?text={quote(EVIL)}",
    "sentences": f"shift?word=plays&sentences={quote(json.dumps([f'{EVIL} plays'] * 2))}",
    "attention": f"attention?text={quote(EVIL)}",
    "ledger": f"ledger?text={quote(EVIL)}",
    "feature": f"features.here?features={quote(EVIL)}&text={quote('Leo ' + EVIL)}",
    "labels": f"features.search?features={quote(EVIL)}",
    "card": f"features.card?features={quote(EVIL)}&feature=103",
    "run": f"run?run={quote(EVIL)}",
    "runs": "runs",
    "unknown word": f"shift?word={quote(EVIL)}",
    "state": f"lens?text=a|{quote(EVIL)}={quote(EVIL)}",
    "view": quote(EVIL),
    "another model": f"lens?model={quote(EVIL + '2')}",
}


@pytest.mark.parametrize("place", HOSTILE.values(), ids=HOSTILE)
def test_a_name_or_text_that_is_a_script_is_shown_as_text(hostile, place):
    hostile.open(place, fails=True)
    hostile.until(f'() => document.querySelector("{DRAWN}, .status .wrong, .status .told")')
    hostile.page.wait_for_timeout(100)
    assert "onerror=alert(1)" in hostile.page.evaluate("document.body.innerHTML")
    assert (
        hostile.page.evaluate(
            "document.querySelectorAll('img:not(.brand img), [onerror], body script').length"
        )
        == 0
    )


def test_an_export_of_a_script_is_text_and_a_spreadsheet_gets_no_formula(
    hostile, browser, tmp_path
):
    text = f"=cmd {EVIL} plays"
    hostile.open(f"shift?word=plays&sentences={quote(json.dumps([text, 'Leo plays']))}")
    group = hostile.page.locator(".view .exports").first
    svg = hostile.saved(group.get_by_role("button", name="SVG"))
    names = {one.tag.rpartition("}")[2] for one in ElementTree.fromstring(svg).iter()}
    assert names.isdisjoint({"script", "img", "image", "foreignObject", "a"})
    html = hostile.saved(hostile.page.get_by_role("button", name="Save as page"))
    file = tmp_path / "kept.html"
    file.write_bytes(html)
    with contextlib.closing(browser.new_context(offline=True)) as context:
        alone = Opened(context.new_page())
        alone.page.goto(file.as_uri())
        alone.page.wait_for_selector("article.mh")
        assert alone.page.locator("img").count() == 0 and alone.troubles == []
    for button in hostile.page.locator(".view").get_by_role("button", name="CSV").all():
        table = hostile.saved(button).decode()
        assert not [
            cell for row in csv.reader(io.StringIO(table)) for cell in row if cell[:1] == "="
        ]


TEXTS = {
    "from right to left": "\u202eabc\u200d \u05d0\u05d1 mole",
    "joined signs": "a \U0001f468\u200d\U0001f469\u200d\U0001f467 mole",
    "nothing between": "a\u200bb\u0000c mole",
    "blanks": "  a   mole  ",
    "markup": f"{EVIL} & <b>mole</b>",
    "an address": "javascript:alert(1) mole",
    "special tokens": "<|endoftext|><|endoftext|>",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_odd_texts_come_back_exactly(page, text):
    page.open("lens?model=lexicon")
    page.page.evaluate(
        "text => { const box = document.querySelector('#in-text'); box.value = text; "
        "box.dispatchEvent(new Event('input', {bubbles: true})); box.form.requestSubmit(); }",
        text,
    )
    page.until("() => location.hash.includes('text=')")
    page.drawn()
    data = json.loads(page.saved(page.page.get_by_role("button", name="Save all as JSON")))
    assert data["text"] == text
    page.page.reload()
    page.drawn()
    assert page.page.locator("#in-text").input_value() == text


# --- two at once, and less motion -----------------------------------------------------------------


def test_two_tabs_with_different_edits_do_not_disturb_one_another(context, served, page):
    """One has a fact rewritten, the other not; both ask in turn."""
    other = Explorer(context.new_page(), served.address)
    told = page.open("lens?model=village&text=Leo+Rosner+plays").text(".view .lead")
    digest = other.open("tour").page.evaluate(WRITE)
    other.open(f"lens?model=village&edits={digest}&text=Leo+Rosner+plays")
    assert other.text(".choices .edits") == "1 edit applied"
    changed = other.text(".view .lead")
    assert changed != told
    for one, expected in ((page, told), (other, changed), (page, told)):
        one.page.reload()
        one.drawn()
        assert one.text(".view .lead") == expected
    assert not page.page.locator(".choices .edits").is_visible()
    other.page.close()
    assert other.troubles == []


WRITE = """async () => {
  const headers = {'content-type': 'application/json'};
  const body = JSON.stringify({model: 'village'});
  const reply = await fetch('/api/ask/facts.edit', {method: 'POST', headers, body});
  const data = await reply.json();
  return data.digest ?? data.edit.digest;
}"""


def test_less_motion_is_none(browser, served):
    with exploring(browser, served, reduced_motion="reduce") as context:
        page = Explorer(context.new_page(), served.address)
        page.open(
            "shift?model=village&word=golf&sentences=%5B%22Leo+plays+golf.%22%2C%22A+golf%22%5D"
        )
        moving = page.page.evaluate(
            "() => { document.querySelector('.scrubber button, button[aria-label*=lay]')?.click(); "
            "return document.getAnimations().filter((one) => one.playState === 'running').length; }"
        )
        assert moving == 0 and page.troubles == []
