"""Celery's broker when no Redis is configured: queues inside the sampler process.

kombu's in-memory transport looks for messages every so often; that is either late or busy. This
one sleeps until a message is put, so a tick is worked on at once and waiting costs nothing.
"""

import threading
import time
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, memory

NAME = "inprocess"


class Channel(memory.Channel):  # type: ignore[misc]
    """A channel that rings when a message is put."""

    arrived = threading.Event()

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        super()._put(queue, message, **kwargs)
        self.arrived.set()


class Transport(memory.Transport):  # type: ignore[misc]
    """An in-memory transport whose consumer is woken instead of polling."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver one message, waiting for it up to `timeout` seconds.

        Raises TimeoutError when none came.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            Channel.arrived.clear()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
            except Empty:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError from None
                Channel.arrived.wait(left)
            else:
                return


TRANSPORT_ALIASES[NAME] = f"{__name__}:Transport"
