"""Addresses as the API will have them, for the tests of who may ask."""

from django.http import HttpRequest, JsonResponse
from django.urls import include, path


def who(request: HttpRequest) -> JsonResponse:
    """Answer with the name of the person whose request it is."""
    return JsonResponse({"user": request.user.username})


urlpatterns = [
    path("api/who/", who),
    path("other/who/", who),
    path("", include("perfwatch_site.urls")),
]
