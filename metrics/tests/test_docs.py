import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection

from metrics import rollups
from metrics.tests.builders import stored


def statements(path):
    """The SQL of a document, with the database that its first comment names."""
    for block in re.findall(r"```sql\n(.*?)```", Path(path).read_text(), re.S):
        yield ("postgresql" if "-- PostgreSQL" in block else "sqlite"), block


@pytest.mark.django_db
def test_the_queries_of_the_document_answer_on_their_database():
    now = datetime.now(UTC)
    stored(now, cpu__usage_percent=12.5)
    while rollups.step(now + timedelta(hours=1)):
        pass
    own = [sql for vendor, sql in statements("docs/data.md") if vendor == connection.vendor]
    assert own
    for sql in own:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            assert [row[1] for row in cursor.fetchall()] == [12.5]


def test_what_the_readme_links_to_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", Path("README.md").read_text()):
        assert Path(target).exists(), target


def test_the_readme_names_the_commands_of_the_makefile():
    makefile = Path("Makefile").read_text()
    for command in re.findall(r"(?:^|`|&& )make (\w+)", Path("README.md").read_text(), re.M):
        assert re.search(rf"^{command}:", makefile, re.M), command
