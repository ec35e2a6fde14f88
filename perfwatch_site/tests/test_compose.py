"""compose.yaml, as far as its text tells: `make compose-test` runs it."""

import re

from django.conf import settings as project

COMPOSE = (project.BASE_DIR / "compose.yaml").read_text()
EXAMPLE = (project.BASE_DIR / ".env.example").read_text()
OPERATIONS = (project.BASE_DIR / "docs/operations.md").read_text()


def variables():
    """Each variable of compose.yaml with its default; "" where there is none."""
    found = re.findall(r"\$\{([A-Z_]+)(?::-([^}]*)|:\?[^}]*)?\}", COMPOSE)
    return dict(found)


def test_the_example_explains_every_variable():
    explained = re.findall(r"[A-Z]+_[A-Z_]+", EXAMPLE.partition("# --- In containers")[2])
    assert set(variables()) <= set(explained)


def test_the_example_shows_the_defaults():
    shown = dict(re.findall(r"^#    ([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert shown.pop("POSTGRES_PASSWORD") == ""
    assert shown == {name: variables()[name] for name in shown}
    assert {name for name in variables() if name.startswith("POSTGRES_")} - set(shown) == {
        "POSTGRES_PASSWORD"
    }


def test_a_secret_has_no_default_and_is_named_where_it_is_missing():
    used = re.findall(r"\$\{((?:POSTGRES_PASSWORD|SECRET_KEY)[^}]*)\}", COMPOSE)
    assert len(used) == 3
    for text in used:
        name = text.partition(":")[0]
        assert text.startswith(f"{name}:?{name} is missing in .env")


def test_postgresql_runs_with_the_settings_of_operations():
    here = re.findall(r"- -c(\w+)=\$\{\w+:-(.+?)\}", COMPOSE)
    there = re.findall(r"ALTER SYSTEM SET (\w+) = '?([\w.]+)'?;", OPERATIONS)
    assert here == there
    assert len(here) == 9


def test_what_the_image_leaves_out_is_not_needed_by_it():
    kept = (project.BASE_DIR / ".dockerignore").read_text().splitlines()
    for name in re.findall(
        r"^COPY ([^-].*) \./$", (project.BASE_DIR / "Dockerfile").read_text(), re.M
    ):
        assert {f"!{word}" for word in name.split()} <= set(kept)
