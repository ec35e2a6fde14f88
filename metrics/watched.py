"""Which host is watched: this one, or the one whose roots are mounted elsewhere."""

from django.conf import settings

from metrics.kernel.host import Host, identity


def watched_host() -> Host:
    """Return the roots that the settings name."""
    return Host(settings.PERFWATCH_PROCFS, settings.PERFWATCH_SYSFS, settings.PERFWATCH_ROOTFS)


def host_key() -> str:
    """Return what tells this host from others: its id, or its name where it has none."""
    who = identity(watched_host())
    return who.id or who.name or "unknown"
