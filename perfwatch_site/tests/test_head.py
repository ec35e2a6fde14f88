"""HEAD is GET without the body, as a server sees it: Django's test client drops bodies itself."""

from wsgiref.util import setup_testing_defaults

import pytest
from django.core.handlers.wsgi import WSGIHandler


def ask(application, method, path):
    """The status, the headers and the body that the server would send."""
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    start = []
    answer = application(environ, lambda *given: start.extend(given))
    body = b"".join(answer)
    answer.close()
    return start[0], dict(start[1]), body


@pytest.mark.parametrize("path", ["/login/", "/healthz", "/no-such-page", "/static/some.css"])
def test_head_is_answered_like_get_without_a_body(path, db, settings, tmp_path):
    (tmp_path / "some.css").write_text("body {}")
    settings.STATIC_ROOT = tmp_path
    application = WSGIHandler()
    status, headers, body = ask(application, "GET", path)
    assert len(body) == int(headers["Content-Length"]) > 0
    head_status, head_headers, nothing = ask(application, "HEAD", path)
    assert (head_status, nothing) == (status, b"")
    assert head_headers["Content-Length"] == headers["Content-Length"]
