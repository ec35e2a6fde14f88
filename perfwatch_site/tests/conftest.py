"""Settings read again, in this process or in one of its own, under a chosen environment."""

import os
import runpy
import subprocess
import sys
from unittest import mock

import pytest
from django.conf import settings as project


@pytest.fixture
def read_settings(tmp_path):
    """Run settings.py with these variables and no others; return its names."""

    def read(**variables):
        own = {"PERFWATCH_ENV_FILE": "", "PERFWATCH_DATA_DIR": str(tmp_path / "var")}
        with mock.patch.dict(os.environ, own | variables, clear=True):
            return runpy.run_path(str(project.BASE_DIR / "perfwatch_site" / "settings.py"))

    return read


@pytest.fixture
def manage(tmp_path):
    """Run manage.py with these variables and no others."""

    def run(*arguments, cwd=project.BASE_DIR, **variables):
        own = {"PERFWATCH_ENV_FILE": "", "PERFWATCH_DATA_DIR": str(tmp_path / "var")}
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=cwd,
            env=own | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run
