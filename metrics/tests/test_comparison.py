import math
import random

import pytest

from metrics.comparison import changes, score
from metrics.history import History, Line
from metrics.series import declared, statistics

POINTS = 288


def noisy(chance, mean=50.0, noise=5.0):
    return [max(0.0, chance.gauss(mean, noise)) for _ in range(POINTS)]


def slow(chance, mean=50.0, noise=2.0):
    values, value = [], mean
    for _ in range(POINTS):
        value += chance.gauss(0, noise) + (mean - value) * 0.05
        values.append(value)
    return values


def rare(chance):
    return [chance.random() * 5 if chance.random() < 0.05 else 0.0 for _ in range(POINTS)]


def daily(chance, mean=30.0):
    rhythm = [1 + math.sin(2 * math.pi * n / POINTS) / 2 for n in range(POINTS)]
    return [mean * part + chance.gauss(0, mean / 10) for part in rhythm]


def constant(chance):
    return [7.0] * POINTS


KINDS = (noisy, slow, rare, daily, constant)


def history(**series):
    lines = [
        Line(
            name,
            declared("cpu.usage_percent"),
            means,
            means,
            means,
            statistics(means, [], [], None),
        )
        for name, means in series.items()
    ]
    return History(0, 300, POINTS, 60, 5, 1.0, 1, True, lines)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("different", [noisy, daily, constant])
def test_of_two_hundred_series_the_one_that_differs_comes_first(seed, different):
    chance = random.Random(seed)
    now, then = {}, {}
    for number in range(199):
        kind = KINDS[number % len(KINDS)]
        now[f"s{number}"], then[f"s{number}"] = kind(chance), kind(chance)
    now["it"], then["it"] = [1.5 * value for value in different(chance)], different(chance)
    assert changes(history(**now), history(**then))[0].line.name == "it"


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", [noisy, daily])
def test_what_happened_for_an_hour_of_a_day_comes_first_too(seed, kind):
    chance = random.Random(seed)
    now = {f"s{n}": KINDS[n % len(KINDS)](chance) for n in range(199)}
    then = {f"s{n}": KINDS[n % len(KINDS)](chance) for n in range(199)}
    now["it"], then["it"] = kind(chance), kind(chance)
    now["it"][100:112] = [3 * value for value in now["it"][100:112]]
    assert changes(history(**now), history(**then))[0].line.name == "it"


def test_the_rhythm_that_both_stretches_share_is_no_change():
    chance = random.Random(1)
    assert score(daily(chance), daily(chance)) < 4


def test_one_point_alone_is_no_change():
    chance = random.Random(1)
    values = noisy(chance)
    values[7] = 1e9
    assert score(values, noisy(chance)) < 6


def test_a_few_events_where_there_were_none_are_not_remarkable():
    events = [0.0] * POINTS
    for at in (20, 100, 101, 250):
        events[at] = 1.0
    assert score(events, [0.0] * POINTS) < 6


def test_what_begins_is_remarkable():
    assert score(noisy(random.Random(1)), [0.0] * POINTS) > 20


def test_equal_series_did_not_change_and_a_tiny_step_of_a_constant_hardly():
    assert score([7.0] * 10, [7.0] * 10) == 0
    assert score([0.0] * 10, [0.0] * 10) == 0
    assert 0 < score([7.01] * 10, [7.0] * 10) < 1


def test_gaps_are_left_out():
    assert score([None, 2.0, 3.0], [5.0, 2.0, None]) == 0
    assert score([None, 2.0], [5.0, None]) is None
    assert score([], []) is None


def test_both_means_the_difference_and_its_share_are_told():
    (change,) = changes(history(a=[3.0] * POINTS), history(a=[2.0] * POINTS))
    assert change.mean == (3.0, 2.0)
    assert change.maximum == (3.0, 2.0)
    assert (change.difference, change.percent) == (1.0, 50.0)


def test_a_series_of_one_stretch_only_comes_last_without_a_score():
    now = history(gone=[None] * POINTS, same=[1.0] * POINTS)
    then = history(gone=[2.0] * POINTS, same=[1.0] * POINTS)
    last = changes(now, then)[-1]
    assert (last.line.name, last.score, last.difference, last.percent) == ("gone", None, None, None)


def test_what_was_nothing_has_no_share():
    (change,) = changes(history(a=[3.0] * POINTS), history(a=[0.0] * POINTS))
    assert change.percent is None
