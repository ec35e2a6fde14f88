"""Whom to believe about the client's address and scheme."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

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
    ip = parsed(address)
    return ip is not None and any(ip in net for net in settings.PERFWATCH_TRUSTED_PROXIES)


def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in `text`, None for anything else.

    Some proxies add the port. A socket that listens on :: calls IPv4 clients ::ffff:192.0.2.1.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip


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
            for ip in map(parsed, reversed(forwarded.split(","))):
                if ip is None:
                    break
                request.META["REMOTE_ADDR"] = str(ip)
                if not is_trusted(str(ip)):
                    break
        else:
            for name in FORWARDED:
                request.META.pop(name, None)
        return self.get_response(request)
