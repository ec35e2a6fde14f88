"""What PerfWatch's commands have in common: how they answer bad arguments."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class PerfWatchCommand(BaseCommand):
    """A command that refuses arguments in one line, as it says all else that can go wrong."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Return a parser that raises CommandError: Django's prints its usage first."""
        self._called_from_command_line = False
        return super().create_parser(prog_name, subcommand, **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run it; what `handle` raises Django has caught, so this is of the parser."""
        try:
            super().run_from_argv(argv)
        except CommandError as error:
            reason = " ".join(str(error).removeprefix("Error: ").split())
            self.stderr.write(f"CommandError: {reason} (manage.py {argv[1]} --help says more)")
            sys.exit(error.returncode)
