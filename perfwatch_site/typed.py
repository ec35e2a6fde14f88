"""What was typed into a form survives a session that ended and a form that is too old."""

from collections.abc import Callable
from typing import TypeVar

from django.http import HttpRequest

View = TypeVar("View", bound=Callable[..., object])

LEFT_OUT = ("csrfmiddlewaretoken", "do")


def keeps_typed(view: View) -> View:
    """Mark a view whose address, asked with what was typed as its query, shows it again.

    Not for secrets: addresses are logged.
    """
    view.keeps_typed = True  # type: ignore[attr-defined]
    return view


def address(request: HttpRequest) -> str | None:
    """Return the address that shows what this request typed; None where no view keeps it."""
    match = request.resolver_match
    if request.method != "POST" or not match or not getattr(match.func, "keeps_typed", False):
        return None
    typed = request.POST.copy()
    for name in LEFT_OUT:
        typed.pop(name, None)
    return f"{request.path}?{typed.urlencode()}".removesuffix("?")
