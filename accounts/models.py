"""The tables `users` and `accounts_token`."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.postgres.functions import TransactionNow
from django.db import models

from accounts.columns import BcryptField
from accounts.validators import token_name_validator, username_validator

USERNAME_MAX_LENGTH = 50
TOKEN_NAME_MAX_LENGTH = 50


class UserManager(BaseUserManager["User"]):
    """Creates people."""

    def create_user(self, username: str, password: str | None = None, **extra: Any) -> "User":
        """Create a viewer; raise ValueError without a name."""
        if not username:
            raise ValueError("A user needs a name.")
        user = self.model(username=self.model.normalize_username(username), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, username: str, password: str | None = None, **extra: Any) -> "User":
        """Create an administrator."""
        return self.create_user(
            username, password, **extra | {"is_staff": True, "is_superuser": True}
        )


class User(AbstractBaseUser):
    """A person: an administrator (is_staff and is_superuser) or a viewer (neither).

    There are no groups and no single permissions: a viewer sees everything and changes nothing.
    """

    id = models.AutoField(primary_key=True)
    username = models.CharField(
        max_length=USERNAME_MAX_LENGTH,
        validators=[username_validator],
        help_text=f"At most {USERNAME_MAX_LENGTH} letters, digits and @ . + - _",
        error_messages={"unique": "There is a user of this name already."},
    )
    password = BcryptField("password", max_length=255, db_column="password_hash")
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    last_login = models.DateTimeField(null=True, blank=True, editable=False)
    # Django's base class has a plain `is_active = True` where its own users have a column.
    is_active = models.BooleanField(
        "active", default=True, db_default=True, help_text="Untick instead of deleting."
    )
    is_staff = models.BooleanField("opens the administration", default=False, db_default=False)
    is_superuser = models.BooleanField(
        "administrator",
        default=False,
        db_default=False,
        help_text="Changes settings and people. Everybody else sees all and changes nothing.",
    )

    objects = UserManager()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "users"
        ordering = ["username"]
        constraints = [
            models.UniqueConstraint(
                fields=["username"],
                name="users_username_key",
                violation_error_message="There is a user of this name already.",
            )
        ]
        indexes = [
            models.Index(fields=["id"], name="ix_users_id"),
            models.Index(fields=["username"], name="ix_users_username"),
        ]

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Say whether this person may do `perm`: administrators may all."""
        return self.is_active and self.is_superuser

    def has_perms(self, perms: Any, obj: object = None) -> bool:
        """Say whether this person may do all of `perms`."""
        return self.is_active and self.is_superuser

    def has_module_perms(self, app_label: str) -> bool:
        """Say whether this person sees `app_label` in the administration."""
        return self.is_active and self.is_superuser


class Token(models.Model):
    """A personal API token. The secret itself is not here: accounts.tokens hashes it."""

    id = models.AutoField(primary_key=True)
    # No index of its own: that of the constraint begins with it.
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="tokens", db_index=False)
    name = models.CharField(max_length=TOKEN_NAME_MAX_LENGTH, validators=[token_name_validator])
    secret_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(db_default=TransactionNow(), editable=False)
    last_used = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        db_table = "accounts_token"
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["secret_hash"], name="accounts_token_secret_hash_key"),
            models.UniqueConstraint(fields=["user", "name"], name="accounts_token_user_name_key"),
        ]

    def __str__(self) -> str:
        return self.name
