"""Laws of normalisation."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from openautoglm.text.normalise import normalise

ANY = st.text(st.characters(exclude_categories=[]))


@given(ANY)
@example("e\u200d\u0301")
@example("\u0340\u200b\u0345")
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once


@given(ANY)
def test_white_space_is_single_and_inside(text):
    found = normalise(text)
    assert found == found.strip()
    assert "  " not in found
    assert all(char == " " or not char.isspace() for char in found)


@given(ANY)
def test_what_is_stored_can_be_encoded_and_seen(text):
    found = normalise(text)
    found.encode()
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in found)


@given(ANY, st.lists(st.sampled_from(" \t\n\u3000\u200b\ufeff"), max_size=5))
def test_invisible_characters_at_the_ends_make_no_other_text(text, extra):
    assert normalise(text + "".join(extra)) == normalise(text)


@given(st.text("0123456789abcXYZ"))
def test_full_width_forms_are_the_plain_ones(text):
    assert normalise("".join(chr(ord(char) + 0xFEE0) for char in text)) == text
