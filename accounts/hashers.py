"""How passwords are hashed: plain bcrypt, as the schema specifies."""

from contextlib import suppress

from django.contrib.auth.hashers import BCryptPasswordHasher

BCRYPT_MAX_BYTES = 72
MINIMUM_COST = 10
COST = 12


class BcryptHasher(BCryptPasswordHasher):
    """bcrypt at cost 12.

    What bcrypt cannot take (more than 72 bytes) never matches, instead of failing or being cut
    off. Hashes of a lower cost are renewed at login; of a higher one they are kept.
    """

    rounds = COST

    def encode(self, password: str, salt: bytes) -> str:  # type: ignore[override]
        """Return `bcrypt$` and the bcrypt string; raise ValueError above 72 bytes."""
        if len(password.encode()) > BCRYPT_MAX_BYTES:
            raise ValueError(f"bcrypt takes at most {BCRYPT_MAX_BYTES} bytes.")
        return super().encode(password, salt)  # type: ignore[arg-type]

    def verify(self, password: str, encoded: str) -> bool:
        """Say whether `password` is the one that was hashed."""
        if len(password.encode()) > BCRYPT_MAX_BYTES:
            return False
        try:
            return super().verify(password, encoded)
        except ValueError:  # the stored text only looks like a hash
            return False

    def must_update(self, encoded: str) -> bool:
        """Say whether the hash is weaker than what is written today."""
        return int(self.decode(encoded)["work_factor"]) < self.rounds

    def harden_runtime(self, password: str, encoded: str) -> None:
        """Take as long as with a hash of today; what only looks like a hash needs no such help."""
        with suppress(ValueError):
            super().harden_runtime(password, encoded)
