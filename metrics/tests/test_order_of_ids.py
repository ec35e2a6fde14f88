"""On SQLite, what goes by id walks the primary key: sorting half a million rows takes seconds."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metrics.querysets.snapshots import snapshots
from metrics.tests.builders import NOW, stored


@pytest.mark.django_db
@pytest.mark.parametrize(
    "read",
    [
        lambda: snapshots().sampled_live().newest(),
        lambda: snapshots().highest_id(),
        lambda: snapshots().since_id(0, 10),
    ],
)
def test_rows_in_the_order_of_their_ids_are_not_sorted(read):
    if connection.vendor != "sqlite":
        pytest.skip("test_query_plans looks at those of PostgreSQL")
    stored(NOW)
    with connection.cursor() as cursor:
        # Statistics that another test left may call for another plan in a table of one row.
        cursor.execute("DROP TABLE IF EXISTS sqlite_stat1")
        cursor.execute("ANALYZE sqlite_schema")
    with CaptureQueriesContext(connection) as queries:
        assert read()
    [query] = queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert "metrics_snapshot" in plan
    assert "TEMP B-TREE" not in plan
