"""The examples of docs/api.md are asked for, and answered as it says."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metrics import rollups
from metrics.forms import MOST_FIELDS, SeriesForm
from metrics.tests.builders import stored

TEXT = Path("docs/api.md").read_text()
BLOCKS = re.findall(r"```(json)?\n(.*?)```", TEXT, re.S)
ASKED = [
    (line.removeprefix("GET "), BLOCKS[number + 1][1] if BLOCKS[number + 1][0] else "")
    for number, (kind, block) in enumerate(BLOCKS)
    if not kind
    for line in block.splitlines()
]


def shape(value):
    """The keys and the kinds of values: numbers differ from host to host."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value if inner is not None][:1]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else value


@pytest.mark.django_db
@pytest.mark.parametrize(("address", "expected"), ASKED, ids=lambda text: text[:60])
def test_the_examples_are_answered_as_the_document_says(viewer_client, address, expected):
    now = datetime.now(UTC)
    for minutes in range(1, 90, 2):
        moment = now - timedelta(minutes=minutes)
        stored(moment, cpu__usage_percent=5.0, memory__total_bytes=8)
    while rollups.step(now):
        pass
    answer = viewer_client.get(address).json()
    if not expected:
        assert set(answer) == set(json.loads(ASKED[0][1]))
    elif "error" in expected:
        assert answer == json.loads(expected)
    else:
        wanted = json.loads(expected)
        if "resolution" in answer:
            answer["resolution"] = 60
        assert shape(answer) == shape(wanted)
        assert list(answer) == list(wanted)


def test_the_bounds_stand_in_the_document():
    assert f"at most {MOST_FIELDS}" in TEXT
    assert f"at most {SeriesForm.MOST_VALUES:,}" in TEXT
    assert f"1 to 2000 | {SeriesForm.POINTS} |" in TEXT
