"""PerfWatch: watches a Linux host and remembers."""

__version__ = "0.1.0"
