"""The units of docs/deploy, as systemd itself sees them."""

import shutil
import subprocess

import pytest

from metrics.management.commands.serve import PROCESSES
from metrics.tests.processes import ROOT
from perfwatch_site.tests.servers import missing

DEPLOY = ROOT / "docs/deploy"


@pytest.fixture
def verify(tmp_path):
    """What systemd has to say of units that are installed where PerfWatch really is."""
    if not shutil.which("systemd-analyze"):
        missing("no systemd-analyze on PATH (Debian: systemd)")
    python = tmp_path / "opt/.venv/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/true")

    def verify(*names):
        for path in DEPLOY.glob("*.service"):
            text = path.read_text().replace("/opt/perfwatch", str(tmp_path / "opt"))
            (tmp_path / path.name).write_text(text)
        extra = tmp_path / "perfwatch@sampler.service.d"
        extra.mkdir(exist_ok=True)
        shutil.copyfile(DEPLOY / "perfwatch@sampler.conf", extra / "sampler.conf")
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)],
            capture_output=True,
            text=True,
            check=False,
        )
        # It also complains of units of the system, which are not ours.
        lines = [line for line in done.stderr.splitlines() if "perfwatch" in line]
        return done.returncode, lines

    return verify


@pytest.mark.parametrize(
    "name", ["perfwatch.service", *(f"perfwatch@{name}.service" for name in PROCESSES)]
)
def test_systemd_finds_nothing_wrong_with_a_unit(verify, name):
    assert verify(name)[1] == []


def test_it_would_find_something(verify, tmp_path):
    (tmp_path / "opt/.venv/bin/python").unlink()
    assert "python is not executable" in verify("perfwatch.service")[1][0]
