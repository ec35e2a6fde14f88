"""Personal API tokens: made for a person, shown once, accepted for reading only."""

import hashlib
import logging
import re
import secrets
from contextlib import suppress
from datetime import timedelta

from django.core.cache import cache
from django.db import OperationalError, transaction
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Token, User

logger = logging.getLogger("perfwatch.accounts")

PREFIX = "perfwatch_"  # by which people and scanners for leaked secrets recognise one
MOST_PER_USER = 20
FAILURES_PER_MINUTE = 20
USED_AGAIN_AFTER = timedelta(minutes=1)
_WELL_FORMED = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]{43}", re.ASCII)
_READING = ("GET", "HEAD")


class Refused(Exception):
    """A token that opens nothing: the sentence, the HTTP status and RFC 6750's name for it."""

    def __init__(self, sentence: str, status: int = 401, code: str = "invalid_token") -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


def hashed(secret: str) -> str:
    """Return what is stored of a secret.

    Plain SHA-256 is right here, where it would be wrong for a password: nobody guesses 32 random
    bytes however fast the hash is, and without a salt the row is found by an index.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


@transaction.atomic
def issue(user: User, name: str) -> str | None:
    """Store a new token of `user` and return its secret; None if that is one too many or double."""
    User.objects.select_for_update().get(pk=user.pk)  # so two requests do not both get the last
    own = user.tokens.all()
    if own.count() >= MOST_PER_USER or own.filter(name=name).exists():
        return None
    secret = PREFIX + secrets.token_urlsafe(32)
    Token.objects.create(user=user, name=name, secret_hash=hashed(secret))
    return secret


def secret_in(request: HttpRequest) -> str | None:
    """Return what follows `Authorization: Bearer`; None for other schemes, as proxies send them."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def reader(request: HttpRequest, secret: str) -> User:
    """Return the active person whose token this is; raise Refused for all else but reading."""
    token = _find(secret)
    if token is None:
        _count_failure(request.META.get("REMOTE_ADDR", ""))
        raise Refused("This API token is unknown, revoked, or of somebody who may not log in.")
    if request.method not in _READING:
        raise Refused("An API token can only read.", 403, "insufficient_scope")
    _note_use(token)
    return token.user


def _find(secret: str) -> Token | None:
    if not _WELL_FORMED.fullmatch(secret):
        return None
    found = Token.objects.select_related("user").filter(user__is_active=True)
    return found.filter(secret_hash=hashed(secret)).first()


def _note_use(token: Token) -> None:
    now = timezone.now()
    if token.last_used and timedelta(0) <= now - token.last_used < USED_AGAIN_AFTER:
        return
    # A database that is busy or read-only can still be read.
    with suppress(OperationalError), transaction.atomic():
        Token.objects.filter(pk=token.pk).update(last_used=now)


def _count_failure(address: str) -> None:
    """Raise Refused with 429 when too many tokens from one address were wrong.

    Looked up all the same, so a good token is never refused for another's failures: 256 bits need
    no protection from guessing, only scripts with an old token need a reason to slow down.
    """
    key = f"token-failures:{hashed(address)}"
    cache.add(key, 0, timeout=60)
    try:
        failures = cache.incr(key)
    except ValueError:  # the minute ended just now
        return
    if failures == FAILURES_PER_MINUTE:
        logger.warning("%d API tokens from %s were refused within a minute.", failures, address)
    if failures >= FAILURES_PER_MINUTE:
        raise Refused("Too many wrong API tokens. Wait a minute and check the token.", 429)
