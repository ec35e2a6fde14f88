"""What addresses may ask for: query parameters, validated."""

from typing import Any

from django import forms
from django.core.exceptions import BadRequest
from django.http import QueryDict

BIGGEST_ID = 2**63 - 1


class CursorForm(forms.Form):
    """The cursor of a live poll: the id of the newest row that the page has."""

    after = forms.IntegerField(min_value=0, max_value=BIGGEST_ID)


def validated(form: type[forms.Form], query: QueryDict) -> dict[str, Any]:
    """Return the cleaned parameters; raise BadRequest with a sentence that names the wrong one."""
    bound = form(query)
    if bound.is_valid():
        return bound.cleaned_data
    name, errors = next(iter(bound.errors.items()))
    raise BadRequest(f"The parameter {name} is wrong: {errors[0]}")
