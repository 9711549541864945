"""The pages of ledgers, lenses, scores and traces: offline, by keys, in both themes, 360 px up."""

from __future__ import annotations

import csv
import io
import json
import re
from contextlib import contextmanager
from functools import cache

import pytest
from tests.journey.tiny import tiny_language
from tests.views.browsing import CONTRAST, opened
from tests.views.made import HOSTILE
from tests.views.made_traces import LAYERS, PIECES, fact_made, relation_made

from molehill.journey import attending_heads, follow, lens, why_attended
from molehill.views.fact_trace_text import fact_trace_text
from molehill.views.html import module, page
from molehill.views.ledger import ledger_data
from molehill.views.ledger_text import ledger_text
from molehill.views.lens import lens_data
from molehill.views.lens_text import lens_text
from molehill.views.why import why_data
from molehill.views.why_text import why_text

PLAIN = "in the garden it dug a mole"
VIEWS = ("ledger", "lens", "why", "all heads", "fact-trace", "relation trace")
TEXTS = {
    "ledger": ledger_text,
    "lens": lens_text,
    "why": why_text,
    "fact-trace": fact_trace_text,
}
NAMES = {"all heads": "why", "relation trace": "fact-trace"}


def name_of(view: str) -> str:
    return NAMES.get(view, view)


@cache
def made(view: str, text: str = PLAIN) -> dict:
    lm = tiny_language("llama")
    last = len(lm.encode([text]).pieces[0]) - 1
    if view in ("fact-trace", "relation trace"):
        return trace_made(text) if view == "fact-trace" else relation_made(text)
    if view == "ledger":
        return ledger_data(lm, follow(lm, text, -1), toward=3, top=30, version="0.0.0", digits=5)
    if view == "lens":
        return lens_data(lm, text, lens(lm, text, k=3, track=[3, 5]), version="0.0.0", digits=4)
    heads = attending_heads(lm, text, query=last, key=1)
    found = why_attended(lm, text, layer=2, head=1, query=last, key=1) if view == "why" else None
    return why_data(lm, text, last, 1, heads, found, version="0.0.0", digits=5)


def trace_made(text: str) -> dict:
    """A causal trace whose subject, target and second token are a text."""
    return fact_made(pieces=(PIECES[0], text, *PIECES[2:]), target=f" {text}", subject=text)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")

    @cache
    def write(view: str, text: str):
        told = made(view, text)
        path = folder / f"{view} {abs(hash(text))}.html"
        content = page(name_of(view), told, title=view, text=TEXTS[name_of(view)](told))
        path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.fixture
def visit(browser, file):
    @contextmanager
    def go(view, fragment="", text=PLAIN, **options):
        with opened(browser, file(view, text), fragment, **options) as found:
            found.page.wait_for_selector("article footer")
            yield found

    return go


@pytest.mark.parametrize("view", VIEWS)
def test_it_opens_without_a_network_and_asks_for_nothing(visit, file, view):
    with visit(view) as found:
        assert found.text("h1")
        assert found.asked == [file(view, PLAIN).as_uri()]
        lead = found.page.locator(".lead p").all_inner_texts()
        assert lead == made(view)["summary"]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("text", HOSTILE)
def test_words_are_text_whatever_they_hold(visit, view, text):
    with visit(view, text=text) as found:
        assert found.page.locator("img").count() == 0
        assert found.page.locator("script").count() == 2


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast_enough(visit, view, scheme):
    with visit(view, color_scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("width", [360, 768, 1400])
def test_a_page_never_scrolls_sideways(visit, view, width):
    with visit(view, width=width, height=780) as found:
        for summary in found.page.locator("summary").all():
            summary.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("view", VIEWS)
def test_every_control_and_picture_has_a_name(visit, view):
    with visit(view) as found:
        unnamed = found.page.evaluate(
            """() => [...document.querySelectorAll('svg')].filter((svg) =>
            svg.getAttribute('aria-hidden') !== 'true' && !svg.getAttribute('aria-label')).length"""
        )
        assert unnamed == 0
        names = found.page.evaluate(
            """() => [...document.querySelectorAll('button, input, [tabindex]')].map((e) =>
            (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.textContent).trim())"""
        )
        assert names and all(names)
        levels = found.page.evaluate(
            "[...document.querySelectorAll('h1, h2, h3')].map((head) => Number(head.tagName[1]))"
        )
        assert levels[0] == 1 and levels.count(1) == 1


@pytest.mark.parametrize("view", VIEWS)
def test_an_unusable_address_opens_with_a_notice(visit, view):
    for fragment in ("#nonsense=1&__proto__=x", "#theme=<img>", "#%E0%A4%A"):
        with visit(view, fragment) as found:
            assert "does not have" in found.text(".notice")


@pytest.mark.parametrize("view", VIEWS)
def test_the_theme_and_the_keys(visit, view):
    with visit(view, "#theme=dark") as found:
        assert found.page.locator(".mh").get_attribute("data-theme") == "dark"
        found.page.keyboard.press("?")
        assert found.page.locator("dialog").is_visible()
        found.page.keyboard.press("Escape")
        assert not found.page.locator("dialog").is_visible()


@pytest.mark.parametrize("view", VIEWS)
def test_pictures_tables_and_data_are_saved_whole(visit, view):
    with visit(view) as found:
        for button in found.page.get_by_title("Save as SVG").all():
            svg = found.saved(button).decode()
            assert "tiny llama" in svg and "<script" not in svg and "var(--" not in svg
        png = found.saved(found.page.get_by_title("Save as PNG").first)
        assert png[:4] == b"\x89PNG"
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == made(view)


@pytest.mark.parametrize("view", VIEWS)
def test_without_scripts_the_text_is_there(browser, file, view):
    context = browser.new_context(java_script_enabled=False, offline=True)
    shown = context.new_page()
    shown.goto(file(view, PLAIN).as_uri())
    assert shown.locator("pre").inner_text().strip()
    context.close()


@pytest.mark.parametrize("view", VIEWS)
def test_a_host_can_take_the_view_away_again(browser, view):
    shown = browser.new_page()
    shown.set_content("<p>before</p><div id=cell></div>")
    count = """async ([source, data]) => {
      const {default: view} = await import(URL.createObjectURL(
        new Blob([source], {type: 'text/javascript'})));
      const el = document.getElementById('cell');
      const undo = view.render({model: {get: (name) => ({data})[name]}, el});
      const drawn = el.querySelectorAll('svg').length;
      undo();
      document.dispatchEvent(new KeyboardEvent('keydown', {key: '?'}));
      return [drawn, el.childNodes.length];
    }"""
    drawn, left = shown.evaluate(count, [module(name_of(view)), made(view)])
    assert drawn > 0 and left == 0
    shown.close()


def test_a_ledger_adds_up_by_what_is_chosen(visit):
    with visit("ledger", "#by=source&kind=head") as found:
        assert found.page.get_by_role("radio", name="source word").is_checked()
        groups = made("ledger")["groups"]
        names = found.page.locator(".sums g text:first-child title").all_text_contents()
        assert names == [one["name"] for one in groups["source"]["entries"]][:20]
        found.page.keyboard.press("6")
        assert found.state() == {"by": "kind", "kind": "head", "river": "words"}
        assert found.page.locator(".sums g").count() == len(groups["kind"]["entries"])
        rows = found.page.locator(".tall tbody th").all_inner_texts()
        assert rows and all(name.startswith("head ") for name in rows)
        assert "closing error" in found.text("dl.figures")


def test_the_line_of_a_ledger_ends_at_the_whole(visit):
    with visit("ledger") as found:
        button = found.page.get_by_label("Save the layers").get_by_title("Save as CSV")
        rows = list(csv.reader(io.StringIO(found.saved(button).decode())))
        total = sum(float(row[2]) for row in rows[1:])
        assert total == pytest.approx(made("ledger")["read"]["measured"], rel=1e-3)


def test_a_lens_is_walked_by_keys_and_by_clicks(visit):
    data = made("lens")
    last = len(data["pieces"]) - 1
    with visit("lens", "#point=3&token=2") as found:
        assert "after attention of layer 1" in found.text(".told h2").lower()
        found.page.locator(".grid").focus()
        for key in ("ArrowDown", "ArrowRight", "End", "ArrowRight"):
            found.page.keyboard.press(key)
        assert found.state() == {"point": "4", "token": str(last)}
        words = found.page.locator(".told .bars li span[dir]").all_inner_texts()
        assert [word.strip("“”") for word in words] == [
            word.removeprefix("·") or word for word in data["readings"][4][last]["words"]
        ]
        found.page.locator(".grid .cell").first.click()
        assert found.state() == {"point": "0", "token": "0"}
        assert found.page.locator(".tracks .track").count() == 2
        assert f"rank {data['readings'][0][0]['ranks'][0] + 1:,}" in found.text(".words li i")


def test_a_long_text_is_shown_in_pages(visit):
    text = "in the garden it dug a mole " * 5
    count = len(made("lens", text)["pieces"])
    assert count > 64
    with visit("lens", "#token=0", text=text) as found:
        points = len(made("lens", text)["points"])
        assert found.page.locator(".grid .cell").count() == 64 * points
        assert found.page.get_by_label("Earlier tokens").is_disabled()
        found.page.get_by_label("Later tokens").click()
        assert found.state()["token"] == "64"
        shown = min(64, count - 64)
        assert found.page.locator(".grid .cell").count() == shown * points


def test_a_score_is_read_by_heads_pairs_and_sides(visit):
    chosen = made("why")["chosen"]
    with visit("why", "#row=1&column=0&side=key&by=source") as found:
        assert f"{abs(chosen['grid']['values'][1][0]):.2f}" in found.text(".apart .told")
        found.page.locator(".pairs").focus()
        found.page.keyboard.press("ArrowUp")
        assert found.state()["row"] == "0"
        names = found.page.locator(".sums g text:first-child title").all_text_contents()
        entries = chosen["key"]["groups"]["source"]["entries"]
        assert names == [one["name"] for one in entries][:14]
        found.page.get_by_label("what asked").check()
        assert found.state()["side"] == "query"
        found.page.locator(".heads").focus()
        found.page.keyboard.press("ArrowLeft")
        heads = made("why")["heads_per_layer"]
        assert found.state()["head"] == str(heads + 1)
        assert "Head 1.1" in found.text(".stage .told")


def test_without_a_head_the_page_lists_them_all(visit):
    with visit("all heads") as found:
        data = made("all heads")
        assert found.page.locator(".heads .cell").count() == len(data["heads"])
        best = data["heads"][0]
        assert f"head {best['layer']}.{best['head']}" in found.text(".bars li")
        assert found.page.locator(".pairs").count() == 0


@pytest.mark.parametrize(
    ("view", "box"), [("why", ".heads"), ("all heads", ".heads"), ("why", ".pairs")]
)
def test_a_picture_wider_than_its_box_shows_the_chosen_cell_and_that_there_is_more(
    browser, tmp_path, view, box
):
    """A model of forty layers, on a small screen: the chosen one is the last but two."""
    told = deep(made(view))
    path = tmp_path / "deep.html"
    path.write_text(page("why", told, title=view, text=""), encoding="utf-8")
    with opened(browser, path, width=360, height=780) as found:
        found.page.wait_for_selector("article footer")
        inside = """(name) => {
          const chosen = document.querySelector(`${name} .chosen`).getBoundingClientRect();
          const box = document.querySelector(name).parentElement.getBoundingClientRect();
          return box.left <= chosen.left && chosen.right <= box.right;
        }"""
        assert found.page.evaluate(inside, box)
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
        around = found.page.locator(box).locator("xpath=..")
        around.evaluate("(element) => { element.scrollLeft = 0; }")
        found.wait(f"document.querySelector('{box}').parentElement.classList.contains('beyond')")
        around.evaluate("(element) => { element.scrollLeft = 1e6; }")
        found.wait(f"!document.querySelector('{box}').parentElement.classList.contains('beyond')")


def deep(told: dict) -> dict:
    """The same result of a model with forty layers and a grid of thirty parts, the last chosen."""
    told = json.loads(json.dumps(told))
    told["layers"] = 40
    one = told["heads"][0]
    told["heads"] = [
        one | {"layer": layer, "head": head}
        for layer in (37, *range(37), 38, 39)
        for head in range(4)
    ]
    if told["chosen"]:
        told["chosen"] |= {"layer": 37, "head": 0}
        names = [f"MLP of layer {number}" for number in range(30)]
        values = [[0.01] * 29 + [1.0] for _ in range(2)]
        told["chosen"]["grid"] = {
            "query": names[:2],
            "key": names,
            "query_others": 0,
            "key_others": 0,
            "values": values,
        }
    return told


def test_tokens_have_their_values_and_a_sign_by_form(visit):
    with visit("ledger") as found:
        told = made("ledger")
        sources = {
            one["position"]: one["value"]
            for one in told["groups"]["source"]["entries"]
            if "position" in one
        }
        spans = found.page.locator(".shaded .worth").all()
        assert len(spans) == len(told["pieces"])
        shown = [span.locator("small").all_inner_texts() for span in spans]
        largest = sorted(sources, key=lambda place: -abs(sources[place]))[:12]
        assert {place for place, texts in enumerate(shown) if texts} <= set(largest)
        assert sum(map(bool, shown)) >= 3
        for place, texts in enumerate(shown):
            back = "back" in spans[place].locator(".token").get_attribute("class").split()
            assert back == (sources[place] < 0)
            if texts:
                value = float(texts[0].replace("−", "-"))
                assert abs(value - sources[place]) < 0.06 and (value < 0) == back
        assert "less than nothing" in found.text(".shaded .small")


def test_words_stand_in_quotation_marks_in_titles(visit):
    with visit("ledger") as found:
        assert re.search("what gives “.+” its score after “.+”", found.text(".sub"))
    with visit("why") as found:
        assert re.search("attended from “.+” to “.+”", found.text(".sub"))
        assert re.search("looks from “.+”", found.text(".side h2"))


def test_a_long_text_is_not_the_title_of_a_lens_and_opens_in_full(browser, tmp_path):
    told = json.loads(json.dumps(made("lens")))
    told["text"] = "a mole dug on " * 50
    told["readings"][1][0]["words"][0] = "·"
    path = tmp_path / "lens.html"
    path.write_text(page("lens", told, title="lens", text=""), encoding="utf-8")
    with opened(browser, path) as found:
        found.page.wait_for_selector("article footer")
        assert len(found.text("h1")) < 30
        assert "…" in found.text(".read summary") and len(found.text(".read summary")) < 170
        found.page.locator(".read summary").click()
        assert found.text(".read p").split() == told["text"].split()
        assert "“·” is a token that is only a space" in found.text(".picture .caption")
    with opened(browser, path) as found:
        assert "⏎" not in found.text(".picture .caption")


def test_a_trace_is_walked_by_keys_by_clicks_and_by_pointing(visit):
    data = made("fact-trace")
    with visit("fact-trace", "#layer=11&token=2") as found:
        assert found.page.locator(".maps .panel").count() == 3
        assert "Layer 11, at Jordan" in found.text(".told h2")
        found.page.locator(".maps").focus()
        for key in ("ArrowRight", "ArrowDown", "ArrowUp"):
            found.page.keyboard.press(key)
        assert (found.state()["layer"], found.state()["token"]) == ("12", "2")
        mlp = data["kinds"]["mlp"]
        effect, error = mlp["effects"][12][2], mlp["errors"][12][2]
        values = found.page.locator(".told .value").all_inner_texts()
        assert values[1] == f"{effect:.2f} ± {2 * error:.3f}"
        assert f"probability {data['corrupted'] + effect:.2f}" in found.text(
            ".told li:nth-child(2)"
        )
        for key in ("End", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown"):
            found.page.keyboard.press(key)
        assert found.state()["layer"] == str(LAYERS - 1)
        assert found.state()["token"] == str(len(PIECES) - 1)
        before = found.state()
        found.page.locator(".maps .ground").nth(3).hover(position={"x": 3, "y": 10})
        assert "at plays" in found.text(".told h2")
        assert found.state() == before
        found.page.locator(".maps .ground").nth(3).click(position={"x": 3, "y": 10})
        assert found.state()["token"] == "3"


def test_an_approximation_is_seen_beside_what_it_approximates(visit):
    with visit("fact-trace", "#show=attribution%20patching") as found:
        names = found.page.locator(".maps .name").all_text_contents()
        assert names == ["state after a layer", "attribution patching"]
        assert found.page.locator(".lines .track").count() == 2
        found.page.get_by_label("MLP", exact=True).check()
        assert found.state()["show"] == "mlp"
        assert found.page.locator(".maps .panel").count() == 1


def test_a_relation_is_read_by_role_with_intervals(visit):
    data = made("relation trace")
    with visit("relation trace", "#layer=10&token=2") as found:
        state = data["kinds"]["state"]
        told = f"{state['low'][10][2]:.2f} to {state['high'][10][2]:.2f}"
        assert told in found.text(".told li")
        assert found.page.locator(".lines .band").count() == 3
        found.page.get_by_text("Every effect as a table").click()
        rows = found.page.locator(".picture tbody tr")
        rows.first.wait_for()  # made when it is opened
        assert rows.count() == 3 * len(data["rows"])
        assert rows.nth(2).locator("td").nth(1).inner_text() == "last subject token *"


def test_what_is_not_finite_is_crossed_out_in_a_map(browser, tmp_path):
    data = fact_made()
    data["kinds"]["state"]["effects"][10][2] = None
    data["kinds"]["mlp"] = {**data["kinds"]["mlp"], "peak": None}
    path = tmp_path / "lost.html"
    path.write_text(page("fact-trace", data, title="lost", text=""), encoding="utf-8")
    with opened(browser, path, "#layer=10&token=2") as found:
        found.page.wait_for_selector("article footer")
        assert found.page.locator(".maps .lost").count() == 1
        assert found.text(".told .value") == "not finite"


def test_the_table_of_a_trace_has_every_cell(visit):
    with visit("fact-trace") as found:
        saved = found.saved(found.page.get_by_title("Save as CSV").first).decode()
        rows = list(csv.reader(io.StringIO(saved)))
        assert len(rows) == 1 + 3 * LAYERS * len(PIECES)
        told = {(row[0], row[1], row[2]): float(row[5]) for row in rows[1:]}
        effects = made("fact-trace")["kinds"]["attention"]["effects"]
        assert told["attention", "21", "6"] == effects[21][6]
