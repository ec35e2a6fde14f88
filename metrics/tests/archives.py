"""Archives of sysstat for tests: made on the spot, and samples as other versions print them."""

import gzip
import json
import shutil
import subprocess
import threading
from datetime import UTC, datetime

from metrics.importing.sysstat import SysstatFile

SADC = "/usr/lib/sysstat/sadc"
LATER = datetime(2027, 1, 1, tzinfo=UTC)


def sadc_is_missing():
    return not shutil.which(SADC) or not shutil.which("sadf")


def record(path, samples=4, folder=None):
    """An archive of so many seconds, while disk, CPU and loopback have something to do."""
    done = threading.Event()
    busy = threading.Thread(target=_work, args=(done, folder or path.parent))
    busy.start()
    try:
        command = [SADC, "-F", "-S", "XALL", "1", str(samples + 1), str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    finally:
        done.set()
        busy.join()


def _work(done, folder):
    while not done.is_set():
        (folder / "load").write_bytes(gzip.compress(bytes(3_000_000)))
        sum(range(200_000))


def items(path):
    """What is read from a file."""
    return list(SysstatFile(str(path), path.stat().st_size, LATER).items())


def said(time="10:00:01", interval=600, **parts):
    """A sample as sadf prints it."""
    at = {"date": "2026-03-01", "time": time, "utc": 1, "interval": interval}
    return {"timestamp": at, **parts}


def printed(*samples, restarts=(), **host):
    """What sadf prints of an archive."""
    about = {"nodename": "web1", "number-of-cpus": 2, "timezone": "UTC", **host}
    samples = list(samples)
    about |= {"statistics": samples, "restarts": [{"boot": boot} for boot in restarts]}
    return json.dumps({"sysstat": {"hosts": [about]}}, indent=1)
