"""What strangers send in the shape of a file goes nowhere."""

from io import BytesIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory

MANY = 20_000_000


class Counted(BytesIO):
    """A body that knows how much of it was read."""

    def __init__(self, body):
        super().__init__(body)
        self.taken = 0

    def read(self, size=-1):
        data = super().read(size)
        self.taken += len(data)
        return data


def test_the_rest_of_a_form_is_not_read_where_a_file_begins():
    request = RequestFactory().post(
        "/login/", {"username": "x", "file": SimpleUploadedFile("f", bytes(MANY))}
    )
    body = request.environ["wsgi.input"] = request._stream = Counted(request.read())
    request._read_started = False
    assert request.POST["username"] == "x"
    assert not request.FILES
    assert 0 < body.taken < MANY / 10


@pytest.mark.parametrize("path", ["/login/", "/settings/", "/settings/import/"])
def test_a_strangers_file_is_refused_and_leaves_nothing(db, settings, tmp_path, path):
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "gone")  # nothing can be stored there
    client = Client(enforce_csrf_checks=True)
    client.get("/login/")
    answer = client.post(path, {"file": SimpleUploadedFile("f", bytes(MANY))})
    assert answer.status_code in {302, 403}
