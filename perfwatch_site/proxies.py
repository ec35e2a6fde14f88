"""Whom to believe about the client's address and scheme."""

from collections.abc import Callable
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

FORWARDED = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_FORWARDED",
)


def is_trusted(address: str) -> bool:
    """Say whether `address` is one of PERFWATCH_TRUSTED_PROXIES."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in settings.PERFWATCH_TRUSTED_PROXIES)


def client_address(request: HttpRequest) -> str:
    """Return the client's address, after the middleware has resolved it."""
    return str(request.META.get("REMOTE_ADDR", ""))


class TrustedProxyMiddleware:
    """Replaces REMOTE_ADDR by the nearest address that no trusted proxy has.

    From anybody else the forwarding headers are dropped, so nothing behind believes them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if is_trusted(client_address(request)):
            forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
            for address in reversed([part.strip() for part in forwarded.split(",")]):
                if not _is_address(address):
                    break
                request.META["REMOTE_ADDR"] = address
                if not is_trusted(address):
                    break
        else:
            for name in FORWARDED:
                request.META.pop(name, None)
        return self.get_response(request)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
