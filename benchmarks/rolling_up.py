"""What rolling up costs: all at once, and as time goes on."""

import time
from datetime import datetime, timedelta

from own_database import Place, roll_up

HEAD = "| | time | CPU, the database server's included |\n|---|---|---|"


def at_once(place: Place, now: datetime, what: str) -> None:
    """Roll up what is there; print what it took."""
    began, cpu = time.monotonic(), place.cpu()
    roll_up(now)
    seconds, cpu = time.monotonic() - began, place.cpu() - cpu
    print(f"| all roll-ups of {what} | {seconds:.0f} s | {cpu:.0f} s |", flush=True)


def upkeep(place: Place, now: datetime, minutes: int) -> None:
    """Print what it costs per minute, with a step each minute, over minutes that were done."""
    from metrics import rollup_state, rollups
    from metrics.tiers import TIERS

    state = rollup_state.load()
    start = now - timedelta(minutes=minutes)
    for tier in TIERS:  # as if it had stood still since then
        state.tiers[tier.seconds].until = int(start.timestamp()) // tier.seconds * tier.seconds
    rollup_state.save(state)
    steps = []
    cpu = place.cpu()
    for minute in range(minutes):
        more = True
        while more:
            one = time.monotonic()
            more = rollups.step(start + timedelta(minutes=minute))
            steps.append(time.monotonic() - one)
    cpu = (place.cpu() - cpu) / minutes
    steps.sort()
    half, most = (1000 * steps[len(steps) * share // 100] for share in (50, 99))
    print(f"| upkeep a minute | {1000 * sum(steps) / minutes:.1f} ms | {1000 * cpu:.1f} ms |")
    print(f"| its steps: half of them, 99 % | {half:.0f} ms, up to {most:.0f} ms | |", flush=True)
