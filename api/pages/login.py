"""/review/login and /review/logout: a key for a session, and the end of it.

Belongs here: the form and what becomes of it. Does not: sessions themselves (api.pages.session).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api.answers import NO_NUL
from api.pages.html import PageRoute, moved, page
from api.pages.links import LOGIN, LOGOUT
from api.pages.session import (
    Form,
    Reviewer,
    check_form,
    end_session,
    opened,
    set_session,
    wanted_page,
)
from api.problems import Problem
from api.security import record_question
from api.services import Services, services_of

router = APIRouter(route_class=PageRoute, include_in_schema=False)
OfServices = Annotated[Services, Depends(services_of)]


@router.get(LOGIN)
def show_form(
    request: Request, next: Annotated[str | None, Query(pattern=NO_NUL)] = None
) -> Response:
    """The form."""
    return page(request, "login", caller=None, wanted=wanted_page(next), problem=None)


@router.post(LOGIN)
def log_in(request: Request, services: OfServices, form: Form) -> Response:
    """A session for whoever has a key that opens these pages, and on to the wanted page."""
    wanted = wanted_page(form.get("next"))
    try:
        caller = opened(services, form.get("key", ""))
    except Problem as problem:
        if problem.status not in (401, 403):
            raise
        return page(
            request, "login", caller=None, status=problem.status, wanted=wanted, problem=problem
        )
    record_question(services, caller, request)
    answer = moved(wanted)
    set_session(answer, request, services, caller)
    return answer


@router.post(LOGOUT)
def log_out(request: Request, services: OfServices, _: Reviewer, form: Form) -> Response:
    """Ends the session."""
    check_form(request, services, form)
    answer = moved(LOGIN)
    end_session(answer)
    return answer
