"""Creates `accounts_token`."""

import django.db.models.deletion
from django.conf import settings
from django.contrib.postgres.functions import TransactionNow
from django.db import migrations, models

from accounts.validators import token_name_validator


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial_schema")]

    operations = [
        migrations.CreateModel(
            name="Token",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=50, validators=[token_name_validator])),
                ("secret_hash", models.CharField(max_length=64, editable=False)),
                ("created_at", models.DateTimeField(db_default=TransactionNow(), editable=False)),
                ("last_used", models.DateTimeField(null=True, blank=True, editable=False)),
                (
                    "user",
                    models.ForeignKey(
                        to=settings.AUTH_USER_MODEL,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tokens",
                        db_index=False,
                    ),
                ),
            ],
            options={
                "db_table": "accounts_token",
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["secret_hash"], name="accounts_token_secret_hash_key"
                    ),
                    models.UniqueConstraint(
                        fields=["user", "name"], name="accounts_token_user_name_key"
                    ),
                ],
            },
        ),
    ]
