"""Pages as HTML: templates that escape everything, and headers that let nothing else in.

Belongs here: rendering, the headers of every page, how an error is shown. Does not: what a page
says (its module beside this one, and templates/).

A page runs no script, loads nothing, sends forms to this server alone, and is in nobody's frame:
its content security policy says so, and names its style by hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from api.pages import links
from api.pages.session import FORM_TOKEN, SIGN, LoginNeeded, form_token
from api.problems import Problem, problem_of, problem_of_parameters
from api.security import Caller
from api.services import services_in
from carbon_ledger.errors import CarbonError
from carbon_ledger.flags import sentences_of
from carbon_ledger.quantities import canonical_text
from carbon_ledger.reporting.reading import heading, printable, read_figure

FOLDER: Final = Path(__file__).parent
STYLE: Final = (FOLDER / "style.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def _text(value: object) -> str:
    """What is shown of a value: figures exactly, nothing for None, no control characters."""
    if value is None:
        return ""
    return printable(canonical_text(value) if isinstance(value, Decimal) else str(value))


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else _text(value),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["figure"] = lambda text: _text(Decimal(str(text)))
    made.globals.update(
        {
            "links": links,
            # A style sheet is no HTML: in it nothing is escaped, and it is this file's alone.
            "style": Markup(STYLE),  # noqa: S704
            "form_token_name": FORM_TOKEN,
            "read_figure": read_figure,
            "heading": heading,
            "sentences_of": sentences_of,
        }
    )
    return made


_TEMPLATES: Final = _environment()


def page(
    request: Request, template: str, *, caller: Caller | None, status: int = 200, **content: Any
) -> HTMLResponse:
    """A page from templates/`template`.html; `caller` is whoever sees it, None for nobody yet."""
    token = "" if caller is None else form_token(request, services_in(request))
    text = _TEMPLATES.get_template(f"{template}.html").render(
        caller=caller,
        may_sign=caller is not None and caller.may(SIGN),
        form_token=token,
        **content,
    )
    return HTMLResponse(text, status, headers=HEADERS)


def moved(target: str) -> Response:
    """Leads the browser to another page, to be got."""
    return RedirectResponse(target, 303, headers=HEADERS)


class PageRoute(APIRoute):
    """A route whose errors are pages, and that leads who is nobody to the form."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await answer(request)
            except LoginNeeded as needed:
                return moved(f"{links.LOGIN}{links.after(needed.wanted)}")
            except Problem as problem:
                return error_page(request, problem)
            except RequestValidationError as error:
                return error_page(request, problem_of_parameters(error))
            except CarbonError as error:
                return error_page(request, problem_of(error))

        return answered


def error_page(request: Request, problem: Problem) -> HTMLResponse:
    """What is wrong, in words; what the problem's headers say is said too."""
    answer = page(request, "error", caller=None, status=problem.status, problem=problem)
    for name, value in problem.headers.items():
        answer.headers[name] = value
    return answer
