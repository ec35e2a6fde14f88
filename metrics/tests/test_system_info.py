import os
import platform
import tomllib
from pathlib import Path

import pytest

from metrics import tasks
from metrics.kernel.host import Host
from metrics.models import Config
from metrics.system_info import system_info
from perfwatch_site import __version__


def test_it_says_what_this_host_is():
    info = system_info(Host())
    assert info["kernel"] == platform.release()
    assert info["architecture"] == platform.machine()
    assert info["threads"] == os.cpu_count()
    assert info["memory_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert info["boot_time"].endswith("Z")
    assert info["perfwatch_version"] == __version__


@pytest.mark.django_db(transaction=True)
def test_the_sampler_writes_it_at_its_start(monkeypatch):
    monkeypatch.setattr(tasks, "lock_database", lambda host: None)
    tasks.introduce_host()
    tasks.introduce_host()
    assert Config.objects.get(key="system_info").value["threads"] == os.cpu_count()


@pytest.mark.django_db(transaction=True)
def test_a_host_that_does_not_say_what_it_is_is_sampled_all_the_same(monkeypatch, caplog):
    def odd(host):
        raise RuntimeError("line 'btime' not found")

    monkeypatch.setattr(tasks, "lock_database", lambda host: None)
    monkeypatch.setattr(tasks, "system_info", odd)
    tasks.introduce_host()
    assert "btime" in caplog.text


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
