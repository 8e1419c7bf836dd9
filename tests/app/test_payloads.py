"""A message's text must contain visible characters and no control characters."""

import pytest

from functions.model.payloads import is_blank, is_text

BLANK = ["", " ", "\n\t\r", "\xa0\u3000\u2028", "\u200b", "\u200d\u2060\ufeff", "\u00ad", "\u202e"]
BLANK += ["\u115f\u1160", "\u3164", "\uffa0", "\u2800", "\ufe0f", "\u034f", "\u180e", "\u17b5"]
BLANK += ["\U000e0001", "\U000e0100", "\U000e0020", "\u2065", "\ufff0", "\u061c", "\u2066\u2069"]

SEEN = ["a", ".", "\u200ba", "👩\u200d💻", "❤\ufe0f", "é", "e\u0301", "한", "\ufffd", "\ue000"]
SEEN += ["\U0001fae8", "\U0001f3f4\U000e0067\U000e007f"]


@pytest.mark.parametrize("text", BLANK, ids=ascii)
def test_blank(text: str) -> None:
    """Spaces and characters without width are blank."""
    assert is_blank(text)


@pytest.mark.parametrize("text", SEEN, ids=ascii)
def test_not_blank(text: str) -> None:
    """Visible characters are not blank, even those newer than this Python's Unicode tables."""
    assert not is_blank(text)
    assert is_text(text)


@pytest.mark.parametrize("control", [*range(9), 0xB, 0xC, *range(0xE, 0x20), *range(0x7F, 0xA0)])
def test_control_characters(control: int) -> None:
    """Control characters are refused, except tabs and line breaks."""
    assert not is_text(f"a{chr(control)}b")
    assert is_text("a\tb\r\nc\u2028d")
