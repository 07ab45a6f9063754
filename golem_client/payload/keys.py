"""Key styles: the names of fields as serde's `rename_all` writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

KeyStyle = Literal[
    "camelCase", "PascalCase", "kebab-case", "SCREAMING_SNAKE_CASE", "SCREAMING-KEBAB-CASE"
]


def key_style_of(style: KeyStyle | None) -> Callable[[str], str]:
    """Return the function that makes a field's name a key.

    Raises:
        ValueError: There is no such style.
    """
    if style is None:
        return str
    if style not in _STYLES:
        raise ValueError(f"key_style={style!r} is none of {', '.join(get_args(KeyStyle))}")
    return _STYLES[style]


def _upper(name: str) -> str:
    # serde changes ASCII letters only.
    return "".join(letter.upper() if letter.isascii() else letter for letter in name)


def _pascal(name: str) -> str:
    # Not str.capitalize(), which lowers the rest of a word.
    return "".join(_upper(word[:1]) + word[1:] for word in name.split("_"))


def _camel(name: str) -> str:
    first, rest = _pascal(name)[:1], _pascal(name)[1:]
    return (first.lower() if first.isascii() else first) + rest


_STYLES: dict[str, Callable[[str], str]] = {
    "camelCase": _camel,
    "PascalCase": _pascal,
    "kebab-case": lambda name: name.replace("_", "-"),
    "SCREAMING_SNAKE_CASE": _upper,
    "SCREAMING-KEBAB-CASE": lambda name: _upper(name).replace("_", "-"),
}
