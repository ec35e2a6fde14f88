"""The broker."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import redis
from django.conf import settings

from metrics.doctor.base import LOCAL, Finding, Level


def look() -> Iterator[Finding]:
    """See whether Redis answers, where one is used."""
    url = settings.REDIS_URL
    if not url:
        yield Finding("broker", "Redis", Level.OK, "not used: REDIS_URL is not set")
        return
    host = urlsplit(url).hostname or ""
    try:
        client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
        version = client.info("server")["redis_version"]
    except (redis.RedisError, OSError) as fault:
        reason = str(fault).strip().partition("\n")[0]
        yield Finding(
            "broker",
            "Redis",
            Level.FAILED,
            f"{host}: {reason}",
            "Look at REDIS_URL and the server.",
        )
        return
    is_plain = not url.startswith("rediss:") and host not in LOCAL
    yield Finding("broker", "Redis", Level.OK, f"{version} on {host}")
    if is_plain:
        yield Finding(
            "broker",
            "TLS",
            Level.NOTE,
            "off: anyone on the way can read and send tasks.",
            "Use rediss:// unless the network between is yours alone.",
        )
