"""Our own JSON Lines: what is read, and how what is bad is named."""

import gzip
import json

import pytest

from metrics.importing import files
from metrics.importing.base import MOST_RECORD, BadInput, Ready
from metrics.importing.snapshots import SnapshotFile
from metrics.tests.archives import LATER
from metrics.tests.builders import NOW, document


def line(data=None, **parts):
    data = document(cpu__usage_percent=5.5, host__name="web1") if data is None else data
    whole = {"timestamp": NOW.isoformat(), "metric_type": "aggregated", "metric_data": data}
    return json.dumps(whole | parts)


def items(tmp_path, *lines, pack=lambda content: content):
    path = tmp_path / "file.jsonl"
    content = "\n".join(lines)
    path.write_bytes(pack(content.encode() if isinstance(content, str) else content))
    return list(SnapshotFile(str(path), path.stat().st_size, LATER).items())


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_become_rows_that_say_their_source(tmp_path, pack):
    [row] = items(tmp_path, line(), "", pack=pack)
    assert row.timestamp == NOW
    assert row.document["cpu"]["usage_percent"] == 5.5
    assert row.document["sampler"]["source"] == "snapshots:web1"


def test_what_was_imported_elsewhere_keeps_its_source(tmp_path):
    data = document()
    data["sampler"]["source"] = "demo"
    [row] = items(tmp_path, line(data))
    assert row.document["sampler"]["source"] == "demo"


def with_value(path, value):
    data = document()
    *parents, leaf = path.split(".")
    target = data
    for name in parents:
        target = target.setdefault(name, {})
    target[leaf] = value
    return line(data)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[1]", "line 2: an object is expected"),
        ("{", "line 2: no JSON"),
        ("{" * 200_000, "line 2: "),
        ('{"a":' * 50_000, "line 2: it is nested too deeply"),
        ("1" * 5_000, "line 2: a number in it is too long"),
        (line(metric_type="mine"), "line 2, metric_type: 'mine' is not 'aggregated'"),
        (line(timestamp="yesterday"), "line 2, timestamp: 'yesterday' is no time"),
        (line(timestamp=None), "line 2, timestamp: None is no time"),
        (line(timestamp="2099-01-01T00:00:00Z"), "in the future"),
        (line([]), "line 2, metric_data: a document is expected"),
        (with_value("cpu.usage_percent", "5"), "metric_data.cpu.usage_percent: a number"),
        (with_value("cpu.usage_percent", {}), "metric_data.cpu.usage_percent: a number"),
        (with_value("cpu.usage_percent", float("nan")), "metric_data.cpu.usage_percent: the"),
        (with_value("cpu.usage_percent", 1e60), "metric_data.cpu.usage_percent: the number is"),
        (with_value("other.deep.number", 10**400), "metric_data.other.deep.number: the number"),
        (with_value("cpu.per_core", [1, "2"]), "metric_data.cpu.per_core.1: a number"),
        (with_value("disk.devices.s\0a.read_iops", 1), "metric_data.disk.devices: a name"),
        (with_value("host.name", "a\0b"), "metric_data.host.name: a character"),
        (with_value("host.name", "\ud800"), "metric_data.host.name: a character"),
        (with_value("sampler.interval_seconds", 0), "sampler.interval_seconds: 0 is no number"),
        (with_value("sampler", 1), "metric_data.sampler: an object"),
        (with_value("sampler.source", "x" * 201), "metric_data.sampler.source: a text"),
        (with_value("downsampled", {"samples": 1}), "metric_data.downsampled.bucket_seconds: a"),
        (with_value("a.b.c.d.e.f.g.h.i.j.k.l.m", 1), "metric_data: more than 12 levels deep"),
    ],
)
def test_what_is_bad_is_named_and_the_next_line_is_read(tmp_path, text, place):
    before, bad, after = items(tmp_path, line(), text, line())
    assert isinstance(before, Ready)
    assert isinstance(after, Ready)
    assert place in str(bad)
    assert str(bad).startswith(str(tmp_path))
    assert "\n" not in str(bad)


def test_a_file_that_is_cut_off_gives_what_is_whole(tmp_path):
    row, bad = items(tmp_path, line(), line()[:500])
    assert isinstance(row, Ready)
    assert "line 2: the file ends in the middle" in str(bad)


def test_a_compressed_file_that_is_cut_off_gives_what_is_whole(tmp_path):
    *rows, bad = items(
        tmp_path, *[line() for _ in range(50)], pack=lambda c: gzip.compress(c)[:-2_000]
    )
    assert 0 < len(rows) < 50
    assert "the compressed file is cut off" in str(bad)


def test_a_damaged_compressed_file_is_said(tmp_path):
    def damage(content):
        packed = bytearray(gzip.compress(content))
        packed[40:60] = bytes(20)
        return bytes(packed)

    [*_, bad] = items(tmp_path, *[line() for _ in range(50)], pack=damage)
    assert isinstance(bad, BadInput)
    assert "damaged" in str(bad)


def test_a_bomb_of_one_line_ends_with_a_sentence(tmp_path):
    [bad] = items(tmp_path, "0" * (MOST_RECORD + 1), pack=gzip.compress)
    assert "longer than 16 MiB" in str(bad)
    assert bad.is_end


def test_a_bomb_of_lines_ends_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LEAST_BYTES", 1_000_000)
    [bad] = items(tmp_path, f"{' ' * 999}\n" * 20_000, pack=gzip.compress)
    assert "300 times its size" in str(bad)


def test_a_missing_file_is_said(tmp_path):
    [bad] = SnapshotFile(str(tmp_path / "no.jsonl"), 1, LATER).items()
    assert "No such file" in str(bad)
