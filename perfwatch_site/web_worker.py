"""gunicorn's settings, and its worker with threads, which gives up clients that are too slow.

A thread that reads from a client waits for it: eight clients that begin a request and go on with
nothing would hold all threads for ever.

While nobody asks anything, all of gunicorn's processes sleep for seconds: waking up each second
took a sixth of what PerfWatch takes in all.
"""

import socket
import struct
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

ASKING_SECONDS = 5.0
"""So long may a client take to say what it wants."""

STALLED_SECONDS = 30
"""So long may a client send nothing of a form, or take nothing of an answer."""

IDLE_SECONDS = 5.0
"""So long do processes sleep while there is no connection; a signal or a request wakes them."""


def on_starting(server: Any) -> None:
    """Have gunicorn's master, which looks after hanging workers, do so less often."""
    wait = server.wait_for_signals
    server.wait_for_signals = lambda timeout: wait(timeout=max(timeout, IDLE_SECONDS))


class Worker(ThreadWorker):  # type: ignore[misc]
    """Looks once a second which clients have been asking for too long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asking: dict[Any, float] = {}

    def handle(self, conn: Any) -> Any:
        """Read a request and answer it, in a thread of its own."""
        self._asking[conn] = time.monotonic()
        limit = struct.pack("ll", STALLED_SECONDS, 0)
        with suppress(OSError):
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        try:
            return super().handle(conn)
        finally:
            self._asking.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request, which has been read by now."""
        self._asking.pop(conn, None)
        return super().handle_request(req, conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Go on with gunicorn's loop, which comes by once a second while somebody is connected."""
        super().wait_for_and_dispatch_events(timeout if self.nr_conns else IDLE_SECONDS)
        now = time.monotonic()
        for conn, since in list(self._asking.items()):
            if now - since > ASKING_SECONDS:
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)  # the thread reads the end of the request
