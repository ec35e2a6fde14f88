from metrics.ticks import Ticker


class Clocks:
    """A monotonic and a wall clock that only move when told to."""

    def __init__(self, wall=1000.3):
        self.now, self.wall_now = 50.0, wall

    def pass_by(self, seconds):
        self.now += seconds
        self.wall_now += seconds

    def ticker(self, interval):
        return Ticker(interval, lambda: self.now, lambda: self.wall_now)


def run(clocks, ticker, seconds, step=0.01):
    """Wake whenever the ticker wants to, for so many seconds; return the due times."""
    dues, end = [], clocks.now + seconds
    while (nap := max(ticker.wait(), step)) <= end - clocks.now:
        clocks.pass_by(nap)
        if tick := ticker.due():
            dues.append(tick.due)
    return dues


def test_ticks_are_multiples_of_the_interval_on_the_wall_clock():
    clocks = Clocks(wall=1001.3)
    assert run(clocks, clocks.ticker(5), 20) == [1005, 1010, 1015, 1020]


def test_nothing_is_due_before_its_time():
    clocks = Clocks()
    ticker = clocks.ticker(5)
    clocks.pass_by(ticker.wait() - 0.001)
    assert ticker.due() is None


def test_a_tick_is_due_once():
    clocks = Clocks()
    ticker = clocks.ticker(1)
    clocks.pass_by(ticker.wait())
    assert ticker.due()
    assert ticker.due() is None


def test_waking_late_every_time_does_not_make_ticks_drift():
    clocks = Clocks(wall=1000.0)
    ticker = clocks.ticker(1)
    dues = []
    for _ in range(300):
        clocks.pass_by(ticker.wait() + 0.2)
        dues.append(ticker.due().due)
    assert dues == [1001 + number for number in range(300)]


def test_ticks_that_were_slept_through_are_left_out():
    clocks = Clocks(wall=1000.0)
    ticker = clocks.ticker(1)
    clocks.pass_by(61.5)
    assert ticker.due().due == 1061
    assert ticker.due() is None
    assert ticker.wait() == 0.5


def test_a_new_interval_is_aligned_at_once():
    clocks = Clocks(wall=1000.3)
    ticker = clocks.ticker(3600)
    ticker.change(5)
    assert run(clocks, ticker, 10) == [1005, 1010]


def test_a_new_interval_does_not_double_the_last_sample():
    clocks = Clocks(wall=1000.0)
    ticker = clocks.ticker(5)
    clocks.pass_by(5)
    ticker.due()
    clocks.pass_by(0.8)  # 1005.8: the next multiple of 2 is 0.2 s away, 1 s after the last sample
    ticker.change(2)
    assert run(clocks, ticker, 5) == [1006, 1008, 1010]
    ticker.change(60)
    assert ticker.wait() > 30


def test_after_the_clock_is_set_back_ticks_go_on_evenly():
    clocks = Clocks(wall=10_000.0)
    ticker = clocks.ticker(5)
    run(clocks, ticker, 15)
    last = clocks.now
    clocks.wall_now -= 3600 + 1.7
    first = clocks.now + ticker.wait()
    assert 2.5 <= first - last <= 7.5
    assert all(due % 5 == 0 for due in run(clocks, ticker, 20))


def test_after_the_clock_is_set_forward_no_tick_comes_in_a_burst():
    clocks = Clocks(wall=10_000.0)
    ticker = clocks.ticker(5)
    run(clocks, ticker, 15)
    clocks.wall_now += 3600
    dues = run(clocks, ticker, 20)
    assert len(dues) in {3, 4}
    assert dues[0] > 13_600


def test_a_slowly_drifting_clock_is_followed():
    clocks = Clocks(wall=1000.0)
    ticker = clocks.ticker(1)
    for _ in range(2000):
        clocks.pass_by(ticker.wait())
        clocks.wall_now += 0.001
        tick = ticker.due()
        assert tick is None or abs(clocks.wall_now - tick.due) < 1.0
