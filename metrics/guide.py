"""Pages of docs/ that the product shows: what its words mean."""

from functools import cache
from itertools import pairwise
from pathlib import Path

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token


@cache
def counters() -> SafeString:
    """Return docs/counters.md as HTML; each heading has its words, joined by "-", as id."""
    text = (Path(settings.BASE_DIR) / "docs" / "counters.md").read_text(encoding="utf-8")
    # Our own file, and HTML in it would be escaped.
    return mark_safe(_html(text))  # noqa: S308


def _html(text: str) -> str:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens: list[Token] = markdown.parse(text)
    for heading, words in pairwise(tokens):
        if heading.type == "heading_open":
            heading.attrSet("id", slugify(words.content))
    return str(markdown.renderer.render(tokens, markdown.options, {}))
