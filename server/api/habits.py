"""What all operations of /api/v1 have in common, put around each by its declaration."""

from __future__ import annotations

from aiohttp import web

from server.api.operations import Operation, Respond
from server.problems import FieldError, WrongFields


class Habits:
    """Keeps the habits."""

    def around(self, operation: Operation, respond: Respond) -> Respond:
        """The operation as it is served."""

        async def serve(request: web.Request) -> web.StreamResponse:
            check_query(operation, request)
            return await respond(request)

        return serve


def check_query(operation: Operation, request: web.Request) -> None:
    """Raises WrongFields for parameters that the operation does not have: what is misspelt would be passed over."""
    known = operation.query.model_fields if operation.query is not None else {}
    taken = f"takes {', '.join(known)}" if known else "takes no parameters"
    unknown = [FieldError(name[:60], taken) for name in dict.fromkeys(request.query) if name not in known]
    if unknown:
        raise WrongFields(unknown)
