"""Adds views of the snapshots with plain columns, for people and programs that speak SQL.

The columns are the fields that were declared when this was written. New ones need a migration of
their own that drops the views and creates them anew; `VIEWS` and `sql` may be copied.
"""

from django.db import migrations

# View, part of the document, its fields; `!` marks text and flags, all others are numbers.
VIEWS = (
    (
        "perfwatch_cpu",
        "cpu",
        """
        usage_percent user_percent nice_percent system_percent idle_percent iowait_percent
        irq_percent softirq_percent steal_percent guest_percent frequency_mhz load_avg_1m
        load_avg_5m load_avg_15m temperature_celsius context_switches_per_sec
        interrupts_per_sec forks_per_sec procs_running procs_blocked core_count
        """,
    ),
    (
        "perfwatch_memory",
        "memory",
        """
        total_bytes available_bytes used_bytes percent buffers_bytes cached_bytes
        swap_total_bytes swap_used_bytes swap_percent free_bytes shared_bytes slab_bytes
        anon_bytes mapped_bytes dirty_bytes writeback_bytes page_tables_bytes
        committed_bytes commit_limit_bytes hugepages_total hugepages_free
        """,
    ),
    (
        "perfwatch_network",
        "network",
        """
        bytes_recv bytes_recv_per_sec packets_recv packets_recv_per_sec errin errin_per_sec
        dropin dropin_per_sec bytes_sent bytes_sent_per_sec packets_sent
        packets_sent_per_sec errout errout_per_sec dropout dropout_per_sec tcp.established
        tcp.time_wait tcp.retransmits_per_sec tcp.resets_per_sec tcp.listen_drops_per_sec
        sockets_used
        """,
    ),
    (
        "perfwatch_disk",
        "disk",
        """
        read_bytes write_bytes read_count write_count read_bytes_per_sec write_bytes_per_sec
        read_iops write_iops
        """,
    ),
    (
        "perfwatch_perf",
        "perf_events",
        """
        cycles instructions cache_references cache_misses branch_instructions branch_misses
        dtlb_load_misses context_switches cpu_migrations page_faults minor_faults
        major_faults ipc cache_miss_percent branch_miss_percent !available !reason !cpus
        running_percent
        """,
    ),
)

# View, part of the document, the object in it that is keyed by device, name of that column, fields.
DEVICE_VIEWS = (
    (
        "perfwatch_disk_devices",
        "disk",
        "devices",
        "device",
        """
        read_bytes_per_sec write_bytes_per_sec read_iops write_iops read_await_ms
        write_await_ms util_percent queue_length
        """,
    ),
    (
        "perfwatch_disk_partitions",
        "disk",
        "partitions",
        "mount_point",
        """
        total_bytes used_bytes free_bytes percent inodes_percent !fstype !device !read_only
        """,
    ),
    (
        "perfwatch_network_interfaces",
        "network",
        "interfaces",
        "interface",
        """
        bytes_recv_per_sec packets_recv_per_sec errors_recv_per_sec drops_recv_per_sec
        bytes_sent_per_sec packets_sent_per_sec errors_sent_per_sec drops_sent_per_sec
        bytes_sent bytes_recv !is_up speed_mbps
        """,
    ),
)
FLAGS = {"available", "read_only", "is_up"}


def postgresql(part, fields, devices="", key=""):
    """A SELECT that opens each document once, and computes only what is asked for."""
    value = "each.value" if devices else f"doc.{part}"
    columns = ["timestamp", "doc.host->>'name' AS host"]
    columns += [f"each.key AS {key}"] if devices else []
    for field in fields.split():
        *parents, name = field.removeprefix("!").split(".")
        kind = "double precision" if field[0] != "!" else "boolean" if name in FLAGS else "text"
        path = "".join(f"->'{parent}'" for parent in parents)
        columns.append(f"({value}{path}->>'{name}')::{kind} AS {name}")
    lateral = f" CROSS JOIN LATERAL jsonb_to_record(metric_data) AS doc({part} jsonb, host jsonb)"
    if devices:
        found = f"doc.{part}->'{devices}'"
        # Anything but an object would be an error.
        safe = f"CASE WHEN jsonb_typeof({found}) = 'object' THEN {found} END"
        lateral += f" CROSS JOIN LATERAL jsonb_each({safe}) AS each"
    return (
        f"SELECT {', '.join(columns)} FROM metrics_snapshot{lateral}"  # noqa: S608
        " WHERE metric_type = 'aggregated'"
    )


def sqlite(part, fields, devices="", key=""):
    """A SELECT for SQLite, which has no types to give; flags are 0 and 1."""
    value, path = ("each.value", "$") if devices else ("metric_data", f"$.{part}")
    columns = ["timestamp", "json_extract(metric_data, '$.host.name') AS host"]
    columns += [f"each.key AS {key}"] if devices else []
    for field in fields.replace("!", "").split():
        name = field.rpartition(".")[2]
        columns.append(f"json_extract({value}, '{path}.{field}') AS {name}")
    table = f", json_each(metric_data, '$.{part}.{devices}') AS each" if devices else ""
    objects = " AND each.type = 'object'" if devices else ""
    return (
        f"SELECT {', '.join(columns)} FROM metrics_snapshot{table}"  # noqa: S608
        f" WHERE metric_type = 'aggregated'{objects}"
    )


def forward(apps, schema_editor):
    select = {"postgresql": postgresql, "sqlite": sqlite}[schema_editor.connection.vendor]
    for name, part, fields in VIEWS:
        schema_editor.execute(f"CREATE VIEW {name} AS {select(part, fields)}")
    for name, part, devices, key, fields in DEVICE_VIEWS:
        schema_editor.execute(f"CREATE VIEW {name} AS {select(part, fields, devices, key)}")


def backward(apps, schema_editor):
    for name, *_ in (*VIEWS, *DEVICE_VIEWS):
        schema_editor.execute(f"DROP VIEW {name}")


class Migration(migrations.Migration):
    dependencies = [("metrics", "0005_rollup")]

    operations = [migrations.RunPython(forward, backward, elidable=False)]
