from __future__ import annotations

import pytest
import torch

from molehill.errors import TextError
from molehill.text import Tokens


def by_character(*texts: str, dropped: tuple[int, ...] = ()) -> Tokens:
    """Every character a token, between a special one at either end."""
    return Tokens.of_parts(
        [[1, *map(ord, text), 2] for text in texts],
        0,
        texts=texts,
        pieces=[["<s>", *text, "</s>"] for text in texts],
        spans=[[(0, 0), *((at, at + 1) for at in range(len(text))), (0, 0)] for text in texts],
        special=[[True, *[False] * len(text), True] for text in texts],
        dropped=dropped or [0] * len(texts),
    )


def test_rows_are_padded_on_the_right():
    tokens = Tokens.of_ids([[5, 6, 7], [8], []], pad_id=9)
    assert tokens.ids.tolist() == [[5, 6, 7], [8, 9, 9], [9, 9, 9]]
    assert tokens.mask.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert tokens.lengths.tolist() == [3, 1, 0]
    assert [tokens.row(text) for text in range(3)] == [[5, 6, 7], [8], []]
    assert len(tokens) == 3
    assert repr(tokens) == "Tokens(3 texts, lengths [3, 1, 0])"


@pytest.mark.parametrize("rows", [[], [[]], [[], []]])
def test_no_tokens_are_a_table_too(rows):
    tokens = Tokens.of_ids(rows)
    assert tokens.ids.shape == tokens.mask.shape == (len(rows), 0)
    assert tokens.ids.dtype == torch.int64


def test_selected_texts_keep_what_is_theirs_and_lose_the_padding():
    tokens = by_character("a mole", "x", "moles")
    chosen = tokens.select([2, 1])
    assert chosen.texts == ("moles", "x")
    assert chosen.ids.shape == (2, 7)
    assert chosen.row(1) == tokens.row(1)
    assert [each.surface for each in chosen.find("mole")] == ["moles"]
    assert tokens.select([]).ids.shape == (0, 0)
    assert Tokens.of_ids([[1], [2, 3]]).select([0]).ids.tolist() == [[1]]


def test_a_record_whose_parts_do_not_fit_is_refused():
    with pytest.raises(AssertionError, match="one part of each"):
        Tokens.of_parts(
            [[1, 2]], 0, texts=["a"], pieces=[["a"]], spans=[[(0, 1)]], special=[[False]],
            dropped=[0],
        )  # fmt: skip


def test_an_occurrence_has_all_of_its_tokens():
    tokens = by_character("A mole, moles", "no", "MOLE")
    assert [(each.text, each.start, each.end, each.positions, each.last, each.rule)
            for each in tokens.find("mole")] == [
        (0, 2, 6, (3, 4, 5, 6), 6, "exact"),
        (0, 8, 13, (9, 10, 11, 12, 13), 13, "plural"),
        (2, 0, 4, (1, 2, 3, 4), 4, "case"),
    ]  # fmt: skip


def test_a_token_that_holds_more_than_the_word_belongs_to_it():
    text = "the molehill"
    tokens = Tokens.of_parts(
        [[1, 2, 3]], 0, texts=[text], pieces=[["the", "·mo", "lehill"]],
        spans=[[(0, 3), (4, 6), (6, 12)]], special=[[False] * 3], dropped=[0],
    )  # fmt: skip
    [found] = tokens.find("mole", rule="inside")
    assert (found.surface, found.positions) == ("mole", (1, 2))


def test_tokens_that_share_a_character_are_all_part_of_it():
    tokens = Tokens.of_parts(
        [[1, 2, 3, 4]], 0, texts=["a 😀"], pieces=[["a", "·<0xF0>", "<0x9F><0x98>", "<0x80>"]],
        spans=[[(0, 1), (2, 3), (2, 3), (2, 3)]], special=[[False] * 4], dropped=[0],
    )  # fmt: skip
    [found] = tokens.find("😀")
    assert found.positions == (1, 2, 3)


def test_special_tokens_and_padding_never_match():
    tokens = Tokens.of_parts(
        [[1, 2], [2]], 2, texts=["<mole> mole", "mole"], pieces=[["<mole>", "·mole"], ["mole"]],
        spans=[[(0, 6), (7, 11)], [(0, 4)]], special=[[True, False], [False]], dropped=[0, 0],
    )  # fmt: skip
    assert [(each.text, each.positions) for each in tokens.find("mole")] == [(0, (1,)), (1, (0,))]


def test_what_was_cut_off_is_not_found_and_the_message_says_so():
    text = "a mole and moles"
    tokens = Tokens.of_parts(
        [[1, 2, 3]], 0, texts=[text], pieces=[["a", "·mole", "·and"]],
        spans=[[(0, 1), (2, 6), (7, 10)]], special=[[False] * 3], dropped=[2],
    )  # fmt: skip
    assert [each.surface for each in tokens.find("mole")] == ["mole"]
    with pytest.raises(TextError, match="as far as it was kept: raise the limit"):
        tokens.find("moles")


def test_a_word_in_no_text_is_refused_with_the_text_and_near_words():
    with pytest.raises(TextError, match=r"'moel' is not in the text 'The mole digs'.*are mole"):
        by_character("The mole digs").find("moel")
    with pytest.raises(TextError, match=r"in none of the 2 texts, the first of which is 'ab'"):
        by_character("ab", "cd").find("mole")


def test_each_text_must_hold_the_word_where_that_is_asked():
    tokens = by_character("a mole", "a vole", "moles", "none")
    assert len(tokens.find("mole")) == 2
    with pytest.raises(TextError, match=r"missing from 2 of the 4 texts \(1: 'a vole'; 3: 'none'"):
        tokens.find("mole", each=True)


def test_a_failed_strict_search_names_the_looser_rule():
    with pytest.raises(TextError, match="rule='inside' is looser"):
        by_character("a molehill").find("mole")


def test_bare_ids_have_no_words():
    with pytest.raises(TextError, match="no text to find 'mole' in"):
        Tokens.of_ids([[1]]).find("mole")
