"""All that is looked at, in the order in which people read it."""

from collections.abc import Iterator

from metrics.doctor import broker, configuration, counters, database, host
from metrics.doctor.base import Finding, Level


def findings() -> Iterator[Finding]:
    """Look at everything, one by one."""
    yield from host.look()
    features = database.features()
    yield from host.look_at_collectors(features)
    yield from counters.look(features)
    has_database = False
    for found in database.look():
        yield found
        has_database |= (found.name, found.level) == ("migrations", Level.OK)
    yield from broker.look()
    yield host.look_at_disk_space()
    if has_database:
        yield from configuration.look()
        yield from configuration.look_at_newest_sample()
