"""How log lines look: one event, one line."""

import logging


class LineFormatter(logging.Formatter):
    """Keeps each event on one line; an exception is named by type and message.

    The stack is kept only where the level is CRITICAL or the logger is at DEBUG.
    """

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
        return line.replace("\n", " ")
