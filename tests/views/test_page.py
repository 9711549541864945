"""The page in a browser: offline, by mouse and by keys alone, in both themes, from 360 px up."""

from __future__ import annotations

import csv
import io
import json
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.views.browsing import CONTRAST, opened
from tests.views.made import HOSTILE, SIX, data

from molehill.views.html import module, page
from molehill.views.shift_text import shift_text


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The path of a page; made once for each set of sentences."""
    folder = tmp_path_factory.mktemp("pages")
    made: dict[tuple[str, ...], Path] = {}

    def write(sentences: tuple[str, ...]) -> Path:
        if sentences not in made:
            told = data("llama", sentences)
            made[sentences] = folder / f"page {len(made)}.html"
            content = page("shift", told, title="mole", text=shift_text(told))
            made[sentences].write_text(content, encoding="utf-8")
        return made[sentences]

    return write


@pytest.fixture
def visit(browser, file):
    @contextmanager
    def go(sentences=SIX, fragment="", **options):
        with opened(browser, file(sentences), fragment, **options) as found:
            found.page.wait_for_selector(".paths .trail")
            yield found

    return go


def test_it_opens_from_a_disk_without_a_network_and_asks_for_nothing(visit, file):
    with visit() as found:
        assert found.text("h1") == "mole"
        assert found.page.locator(".paths .trail").count() == 6
        assert found.asked == [file(SIX).as_uri()]


def test_sentences_are_text_whatever_they_hold(visit):
    with visit(HOSTILE) as found:
        shown = found.page.locator(".sentence .text").all_inner_texts()
        assert [" ".join(text.split()) for text in shown] == [" ".join(t.split()) for t in HOSTILE]
        assert found.page.locator("img").count() == 0
        assert found.page.locator("script").count() == 2


def test_scrubbing_moves_the_markers_and_the_reading(visit):
    with visit() as found:
        slider = found.page.get_by_label("Point of the journey")
        slider.fill("0")
        assert found.text(".place") == "At the start"
        markers = found.page.locator(".paths .now")
        places = {markers.nth(n).get_attribute("transform") for n in range(6)}
        assert len(places) == 1, "one start"
        slider.fill("3")
        assert found.text(".place") == "After attention of layer 1"
        places = {markers.nth(n).get_attribute("transform") for n in range(6)}
        assert len(places) == 6
        assert "after attention of layer 1" in found.text(".reading h2")
        assert found.state()["point"] == "3"


def test_hovering_reads_a_point_and_clicking_stays_there(visit):
    with visit(fragment="#point=6&sentence=1") as found:
        dot = found.page.locator(".ground").nth(3).locator("circle").nth(2)
        dot.hover()
        assert found.text(".reading h2").strip() == "4, after the MLP of layer 0"
        found.page.mouse.move(2, 2)
        assert found.text(".reading h2").strip().startswith("1, after the MLP of layer 2")
        dot.click()
        assert (found.state()["sentence"], found.state()["point"]) == ("4", "2")


def test_everything_can_be_done_by_keys(visit):
    with visit() as found:
        keys = found.page.keyboard
        keys.press("3")
        assert found.state()["sentence"] == "3"
        found.page.locator(".paths").focus()
        for key in ("Home", "ArrowRight", "ArrowRight", "ArrowDown"):
            keys.press(key)
        assert (found.state()["point"], found.state()["sentence"]) == ("2", "4")
        keys.press("End")
        assert found.state()["point"] == "7"
        keys.press("?")
        assert found.page.locator("dialog").is_visible()
        keys.press("Escape")
        assert not found.page.locator("dialog").is_visible()
        said = "document.querySelector('[aria-live]').textContent"
        found.wait(f"{said}.includes('Sentence 4, after the last norm')")


def test_the_tab_key_reaches_every_control_with_a_name(visit):
    with visit() as found:
        names = []
        for _ in range(60):
            found.page.keyboard.press("Tab")
            told = found.page.evaluate(
                """() => { const e = document.activeElement;
                const label = e.labels?.[0]?.innerText;
                const name = e.getAttribute('aria-label') || label || e.innerText;
                return e === document.body ? null : (name || '').trim(); }"""
            )
            if told is None:
                break
            names.append(told)
        assert all(names)
        text = " ".join(names)
        for wanted in ("Theme", "Keys", "Play", "Point of the journey", "First sentence", "JSON"):
            assert wanted in text


def test_playing_goes_from_the_start_to_the_end(visit):
    with visit() as found:
        found.page.get_by_label("Point of the journey").fill("2")
        found.page.get_by_label("Play").click()
        found.page.get_by_label("Play").wait_for()
        assert found.state()["point"] == "7"
        assert found.text(".place") == "After the last norm"


def test_less_motion_is_respected(visit):
    with visit(reduced_motion="reduce") as found:
        found.page.get_by_label("Point of the journey").fill("0")
        found.page.evaluate(
            """() => { window.seen = new Set();
            const look = () => document.querySelectorAll('.paths .now')
              .forEach((now) => seen.add(now.getAttribute('transform')));
            new MutationObserver(look)
              .observe(document.querySelector('.paths'), {childList: true, subtree: true}); }"""
        )
        corners = found.page.evaluate(
            """() => [...document.querySelectorAll('.ground circle')].map((dot) =>
            `translate(${dot.getAttribute('cx')},${dot.getAttribute('cy')})`)"""
        )
        found.page.get_by_label("Play").click()
        found.wait("seen.size > 12")
        assert set(found.page.evaluate("[...seen]")) <= set(corners), "never between two points"


def test_the_address_brings_everything_back(visit):
    with visit(
        fragment="#basis=raw&axes=2-3&point=4&sentence=2&pair=3-5&at=end&theme=dark"
    ) as found:
        assert found.page.get_by_label("raw vectors").is_checked()
        assert found.page.get_by_label("2–3").is_checked()
        assert found.page.get_by_label("at the end").is_checked()
        assert found.text(".reading h2").strip().startswith("2, after the MLP of layer 1")
        assert found.page.get_by_label("First sentence of the pair").input_value() == "3"
        assert found.page.locator(".mh").get_attribute("data-theme") == "dark"


@pytest.mark.parametrize(
    "fragment", ["#point=99", "#pair=1-1", "#nonsense=1&__proto__=x", "#%E0%A4%A", "#axes=<img>"]
)
def test_an_unusable_address_opens_with_a_notice(visit, fragment):
    with visit(fragment=fragment) as found:
        assert "does not have" in found.text(".notice")
        assert found.page.locator(".paths .trail").count() == 6


def test_a_pair_is_chosen_in_the_matrix_the_lists_and_the_chart(visit):
    with visit() as found:
        found.page.locator(".matrix .cell").nth(3).click()
        assert found.state()["pair"] == "1-5"
        found.page.get_by_label("Second sentence of the pair").select_option("2")
        assert found.state()["pair"] == "1-2"
        found.page.get_by_label("First sentence of the pair").select_option("2")
        assert found.state()["pair"] == "2-3"
        assert found.text(".why h2").split() == ["What", "parted", "2", "and", "3"]


def test_saved_pictures_and_tables_are_whole(visit):
    with visit(SIX, "#basis=raw&sentence=2") as found:
        svg = found.saved(found.page.get_by_title("Save as SVG").first).decode()
        assert all(sentence in svg for sentence in SIX)
        assert "tiny llama" in svg and "closing error" in svg and "<script" not in svg
        assert "Not checked: molehill check" in svg
        assert "not checked: molehill check 'tiny llama'" in found.text("footer")
        assert "var(--" not in svg and 'class="' not in svg
        png = found.saved(found.page.get_by_title("Save as PNG").first)
        width = found.page.locator(".paths").evaluate("(e) => Number(e.getAttribute('width'))")
        assert png[:4] == b"\x89PNG" and int.from_bytes(png[16:20], "big") == 2 * width
        rows = list(
            csv.reader(
                io.StringIO(found.saved(found.page.get_by_title("Save as CSV").first).decode())
            )
        )
        made = data("llama")
        assert len(rows) == 1 + 6 * len(made["points"])
        assert float(rows[1][3]) == made["bases"]["raw"]["paths"][0][0][0]
        distances = found.saved(found.page.get_by_title("Save as CSV").nth(1)).decode()
        assert distances.count("\n") == 1 + 15 * len(made["points"])
        whole = json.loads(found.saved(found.page.get_by_text("Save all as JSON")))
        assert whole == made


def test_a_saved_table_holds_no_formula(visit):
    with visit(HOSTILE) as found:
        text = found.saved(found.page.get_by_title("Save as CSV").first).decode()
        cells = {row[1] for row in csv.reader(io.StringIO(text))}
        assert "'" + HOSTILE[1] in cells and HOSTILE[1] not in cells


def test_every_chart_has_its_table(visit):
    with visit() as found:
        for summary in found.page.locator("summary").all():
            summary.click()
        tables = found.page.locator("details table")
        made = data("llama")
        assert tables.count() == 3
        counts = [tables.nth(n).locator("tbody tr").count() for n in range(3)]
        assert counts == [len(made["points"]), len(made["points"]), 15]


@pytest.mark.parametrize("sentences", [SIX[:1], SIX[:2], SIX], ids=len)
@pytest.mark.parametrize("width", [360, 768, 1400])
def test_the_page_never_scrolls_sideways(visit, width, sentences):
    with visit(sentences, width=width, height=780) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        chart = found.page.locator(".paths").bounding_box()
        assert chart["x"] >= 0 and chart["x"] + chart["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast_enough(visit, scheme):
    with visit(color_scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST) == []


def test_the_theme_button_overrules_the_system(visit):
    with visit(color_scheme="dark") as found:
        ground = "getComputedStyle(document.querySelector('.mh')).backgroundColor"
        dark = found.page.evaluate(ground)
        for _ in range(2):
            found.page.get_by_role("button", name="Theme").click()
        assert found.state()["theme"] == "light"
        assert found.page.evaluate(ground) != dark


def test_pictures_have_names_and_ids_are_unique(visit):
    with visit() as found:
        unnamed = found.page.evaluate(
            """() => [...document.querySelectorAll('svg')].filter((svg) =>
            svg.getAttribute('aria-hidden') !== 'true' && !svg.getAttribute('aria-label')).length"""
        )
        assert unnamed == 0
        assert found.page.evaluate("document.documentElement.lang") == "en"
        levels = found.page.evaluate(
            "[...document.querySelectorAll('h1, h2, h3')].map((head) => Number(head.tagName[1]))"
        )
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(below - above <= 1 for above, below in pairwise(levels))


def test_without_scripts_the_text_is_there(browser, file):
    context = browser.new_context(java_script_enabled=False, offline=True)
    shown = context.new_page()
    shown.goto(file(SIX).as_uri())
    assert "WHERE THE PATHS PART" in shown.locator("pre").inner_text()
    context.close()


def test_a_host_can_take_the_view_away_again(browser):
    """As a notebook would: import the module, render, and call what it returned."""
    shown = browser.new_page()
    shown.set_content("<p>before</p><div id=cell></div>")
    count = """async ([source, data]) => {
      const {default: view} = await import(URL.createObjectURL(
        new Blob([source], {type: 'text/javascript'})));
      const el = document.getElementById('cell');
      const model = {get: (name) => ({data})[name]};
      const undo = view.render({model, el});
      const drawn = el.querySelectorAll('.trail').length;
      undo();
      document.dispatchEvent(new KeyboardEvent('keydown', {key: '3'}));
      return [drawn, el.childNodes.length];
    }"""
    assert shown.evaluate(count, [module("shift"), data("llama")]) == [6, 0]
    shown.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_no_number_in_the_picture_covers_another_or_a_word(visit, width):
    """Every point of the way: the sentences' numbers, `start` and the pair's distance."""
    overlaps = """() => {
      const names = ".paths .number, .paths .start text, .paths .link text";
      const boxes = [...document.querySelectorAll(names)].map((node) =>
        [node.textContent, node.getBoundingClientRect()]);
      const found = [];
      boxes.forEach(([a, x], i) => boxes.slice(i + 1).forEach(([b, y]) => {
        const across = Math.min(x.right, y.right) - Math.max(x.left, y.left);
        const down = Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top);
        if (across > 3 && down > 5) found.push(`${a} and ${b}`);
      }));
      return found;
    }"""
    with visit(width=width) as found:
        slider = found.page.get_by_label("Point of the journey")
        last = int(slider.get_attribute("max"))
        for point in (1, last // 2, last - 1, last):
            slider.fill(str(point))
            assert found.page.evaluate(overlaps) == [], point


def test_marks_of_pairs_and_the_dotted_line_are_explained(visit):
    with visit() as found:
        marks = found.page.locator(".matrix .cell text").all_text_contents()
        assert any(mark.endswith(("attn", "MLP")) for mark in marks)
        assert "after attention of layer 6" in found.text(".side .caption")
        assert "the number on it is how far apart the two vectors are" in found.text(".caption")
