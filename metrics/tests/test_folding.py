"""What many documents become when they are one."""

from datetime import timedelta

from metrics.folding import Fold, bucket_seconds
from metrics.tests.builders import NOW, document

START = int(NOW.timestamp())


def folded(*documents, seconds=3_600):
    fold = Fold(START, seconds)
    for one in documents:
        fold.add(one)
    return fold.document()


def every(seconds, **columns):
    """Documents at even distances; `cpu__usage_percent=[1, 2]` gives each its value."""
    rows = zip(*columns.values(), strict=True)
    return [
        document(
            NOW + timedelta(seconds=seconds * n), seconds, **dict(zip(columns, row, strict=True))
        )
        for n, row in enumerate(rows)
    ]


def told(data, mirror, section, name):
    return data["downsampled"][mirror].get(section, {}).get(name)


def test_gauges_and_rates_are_means_with_their_number_lowest_and_highest():
    data = folded(*every(5, cpu__usage_percent=[10.0, 40.0, None], cpu__forks_per_sec=[1, 2, 6]))
    assert data["cpu"]["usage_percent"] == 25
    assert [told(data, m, "cpu", "usage_percent") for m in ("n", "min", "max")] == [2, 10, 40]
    assert data["cpu"]["forks_per_sec"] == 3
    assert told(data, "n", "cpu", "forks_per_sec") == 3


def test_counters_and_capacities_are_the_last_and_have_no_mirrors():
    data = folded(*every(5, network__bytes_sent=[5, 9, 2], memory__total_bytes=[8, 16, None]))
    assert (data["network"]["bytes_sent"], data["memory"]["total_bytes"]) == (2, 16)
    assert told(data, "n", "network", "bytes_sent") is None


def test_counts_per_sample_are_means_and_ratios_come_from_sums():
    data = folded(
        *every(
            5,
            perf_events__cycles=[100, 300],
            perf_events__instructions=[50, 450],
            perf_events__ipc=[0.5, 1.5],
        )
    )
    assert data["perf_events"]["cycles"] == 200
    assert data["perf_events"]["ipc"] == 1.25
    assert told(data, "min", "perf_events", "ipc") == 0.5
    assert told(data, "max", "perf_events", "cycles") == 300
    assert "num" not in data["downsampled"] and "den" not in data["downsampled"]


def test_the_sums_of_a_ratio_are_kept_where_its_inputs_were_not_in_the_same_samples():
    data = folded(
        *every(
            5,
            perf_events__cycles=[100, 300],
            perf_events__instructions=[50, None],
            perf_events__ipc=[0.5, None],
        )
    )
    assert data["perf_events"]["ipc"] == 0.5
    assert data["downsampled"]["num"] == {"perf_events": {"ipc": 50}}
    assert data["downsampled"]["den"] == {"perf_events": {"ipc": 100}}


def test_a_ratio_that_nobody_could_say_is_none():
    data = folded(*every(5, perf_events__cycles=[0, 0], perf_events__instructions=[1, 1]))
    assert data["perf_events"]["ipc"] is None


def test_the_document_keeps_its_shape_and_says_what_it_stands_for():
    plain = document(NOW, 5)
    data = folded(*every(5, cpu__usage_percent=[1, 2, 3]))
    assert data.keys() == plain.keys() | {"downsampled"}
    assert data["timestamp"] == "2026-03-01T12:00:00.000Z"
    assert data["sampler"] == {"id": None, "interval_seconds": 5}
    said = data["downsampled"]
    assert (said["samples"], said["bucket_seconds"]) == (3, 3_600)
    assert said.keys() == {"samples", "bucket_seconds", "n", "min", "max"}


def test_cores_and_devices_come_and_go():
    first = document(NOW, cpu__per_core=[1, 3], network__interfaces={"a.b": {"is_up": True}})
    first["network"]["interfaces"]["a.b"]["bytes_sent_per_sec"] = 4
    second = document(NOW, cpu__per_core=[3, None, 9], network__interfaces={})
    data = folded(first, second)
    assert data["cpu"]["per_core"] == [2, 3, 9]
    assert data["downsampled"]["n"]["cpu"]["per_core"] == [2, 1, 1]
    assert data["network"]["interfaces"] == {"a.b": {"bytes_sent_per_sec": 4}}
    assert data["downsampled"]["max"]["network"]["interfaces"]["a.b"] == {"bytes_sent_per_sec": 4}


def test_text_and_flags_are_the_last():
    data = folded(*every(5, host__boot_id=["old", "new"], perf_events__reason=["", "because"]))
    assert data["host"]["boot_id"] == "new"
    assert data["perf_events"]["reason"] == "because"


def test_the_processes_are_those_of_the_busiest_look():
    def look(name, percent):
        process = {"1": {"pid": 1, "name": name, "cpu_percent": percent}}
        return {"top_cpu": process, "top_memory": {}}

    nothing = {"top_cpu": {}, "top_memory": {}}
    looks = [look("a", 3.0), look("b", 90.0), look("c", None), nothing]
    data = folded(*(document(NOW) | {"processes": one} for one in looks))
    assert data["processes"] == look("b", 90.0)
    assert folded(document(NOW) | {"processes": nothing})["processes"] == nothing


def test_the_interval_is_the_mean_one_and_counts_are_weighed_by_it():
    one = document(NOW, 5, perf_events__cycles=50)
    other = document(NOW, 15, perf_events__cycles=30)
    data = folded(one, other)
    assert data["sampler"]["interval_seconds"] == 10
    assert data["perf_events"]["cycles"] == 40
    # 10 per second for 5 s, 2 per second for 15 s: as if each had been 10 s long.
    assert told(data, "min", "perf_events", "cycles") == 20
    assert told(data, "max", "perf_events", "cycles") == 100


def test_a_sample_that_stands_for_more_than_the_bucket_says_so():
    assert bucket_seconds(folded(document(NOW, 900), seconds=60)) == 900
    assert bucket_seconds(document(NOW)) == 0


def test_what_is_no_document_of_ours_counts_and_says_nothing():
    data = folded([1, 2], "text", {"downsampled": "?", "sampler": 3, "cpu": None, "mine": 7})
    assert (data["mine"], data["downsampled"]["samples"]) == (7, 3)


def test_documents_may_be_folded_in_portions_and_in_stages():
    documents = every(
        5,
        cpu__usage_percent=[1.5, None, 4.0, 9.0],
        perf_events__cycles=[100, 300, None, 10],
        perf_events__instructions=[50, None, 7, 30],
        perf_events__ipc=[0.5, None, None, 3],
        network__bytes_sent=[1, 2, 3, None],
    )
    whole = folded(*(dict(one) for one in every_again(documents)))
    first, second, third, fourth = every_again(documents)
    assert folded(folded(first, second), third, fourth) == whole
    first, second, third, fourth = every_again(documents)
    minutes = [folded(first, second, seconds=60), folded(third, fourth, seconds=60)]
    assert folded(*minutes) == whole


def every_again(documents):
    """Copies: a fold keeps and changes what is added."""
    import copy

    return copy.deepcopy(documents)
