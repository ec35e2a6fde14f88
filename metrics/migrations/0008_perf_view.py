"""Gives the view of the performance counters the columns of the hardware events."""

from importlib import import_module

from django.db import migrations

views = import_module("metrics.migrations.0006_views")

NAME, PART = "perfwatch_perf", "perf_events"
[BEFORE] = [fields for name, _, fields in views.VIEWS if name == NAME]
# At the end, so that PostgreSQL can replace the view below those that people made of it.
AFTER = f"""
    {BEFORE} l1d_loads l1d_load_misses llc_loads llc_load_misses dtlb_loads itlb_load_misses
    stalled_cycles_frontend stalled_cycles_backend counted_seconds busy_seconds
    l1d_load_miss_percent llc_load_miss_percent dtlb_load_miss_percent stalled_frontend_percent
    stalled_backend_percent instructions_per_sec cache_misses_per_kilo_instruction
    branch_misses_per_kilo_instruction effective_ghz
"""


def forward(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        select = views.postgresql(PART, AFTER)
        schema_editor.execute(f"CREATE OR REPLACE VIEW {NAME} AS {select}")
    else:
        schema_editor.execute(f"DROP VIEW {NAME}")
        schema_editor.execute(f"CREATE VIEW {NAME} AS {views.sqlite(PART, AFTER)}")


def backward(apps, schema_editor):
    select = {"postgresql": views.postgresql, "sqlite": views.sqlite}
    schema_editor.execute(f"DROP VIEW {NAME}")
    query = select[schema_editor.connection.vendor](PART, BEFORE)
    schema_editor.execute(f"CREATE VIEW {NAME} AS {query}")


class Migration(migrations.Migration):
    dependencies = [("metrics", "0007_autovacuum")]

    operations = [migrations.RunPython(forward, backward, elidable=False)]
