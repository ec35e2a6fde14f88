from importlib import import_module
from pkgutil import iter_modules

import pytest

from metrics.management import commands

NAMES = [module.name for module in iter_modules(commands.__path__)]


def refused(capsys, name, *arguments):
    command = import_module(f"metrics.management.commands.{name}").Command()
    with pytest.raises(SystemExit) as end:
        command.run_from_argv(["manage.py", name, *arguments])
    told = capsys.readouterr()
    assert told.out == ""
    assert end.value.code == 1
    return told.err


@pytest.mark.parametrize("name", NAMES)
def test_bad_arguments_are_refused_in_one_line(capsys, name):
    text = refused(capsys, name, "--verbosity", "many")
    assert text.startswith("CommandError: argument -v/--verbosity: invalid int value: 'many'")
    assert text.endswith(f"(manage.py {name} --help says more)\n")
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["backfill", "demo", "7", "--no-such"], "unrecognized arguments: --no-such"),
        (["backfill", "demo", "7", "--no\nsuch"], "unrecognized arguments: --no such"),
        (["backfill", "invented"], "argument KIND: invalid choice: 'invented'"),
        (["backfill", "perfwatch"], "the following arguments are required: DATABASE_URL"),
        (["backfill", "rollups", "--from"], "argument --from: expected one argument"),
        (["transfer"], "the following arguments are required: --to"),
        (["maintain"], "the following arguments are required: vacuum|reindex|compact"),
        (["serve", "--only", "cache"], "argument --only: invalid choice: 'cache'"),
        (["serve", "--stop", "--only", "web"], "not allowed with argument"),
    ],
)
def test_what_is_wrong_is_named(capsys, arguments, reason):
    text = refused(capsys, *arguments)
    assert reason in text
    assert text.count("\n") == 1
