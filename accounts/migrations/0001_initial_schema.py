"""Creates `users`."""

from django.contrib.postgres.functions import TransactionNow
from django.db import migrations, models

from accounts.columns import BcryptField
from accounts.validators import username_validator


class Migration(migrations.Migration):
    initial = True

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                (
                    "username",
                    models.CharField(
                        max_length=50,
                        validators=[username_validator],
                        help_text="At most 50 letters, digits and @ . + - _",
                        error_messages={"unique": "There is a user of this name already."},
                    ),
                ),
                (
                    "password",
                    BcryptField(max_length=255, db_column="password_hash", verbose_name="password"),
                ),
                ("created_at", models.DateTimeField(db_default=TransactionNow(), editable=False)),
                ("last_login", models.DateTimeField(null=True, blank=True, editable=False)),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        db_default=True,
                        help_text="Untick instead of deleting.",
                        verbose_name="active",
                    ),
                ),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False, db_default=False, verbose_name="opens the administration"
                    ),
                ),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        db_default=False,
                        help_text="Changes settings and people. "
                        "Everybody else sees all and changes nothing.",
                        verbose_name="administrator",
                    ),
                ),
            ],
            options={
                "db_table": "users",
                "ordering": ["username"],
                "indexes": [
                    models.Index(fields=["id"], name="ix_users_id"),
                    models.Index(fields=["username"], name="ix_users_username"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["username"],
                        name="users_username_key",
                        violation_error_message="There is a user of this name already.",
                    )
                ],
            },
        ),
    ]
