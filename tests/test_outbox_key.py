"""The name under which a completion and its promise find each other."""

from __future__ import annotations

import pickle

import pytest

from golem_client.outbox.key import Key


def test_a_key_is_its_text() -> None:
    """Equal to it, and still a Key once it is pickled."""
    assert Key("order-17") == "order-17"
    assert Key is type(pickle.loads(pickle.dumps(Key("order-17"))))
    assert "Key('order-17')" == repr(Key("order-17"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        ("a\0b", "control character"),
        ("a\x85b", "control character"),
        ("\ud800", "lone surrogate"),
        ("é" * 257, "514 bytes"),
    ],
)
def test_a_name_that_a_database_cannot_hold_is_refused(name: str, words: str) -> None:
    """When it is made, not when it is written."""
    with pytest.raises(ValueError, match=words):
        Key(name)


def test_a_key_is_text() -> None:
    """A number would be another key in another program."""
    with pytest.raises(TypeError, match="not of type int"):
        Key(17)  # type: ignore[arg-type]
