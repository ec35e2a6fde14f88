"""Parameters of addresses: a page refuses those that it does not know."""

from collections.abc import Container

from django.core.exceptions import BadRequest
from django.http import QueryDict


def refuse_others(
    query: QueryDict, known: Container[str] = (), repeated: Container[str] = ()
) -> None:
    """Raise BadRequest for a parameter that is unknown, or given twice and not `repeated`."""
    for name, values in query.lists():
        if name not in known:
            raise BadRequest(f"There is no parameter {name[:40]!r}.")
        if len(values) > 1 and name not in repeated:
            raise BadRequest(f"The parameter {name} is wrong: It is given more than once.")
