"""gunicorn's settings, and its worker with threads, which gives up clients that are too slow.

A thread that reads from a client waits for it: eight clients that begin a request and go on with
nothing, or with a byte now and then, would hold all threads for ever.

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
"""So long may a client take nothing of an answer."""

FORM_SECONDS = 15.0
LEAST_BYTES = 15_000
"""So much of a form must come in that time, else the rest is waited for no longer."""

LEAVE_SECONDS = 1.0
"""So long is waited for a client to close; one that still sends would miss the answer's end."""

RECEIVED = 128
"""Where `tcpi_bytes_received` is in the answer to TCP_INFO (linux/tcp.h)."""

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
        self._sending: dict[Any, list[float]] = {}

    def handle(self, conn: Any) -> Any:
        """Read a request and answer it, in a thread of its own."""
        self._asking[conn] = time.monotonic()
        limit = struct.pack("ll", STALLED_SECONDS, 0)
        with suppress(OSError):
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        try:
            is_kept = super().handle(conn)
        finally:
            self._asking.pop(conn, None)
        if not is_kept:
            take_leave(conn.sock)
        return is_kept

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request, of which the headers have been read by now."""
        self._asking.pop(conn, None)
        self._sending[conn] = [time.monotonic(), received(conn.sock)]
        try:
            return super().handle_request(req, conn)
        finally:
            self._sending.pop(conn, None)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Go on with gunicorn's loop, which comes by once a second while somebody is connected."""
        super().wait_for_and_dispatch_events(timeout if self.nr_conns else IDLE_SECONDS)
        now = time.monotonic()
        for conn, since in list(self._asking.items()):
            if now - since > ASKING_SECONDS:
                listen_no_more(conn.sock)
        for conn, window in list(self._sending.items()):
            since, before = window
            if now - since > FORM_SECONDS:
                window[:] = now, received(conn.sock)
                if window[1] - before < LEAST_BYTES:
                    listen_no_more(conn.sock)  # whose form is complete is answered all the same


def received(client: socket.socket) -> int:
    """Return how many bytes have come from a client, 0 where that is not known any more."""
    try:
        state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, RECEIVED + 8)
        return int(struct.unpack_from("Q", state, RECEIVED)[0])
    except (OSError, struct.error):
        return 0


def take_leave(client: socket.socket) -> None:
    """Wait for a client to close, which has got its answer.

    gunicorn would do so in the one loop of the process, 2 s for each that does not: after fifteen
    of them the process is taken for dead. It finds nothing more to wait for.
    """
    deadline = time.monotonic() + LEAVE_SECONDS
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            client.settimeout(left)
            if not client.recv(65_536):
                break
    listen_no_more(client)


def listen_no_more(client: socket.socket) -> None:
    """Have the thread that reads from a client read the end."""
    with suppress(OSError):
        client.shutdown(socket.SHUT_RD)
