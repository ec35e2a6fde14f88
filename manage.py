#!/usr/bin/env python3
"""Runs PerfWatch's commands; `manage.py help` lists them."""

import os
import sys


def main() -> None:
    """Run the command named on the command line; a wrong setting is one line, not a stack trace."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "perfwatch_site.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        try:
            execute_from_command_line(sys.argv)
            if sys.stdout:  # else closed by the shell: >&-
                sys.stdout.flush()
        except ImproperlyConfigured as error:
            sys.exit(f"perfwatch: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells say it
    except BrokenPipeError:
        # Whoever read has seen enough. Python flushes once more at exit: that needs a place to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)  # 128 + SIGPIPE


if __name__ == "__main__":
    main()
