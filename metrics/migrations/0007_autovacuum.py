"""Has PostgreSQL tidy up the big table early: every hour rows are folded and deleted there."""

from django.db import migrations

# By default a fifth of the table has to be dead first: days of samples. Inserts count too: what was
# not looked at since cannot be read by the index alone, as the search for unfolded rows does.
SETTINGS = {
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_insert_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.02",
}


def _alter(schema_editor, change):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE metrics_snapshot {change}")


def set_parameters(apps, schema_editor):
    """Set the parameters; a lock that autovacuum itself gives way to."""
    values = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
    _alter(schema_editor, f"SET ({values})")


def reset_parameters(apps, schema_editor):
    """Go back to the server's own."""
    _alter(schema_editor, f"RESET ({', '.join(SETTINGS)})")


class Migration(migrations.Migration):
    dependencies = [("metrics", "0006_views")]

    operations = [migrations.RunPython(set_parameters, reset_parameters)]
