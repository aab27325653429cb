"""The API for programs: how it answers, and what all of its parts share."""

import json
from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import SuspiciousOperation
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from ninja import NinjaAPI, Path, Router, Schema, Status
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.pagination import LimitOffsetPagination
from ninja.parser import Parser
from pydantic import Field

from medstack import access
from medstack.bearer import Bearer
from medstack.failures import Failure
from medstack.models import Operation

VERSION = "1.0.0"
# What the databases take for a number of a row, or of rows to leave out.
LARGEST = 2**63 - 1
Pk = Annotated[int, Path(ge=1, le=LARGEST)]
Accepted = Status[Operation]


class Strict(Parser):
    """Read JSON; refuse what no database and no file can hold."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Return what was sent; half a character is an error here, not somewhere later."""
        found: dict[str, Any] = json.loads(request.body)
        json.dumps(found, ensure_ascii=False).encode()
        return found


class Pages(LimitOffsetPagination):
    """So many rows of a list from so many on."""

    class Input(Schema):
        limit: int = Field(100, ge=1, le=1000)
        offset: int = Field(0, ge=0, le=LARGEST - 1000)


# Pages come from the console; the description of the API is a file, for programs.
api = NinjaAPI(
    title="MedStack Control",
    version=VERSION,
    description="Everything is asked for with a token of yours: Authorization: Bearer mst_…",
    auth=Bearer(),
    docs_url=None,
    docs_decorator=require_safe,
    urls_namespace="api",
    parser=Strict(),
)


class Problem(Schema):
    """Why something is refused; `fields` names what was wrong with each field."""

    error: str
    fields: dict[str, list[str]] = {}


class OperationOut(Schema):
    """A piece of work that was asked for: follow it to its end."""

    id: int
    title: str
    target_name: str
    state: str
    percentage: int
    steps: list[str]
    step: int
    detail: str
    error: str
    requested_at: datetime
    ended_at: datetime | None


class Invalid(Exception):
    """What was sent is not what a form takes."""

    def __init__(self, form: Form) -> None:
        super().__init__("Please correct what is named.")
        # What concerns no field in particular has no name of its own.
        self.fields = {
            "" if name == "__all__" else name: [str(line) for line in lines]
            for name, lines in form.errors.items()
        }


REFUSALS: dict[int, Any] = dict.fromkeys((400, 401, 403, 404, 409, 422, 429), Problem)


def answers(status: int, schema: Any) -> dict[int, Any]:
    """Return what an endpoint may answer, the refusals included."""
    return {status: schema, **REFUSALS}


def told() -> dict[int, Any]:
    """Return the refusals of an endpoint that answers with a file."""
    return dict(REFUSALS)


def may_change(request: HttpRequest) -> None:
    """Refuse a token that may only read."""
    token = access.token_of(request)
    if token is None or token.role not in access.OPERATE:
        raise HttpError(403, "This token may only read.")


def checked(form: Form) -> dict[str, Any]:
    """Return what a form makes of its data; raise Invalid with the reasons at its fields."""
    if not form.is_valid():
        raise Invalid(form)
    return form.cleaned_data


def as_sent(**fields: object) -> HttpRequest:
    """Return a request as a browser would send it, for a form that reads one."""
    request = HttpRequest()
    request.method = "POST"
    data = QueryDict(mutable=True)
    data.update({name: str(value) for name, value in fields.items()})
    request.POST = data  # type: ignore[assignment]
    return request


def problem(request: HttpRequest, status: int, error: str, **more: object) -> HttpResponse:
    """Answer that something is refused."""
    answer = api.create_response(request, {"error": error, "fields": {}, **more}, status=status)
    if status == 429:
        answer.headers["Retry-After"] = "60"
    return answer


@api.exception_handler(Http404)
def absent(request: HttpRequest, error: Http404) -> HttpResponse:
    """Say the same of what is not there and of what belongs to somebody else."""
    return problem(request, 404, "There is no such thing, or it is not yours.")


@api.exception_handler(Failure)
def failed(request: HttpRequest, error: Failure) -> HttpResponse:
    """Say why an action refuses."""
    return problem(request, 409, str(error))


@api.exception_handler(Invalid)
def invalid(request: HttpRequest, error: Invalid) -> HttpResponse:
    """Say which field is wrong, and why."""
    return problem(request, 422, str(error), fields=error.fields)


@api.exception_handler(ValidationError)
def malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Say what has the wrong type."""
    fields: dict[str, list[str]] = {}
    for one in error.errors:
        fields.setdefault(".".join(map(str, one["loc"][1:])), []).append(str(one["msg"]))
    return problem(request, 422, "Please correct what is named.", fields=fields)


@api.exception_handler(SuspiciousOperation)
def suspicious(request: HttpRequest, error: SuspiciousOperation) -> HttpResponse:
    """Say that a request is not read, such as one of many megabytes."""
    return problem(request, 400, "This is not read: it is too large, or not what programs send.")


@api.exception_handler(AuthenticationError)
def unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    """Say that a token is needed."""
    answer = problem(request, 401, "A valid token is needed: Authorization: Bearer mst_…")
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


@api.exception_handler(HttpError)
def refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Say why in the same form as everything else."""
    return problem(request, error.status_code, str(error))


router = Router(tags=["Operations"])


@router.get("/operations/{pk}", response=answers(200, OperationOut))
def operation(request: HttpRequest, pk: Pk) -> Operation:
    """Show how far an operation is, and how it ended."""
    return get_object_or_404(access.operations_for(request), pk=pk)


@csrf_exempt
def unknown_address(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Answer a program in its own language where there is nothing."""
    return problem(request, 404, "There is no such address; see openapi.json.")
