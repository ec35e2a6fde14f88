"""Answers to HEAD."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

Response = HttpResponse | StreamingHttpResponse


def no_body_for_head(get_response: Callable[[HttpRequest], Response]) -> Callable[..., Response]:
    """Drop what a view renders for HEAD: gunicorn would, too, but with a warning for each."""

    def middleware(request: HttpRequest) -> Response:
        response = get_response(request)
        if request.method == "HEAD":
            if isinstance(response, StreamingHttpResponse):
                response.streaming_content = ()
            else:
                response.content = b""
        return response

    return middleware
