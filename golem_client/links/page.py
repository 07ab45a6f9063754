"""The page that a person sees: plain HTML without a script, for a telephone and a screen reader."""

from __future__ import annotations

import base64
import hashlib
from html import escape

import attrs

from golem_client.answer import Answer


@attrs.frozen(kw_only=True)
class Texts:
    """The words of the page, to put into another language.

    A `…_hint` stands below the text that it belongs to.

    Attributes:
        lang: The language of all these texts, as in HTML: `en`, `de`, `pt-BR`.
        final: Below the button.
        counts: The promise is completed with this decision. Nothing else may promise that.
        recorded: The outbox has accepted this decision, and will deliver it.
        before: A decision had been made before this one.
        unknown: A decision has been made, and nobody can know whether it is this one.
        expired: The link is too old.
        invalid: The link is forged, cut off, or made for another purpose.
        gone: Nobody waits for the decision any more.
        failed: Golem or the database is away.
        again: The button to try again.
    """

    lang: str = "en"
    final: str = "You cannot take your decision back."
    counts: str = "Thank you. Your decision counts."
    recorded: str = "Thank you. Your decision is recorded."
    recorded_hint: str = "It will be passed on, even if that takes a while."
    before: str = "A decision had been made before."
    before_hint: str = "If you pressed the button twice, or came back, it may be your own."
    unknown: str = "A decision has been made."
    unknown_hint: str = "Nobody can know whether it is yours: an answer was lost on its way."
    expired: str = "This link has expired."
    expired_hint: str = "Please ask for a new one."
    invalid: str = "This link is not valid."
    invalid_hint: str = "Please check that you have opened all of it."
    gone: str = "Nobody waits for this decision any more."
    failed: str = "That did not work."
    failed_hint: str = "Please try again. Pressing twice does no harm."
    again: str = "Try again"


_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --ground: #eef1f5;
  --soft: #56606e; --line: #d5dae1; --act: #1d4ed8; --on-act: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf0; --paper: #1b212b; --ground: #11151c;
  --soft: #a5afbd; --line: #343d4b; --act: #8ab4ff; --on-act: #0b1830; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; min-height: 100svh; display: grid; place-items: center;
  padding: 1rem; background: var(--ground); color: var(--ink);
  font: 1.0625rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 32rem; padding: 2rem 1.5rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 1rem; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.3; }
h1, p { overflow-wrap: anywhere; white-space: pre-line; }
p { margin: .75rem 0 0; color: var(--soft); }
form { margin-top: 1.75rem; }
button { width: 100%; min-height: 3.25rem; padding: .75rem 1rem; border: 0; border-radius: .75rem;
  background: var(--act); color: var(--on-act); font: inherit; font-weight: 600;
  cursor: pointer; overflow-wrap: anywhere; }
button:hover { filter: brightness(1.1); }
button:focus-visible { outline: 3px solid var(--ink); outline-offset: 3px; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


def page(
    status: int, texts: Texts, heading: str, *notes: str, button: str = "", hint: str = ""
) -> Answer:
    """Return a page: a heading, notes, a button that sends the form, and a hint below it."""
    parts = [f'<h1 dir="auto">{_safe(heading)}</h1>', *(_paragraph(note) for note in notes)]
    if button:
        name = f'<button type="submit" dir="auto">{_safe(button)}</button>'
        parts.append(f'<form method="post">{name}</form>')
        parts.append(_paragraph(hint))
    body = "\n".join(part for part in parts if part)
    html = (
        f'<!doctype html>\n<html lang="{_safe(texts.lang)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="robots" content="noindex, nofollow">\n<title>{_safe(heading)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
    return Answer(status, dict(_HEADERS), html.encode(errors="replace"))


def _paragraph(text: str) -> str:
    return f'<p dir="auto">{_safe(text)}</p>' if text else ""


def _safe(text: str) -> str:
    """Escape a text for HTML; HTML has no way to write control characters, so they are left out."""
    return escape("".join(letter for letter in text if letter >= " " or letter == "\n"))
