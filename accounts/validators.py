"""What names and passwords may be."""

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from accounts.hashers import BCRYPT_MAX_BYTES

username_validator = UnicodeUsernameValidator()
token_name_validator = RegexValidator(
    r"\A\w[\w .:@/()+-]*\Z",
    "A name starts with a letter or digit and holds letters, digits, spaces and . : @ / ( ) + - _",
)


class MaximumBytesValidator:
    """Refuses passwords that bcrypt would not take whole."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError above 72 bytes of UTF-8."""
        size = len(password.encode())
        if size > BCRYPT_MAX_BYTES:
            raise ValidationError(
                f"This password is {size} bytes long; at most {BCRYPT_MAX_BYTES} are possible.",
                code="password_too_long",
            )

    def get_help_text(self) -> str:
        """Return the rule as a sentence."""
        return f"Your password can have at most {BCRYPT_MAX_BYTES} bytes."
