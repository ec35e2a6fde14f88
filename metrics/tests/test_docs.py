import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command, load_command_class
from django.core.management import get_commands as commands_of_apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader

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


def operations():
    """Each manage.py command of the document on operations, without the program."""
    text = Path("docs/operations.md").read_text()
    found = re.findall(r"(?:\.venv/bin/|web )python manage\.py ([^`#\n]+)", text)
    return list(dict.fromkeys(command.strip() for command in found))


def test_the_commands_of_operations_are_the_same_plain_and_in_containers():
    text = Path("docs/operations.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if "docker compose" in line]
    pairs = [
        tuple(re.findall(r"manage\.py ([^`]+)", cell) for cell in row[1:])
        for row in rows
        if "manage.py" in "".join(row)
    ]
    assert len(pairs) >= 10
    for plain, contained in pairs:
        assert plain == contained != []


@pytest.mark.parametrize("line", operations())
def test_a_command_of_operations_has_these_arguments(line, db):
    name, *arguments = shlex.split(line)
    command = load_command_class(commands_of_apps()[name], name)
    options = vars(command.create_parser("manage.py", name).parse_args(arguments))
    if name == "migrate" and options["migration_name"]:
        loader = MigrationLoader(connection)
        assert loader.get_migration_by_prefix(options["app_label"], options["migration_name"])


@pytest.mark.django_db(transaction=True)
def test_the_commands_of_operations_that_change_no_schema_end_well(capfd):
    stored(datetime.now(UTC))
    done = set()
    for line in operations():
        name, *arguments = shlex.split(line)
        if name in ("cleanup", "maintain", "showmigrations"):
            arguments += ["--yes"] if name != "showmigrations" else []
            call_command(name, *arguments)
            done.add(f"{name} {arguments[0]}")
    assert {"cleanup --dry-run", "maintain compact", "showmigrations metrics"} <= done


@pytest.mark.django_db(transaction=True)
def test_postgresql_takes_the_settings_of_operations():
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has none")
    lines = [
        line
        for _, block in statements("docs/operations.md")
        for line in block.splitlines()
        if line.startswith("ALTER SYSTEM")
    ]
    assert len(lines) == 9
    with connection.cursor() as cursor:
        for line in lines:
            cursor.execute(line)
            cursor.execute(f"ALTER SYSTEM RESET {line.split()[3]}")


def test_each_setting_of_postgresql_has_its_reason():
    text = Path("docs/operations.md").read_text()
    settings = re.findall(r"ALTER SYSTEM SET (\w+)", text)
    assert len(settings) == 9
    assert (
        re.findall(r"^\| `(\w+)` \|", text.partition("| setting | why |")[2], re.M) == settings[:8]
    )
