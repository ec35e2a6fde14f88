"""How log lines look: one event, one line."""

import logging
import re
import time

# Line ends, and what moves a terminal's cursor: names and addresses come from strangers.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class OncePerMinute(logging.Filter):
    """Lets what a place in the code says pass once a minute: while a broker is away, say."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be logged."""
        place, now = (record.pathname, record.lineno), time.monotonic()
        if now - self._passed.get(place, -60.0) < 60:
            return False
        self._passed[place] = now
        return True


class LineFormatter(logging.Formatter):
    """Keeps each event on one line; an exception is named by type, message and place."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the event as one line."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        line = self.formatMessage(record)
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, trace = record.exc_info
            where = ""
            while trace is not None:
                code = trace.tb_frame.f_code
                where = f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}"
                trace = trace.tb_next
            line += f" [{kind.__name__}: {error} at {where}]"
        return CONTROL.sub(" ", line)
