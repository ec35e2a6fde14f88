"""kombu's transport to Redis, without a timer that woke each worker every second."""

from typing import Any

from kombu.transport import redis


class Transport(redis.Transport):  # type: ignore[misc]
    """A transport for queues that never expire."""

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Watch the connection, but do not look after queues that expire."""
        super().register_with_event_loop(connection, loop)
        self.cycle._binding_expiry_tref.cancel()
