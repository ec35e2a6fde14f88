"""Every SQL statement of the schema's specification, run as it is written there."""

import json
from datetime import UTC, datetime, timedelta

import bcrypt
import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import User
from metrics.models import ArchivePolicy, Config, MetricsSnapshot
from perfwatch_site.tests.servers import missing

INSERT_USER = """
INSERT INTO users (username, password_hash, created_at)
VALUES ('admin', '$2b$12$...', NOW());
"""
SAMPLE_DOCUMENT = """
{
  "cpu": {
    "usage_percent": 45.2,
    "per_core": [40.1, 50.3, 42.8, 48.1],
    "user_percent": 30.5,
    "system_percent": 10.2,
    "idle_percent": 59.3,
    "frequency_mhz": 2400,
    "load_avg_1m": 1.5,
    "load_avg_5m": 1.3,
    "load_avg_15m": 1.2,
    "temperature_celsius": 65.0
  },
  "memory": {
    "total_bytes": 17179869184,
    "available_bytes": 8053063680,
    "used_bytes": 9126805504,
    "percent": 53.1,
    "swap_total_bytes": 4294967296,
    "swap_used_bytes": 0,
    "swap_percent": 0.0,
    "buffers_bytes": 268435456,
    "cached_bytes": 4026531840
  },
  "network": {
    "bytes_sent": 1024000,
    "bytes_recv": 4096000,
    "packets_sent": 1000,
    "packets_recv": 2000,
    "errin": 0,
    "errout": 0,
    "dropin": 0,
    "dropout": 0,
    "interfaces": {
      "eth0": {
        "bytes_sent": 1024000,
        "bytes_recv": 4096000
      }
    }
  },
  "disk": {
    "partitions": {
      "/": {
        "total_bytes": 107374182400,
        "used_bytes": 53687091200,
        "free_bytes": 53687091200,
        "percent": 50.0
      }
    },
    "read_bytes": 2048000,
    "write_bytes": 1024000,
    "read_count": 500,
    "write_count": 250
  },
  "perf_events": {
    "cycles": 5000000000,
    "instructions": 9000000000,
    "ipc": 1.8,
    "cache_references": 100000,
    "cache_misses": 5000,
    "cache_miss_percent": 5.0,
    "branch_instructions": 2000000,
    "branch_misses": 100000,
    "branch_miss_percent": 5.0,
    "dtlb_load_misses": 50000
  },
  "memory_bandwidth": {
    "pgpgin_per_sec": 100.0,
    "pgpgout_per_sec": 50.0,
    "pswpin_per_sec": 0.0,
    "pswpout_per_sec": 0.0,
    "pgfault_per_sec": 200.0,
    "pgmajfault_per_sec": 5.0
  },
  "timestamp": "2026-01-21T10:30:00Z"
}
"""
CPU_USAGE_OVER_LAST_HOUR = """
-- Get CPU usage over last hour
SELECT
  timestamp,
  (metric_data->'cpu'->>'usage_percent')::float AS cpu_usage
FROM metrics_snapshot
WHERE timestamp >= NOW() - INTERVAL '1 hour'
ORDER BY timestamp;
"""
INSERT_CONFIG = """
INSERT INTO config (key, value)
VALUES
  ('sampling', '{"interval_seconds": 5}'),
  ('retention', '{"days": 30, "archive_enabled": true}'),
  ('features', '{"perf_events_enabled": true}');
"""
INSERT_POLICY = """
INSERT INTO archive_policy (retention_days, archive_enabled)
VALUES (30, true);
"""
ADD_USER_ID = """
-- Add user_id to metrics_snapshot for multi-user support
ALTER TABLE metrics_snapshot
ADD COLUMN user_id INTEGER REFERENCES users(id);
"""
LOGIN_QUERY = """
-- Uses: ix_users_username
SELECT * FROM users WHERE username = 'admin';
"""
HISTORICAL_QUERY = """
-- Uses: ix_metrics_snapshot_timestamp
SELECT * FROM metrics_snapshot
WHERE timestamp >= '2026-01-21 00:00:00'
  AND timestamp < '2026-01-21 23:59:59';
"""
FILTERED_QUERY = """
-- Uses: idx_metrics_type_timestamp
SELECT * FROM metrics_snapshot
WHERE metric_type = 'cpu'
  AND timestamp >= '2026-01-21 00:00:00';
"""
MAINTENANCE = [
    "-- Vacuum to reclaim space after retention cleanup\nVACUUM ANALYZE metrics_snapshot;",
    "-- Reindex to optimize query performance\nREINDEX TABLE metrics_snapshot;",
    "-- Full vacuum to compact database file\nVACUUM FULL metrics_snapshot;",
]
SLOW_QUERY_LOG = """
-- Enable slow query logging
SET log_min_duration_statement = 1000;  -- Log queries > 1s
"""
GRANTS = """
-- Minimal permissions for perfwatch user
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO perfwatch;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO perfwatch;
"""
PASSWORD = "admin123"


def run(statement):
    """Run it; return the names of the columns and the rows of what it answers."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        if cursor.description is None:
            return [], []
        return [column[0] for column in cursor.description], cursor.fetchall()


def snapshot(*, metric_type="aggregated", timestamp=None, **document):
    return MetricsSnapshot.objects.create(
        timestamp=timestamp or datetime(2026, 1, 21, 10, 30, tzinfo=UTC),
        metric_type=metric_type,
        metric_data=document or json.loads(SAMPLE_DOCUMENT),
    )


def insert_admin(password_hash="$2b$12$..."):
    statement = INSERT_USER.replace("$2b$12$...", password_hash)
    if connection.vendor == "sqlite":  # it has no NOW()
        statement = statement.replace("NOW()", "CURRENT_TIMESTAMP")
    run(statement)


@pytest.fixture
def postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("this statement is PostgreSQL's")


@pytest.fixture
def postgresql_superuser(postgresql, db):
    _, [[superuser]] = run("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    if not superuser:
        missing("this statement needs a superuser of PostgreSQL")


# --- users ----------------------------------------------------------------------------------


def test_a_user_is_inserted_and_may_look_only(db):
    insert_admin()
    user = User.objects.get(username="admin")
    assert abs(timezone.now() - user.created_at) < timedelta(minutes=5)
    assert (user.last_login, user.is_active) == (None, True)
    assert (user.is_staff, user.is_superuser) == (False, False)


def test_the_example_hash_opens_nothing(client, db):
    insert_admin()
    answer = client.post("/login/", {"username": "admin", "password": PASSWORD})
    assert answer.status_code == 200 and "_auth_user_id" not in client.session


def test_a_user_inserted_with_a_real_hash_can_log_in(client, db):
    insert_admin(bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt()).decode())
    answer = client.post("/login/", {"username": "admin", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert User.objects.get(username="admin").last_login


def test_created_at_fills_itself_in(db):
    run("INSERT INTO users (username, password_hash) VALUES ('admin', '$2b$12$...')")
    assert abs(timezone.now() - User.objects.get().created_at) < timedelta(minutes=5)


def test_a_second_user_of_the_same_name_is_refused(db):
    insert_admin()
    with pytest.raises(DatabaseError), transaction.atomic():
        insert_admin()


def test_the_login_query_finds_the_user(db):
    insert_admin()
    User.objects.create_user("somebody", PASSWORD)
    names, [row] = run(LOGIN_QUERY)
    assert names[:5] == ["id", "username", "password_hash", "created_at", "last_login"]
    assert row[1:3] == ("admin", "$2b$12$...")


# --- metrics_snapshot -----------------------------------------------------------------------


def test_the_sample_document_comes_back_as_it_went_in(db):
    stored = MetricsSnapshot.objects.get(id=snapshot().id).metric_data
    # As text, because 65 == 65.0.
    written = json.dumps(json.loads(SAMPLE_DOCUMENT), sort_keys=True)
    assert json.dumps(stored, sort_keys=True) == written


def test_the_sample_query_reads_cpu_usage_of_the_last_hour_in_order(postgresql, db):
    now = timezone.now()
    for minutes, usage in ((10, 45.2), (50, 12.5), (70, 99.0)):
        snapshot(timestamp=now - timedelta(minutes=minutes), cpu={"usage_percent": usage})
    snapshot(timestamp=now - timedelta(minutes=30), cpu={"usage_percent": None})
    names, found = run(CPU_USAGE_OVER_LAST_HOUR)
    assert names == ["timestamp", "cpu_usage"]
    assert [usage for _, usage in found] == [12.5, None, 45.2]
    assert found[0][0] == now - timedelta(minutes=50)


def test_the_historical_query_finds_the_snapshots_of_the_day(db):
    wanted = snapshot()
    snapshot(timestamp=datetime(2026, 1, 20, 23, 59, 59, tzinfo=UTC))
    snapshot(timestamp=datetime(2026, 1, 22, tzinfo=UTC))
    names, found = run(HISTORICAL_QUERY)
    assert names == ["id", "timestamp", "metric_type", "metric_data"]
    assert [row[0] for row in found] == [wanted.id]


def test_the_filtered_query_finds_the_snapshots_of_the_type(db):
    wanted = snapshot(metric_type="cpu")
    snapshot()
    snapshot(metric_type="cpu", timestamp=datetime(2026, 1, 20, tzinfo=UTC))
    assert [row[0] for row in run(FILTERED_QUERY)[1]] == [wanted.id]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (LOGIN_QUERY, ("ix_users_username", "users_username_key")),
        (HISTORICAL_QUERY, ("ix_metrics_snapshot_timestamp",)),
        (FILTERED_QUERY, ("idx_metrics_type_timestamp",)),
    ],
    ids=["login", "historical", "filtered"],
)
def test_the_queries_use_the_index_that_they_name(postgresql, db, query, index):
    run("""
    INSERT INTO metrics_snapshot (timestamp, metric_type, metric_data)
    SELECT '2026-01-01'::timestamptz + i * interval '20 minutes',
           CASE WHEN i % 50 = 0 THEN 'cpu' ELSE 'aggregated' END, '{}'
    FROM generate_series(1, 3000) i;
    INSERT INTO users (username, password_hash) SELECT 'u' || i, '-' FROM generate_series(1, 900) i;
    ANALYZE metrics_snapshot; ANALYZE users;
    """)
    _, plan = run("EXPLAIN " + query.strip().partition("\n")[2])
    assert any(name in line for (line,) in plan for name in index), plan


def test_metrics_snapshot_can_get_a_user_later(db):
    insert_admin()
    kept = snapshot()
    with transaction.atomic():
        run(ADD_USER_ID)
        assert run("SELECT user_id FROM metrics_snapshot")[1] == [(None,)]
        run("UPDATE metrics_snapshot SET user_id = (SELECT id FROM users)")
        assert MetricsSnapshot.objects.get().metric_data == kept.metric_data
        snapshot()
        transaction.set_rollback(True)
    assert "user_id" not in run(HISTORICAL_QUERY)[0]


# --- config and archive_policy --------------------------------------------------------------


def test_settings_are_inserted_with_their_time(db):
    Config.objects.all().delete()
    run(INSERT_CONFIG)
    assert {row.key: row.value for row in Config.objects.all()} == {
        "sampling": {"interval_seconds": 5},
        "retention": {"days": 30, "archive_enabled": True},
        "features": {"perf_events_enabled": True},
    }
    for row in Config.objects.all():
        row.full_clean()
        assert abs(timezone.now() - row.updated_at) < timedelta(minutes=5)


def test_a_policy_is_inserted_with_its_defaults(db):
    ArchivePolicy.objects.all().delete()
    run(INSERT_POLICY)
    policy = ArchivePolicy.objects.get()
    assert (policy.retention_days, policy.archive_enabled) == (30, True)
    assert (policy.downsample_after_days, policy.downsample_interval) == (7, "1 hour")
    assert policy.last_archive_run is None
    assert abs(timezone.now() - policy.created_at) < timedelta(minutes=5)
    assert policy.updated_at == policy.created_at


# --- maintenance and permissions ------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_maintenance_runs_outside_a_transaction_and_keeps_the_rows(postgresql):
    kept = snapshot()
    for statement in MAINTENANCE:
        run(statement)
    assert MetricsSnapshot.objects.get() == kept


def test_slow_queries_can_be_logged(postgresql_superuser):
    with transaction.atomic():
        run(SLOW_QUERY_LOG)
        assert run("SHOW log_min_duration_statement")[1] == [("1s",)]
        transaction.set_rollback(True)


@pytest.fixture
def minimal_role(postgresql_superuser):
    """A role that has the two grants and nothing else; gone with the test's transaction."""
    run("CREATE ROLE perfwatch_minimal")
    run(GRANTS.replace("TO perfwatch;", "TO perfwatch_minimal;"))
    run("SET LOCAL ROLE perfwatch_minimal")


def test_the_minimal_permissions_are_enough_to_work(minimal_role):
    MetricsSnapshot.objects.all().delete()
    snapshot()
    user = User.objects.create_user("somebody", PASSWORD)
    user.delete()
    ArchivePolicy.current().save()
    assert MetricsSnapshot.objects.count() == 1


def test_the_minimal_permissions_do_not_change_the_schema(minimal_role):
    with pytest.raises(DatabaseError, match="must be owner"), transaction.atomic():
        run(ADD_USER_ID)


# --- bcrypt ---------------------------------------------------------------------------------


def test_the_column_holds_what_bcrypt_itself_verifies(db, real_cost):
    user = User.objects.create_user("admin", PASSWORD)
    with connection.cursor() as cursor:
        cursor.execute("SELECT password_hash FROM users WHERE id = %s", [user.id])
        [stored] = cursor.fetchone()
    assert stored.startswith("$2b$12$")
    assert bcrypt.checkpw(PASSWORD.encode(), stored.encode())
