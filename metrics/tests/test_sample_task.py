from metrics import tasks
from metrics.tests.builders import snapshot


def test_the_features_of_the_message_reach_the_sampler(monkeypatch):
    given, stored = [], []

    class FakeSampler:
        def sample(self, **options):
            given.append(options)
            return snapshot()

    class FakeStore:
        put = staticmethod(stored.append)

    monkeypatch.setattr(tasks, "sampler", FakeSampler)
    monkeypatch.setattr(tasks, "store", FakeStore)
    tasks.sample(due=7.0, interval=5, features={"perf_events_enabled": False}, later="ignored")
    tasks.sample(due=12.0, interval=5)
    off = {"perf_events_enabled": False}
    assert given == [
        {"due": 7.0, "interval": 5, "features": off},
        {"due": 12.0, "interval": 5, "features": None},
    ]
    assert len(stored) == 2
