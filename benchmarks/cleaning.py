"""How late samples come while there is much to clean up: `python benchmarks/cleaning.py`.

Samples every second while three days are overdue and one is to be folded, cleaned up by nobody, by
the hourly run inside the sampler's own process, and by `manage.py cleanup` beside it. A database of
its own, SQLite or with `--database postgresql` a PostgreSQL.
"""

import signal
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import synthetic
from own_database import ROOT, database, empty, heading, options, roll_up

SAMPLER = """
import django; django.setup()
from django.core.management import call_command
from perfwatch_site.celery import app
app.conf.beat_schedule["clean-up"]["schedule"] = {seconds}
call_command("sampler")
"""
NEVER = 10**6
WITNESSED = timedelta(hours=3, minutes=10)
"""So long samples must have come before a clock is believed."""


def main() -> None:
    """Measure and print."""
    asked = options(__doc__)
    share, seconds = (0.02, 8) if asked.quick else (1.0, 75)
    with database(asked.database):
        from metrics.models import Config

        Config(key="sampling", value={"interval_seconds": 1}).save()
        heading("Cleaning up while sampling every second")
        print("| cleaned by | samples | lost | late ms p50 | p99 | max | rows that went | s |")
        print("|---|---|---|---|---|---|---|---|")
        for name in ("nobody", "the hourly run", "manage.py cleanup"):
            empty()
            if name != "nobody":
                leave_to_do(asked.cores, share)
            print(sampled(name, seconds), flush=True)


def leave_to_do(cores: int, share: float) -> None:
    """Fill in what is to be deleted and folded, and what makes the clock believed."""
    host, now = synthetic.Host(cores), datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for age, days in ((33, 3 * share), (8, share)):
        start = midnight - timedelta(days=age)
        end = start + timedelta(days=days)
        synthetic.fill(synthetic.samples(host, start, end, unit=1))
    synthetic.fill(synthetic.samples(host, now - WITNESSED, now, 1, unit=1))
    roll_up(datetime.now(UTC))


def sampled(name: str, seconds: int) -> str:
    """Sample for a while; return the row of the table."""
    from metrics.models import ArchivePolicy, MetricsSnapshot

    ArchivePolicy.objects.update(last_archive_run=None)
    before = MetricsSnapshot.objects.count()
    highest = MetricsSnapshot.objects.order_by("-id").values_list("id", flat=True).first() or 0
    code = SAMPLER.format(seconds=5 if name == "the hourly run" else NEVER)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    sampler = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **quiet)
    time.sleep(seconds / 5)
    cleaning = 0.0
    if name == "manage.py cleanup":
        began = time.monotonic()
        command = [sys.executable, "manage.py", "cleanup", "--yes"]
        subprocess.run(command, cwd=ROOT, check=True, **quiet)
        cleaning = time.monotonic() - began
    time.sleep(seconds)
    sampler.send_signal(signal.SIGTERM)
    sampler.wait(20)
    rows = MetricsSnapshot.objects.filter(id__gt=highest, metric_data__downsampled__isnull=True)
    taken = [one.metric_data["sampler"] for one in rows.order_by("timestamp")[3:]]
    late = sorted(one["lateness_ms"] for one in taken)
    lost = sum(one["missed_ticks"] or 0 for one in taken)
    gone = before - MetricsSnapshot.objects.filter(id__lte=highest).count()
    return (
        f"| {name} | {len(taken)} | {lost} | {statistics.median(late):.1f} "
        f"| {late[len(late) * 99 // 100]:.0f} | {late[-1]:.0f} | {gone:,} "
        f"| {f'{cleaning:.0f}' if cleaning else ''} |"
    )


if __name__ == "__main__":
    main()
