"""/review/reports/…/sample and /review/sign-offs: samples drawn, and what reviewers found.

Belongs here: these pages and the form that signs. Does not: drawing and signing (api.reviewing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from api.answers import NO_NUL
from api.pages import links
from api.pages.html import PageRoute, moved, page
from api.pages.reports import NAMES, Ref, Text, opened_report
from api.pages.session import SIGN, Form, Reviewer, check_form
from api.problems import Problem, absent
from api.reviewing import draw_sample, sign
from api.security import scope_missing
from api.services import Services, services_of
from carbon_ledger.lineage.review_samples import MONETARY_UNIT, SEED_MAX, SIZE_MAX
from carbon_ledger.lineage.sign_offs import KINDS, Subject
from carbon_ledger.store.sign_offs import list_sign_offs

router = APIRouter(route_class=PageRoute, include_in_schema=False)
OfServices = Annotated[Services, Depends(services_of)]
ON_A_PAGE: Final = 50
DRAWN: Final = 25


@router.get(f"{links.HOME}/reports/{{ref}}/sample")
def show_sample(
    request: Request,
    services: OfServices,
    caller: Reviewer,
    ref: Ref,
    cell: Annotated[str | None, Query(pattern=NO_NUL)] = None,
    method: Text = MONETARY_UNIT,
    seed: Annotated[int, Query(ge=0, le=SEED_MAX)] = 0,
    n: Annotated[int, Query(ge=1, le=SIZE_MAX)] = DRAWN,
) -> Response:
    """A sample of the entries of a report or of a cell, and how it is drawn again."""
    opened = opened_report(services, caller.organization_id, ref)
    found = draw_sample(services, caller, opened, cell, method=method, seed=seed, size=n)
    signed = []
    if opened.kept is not None:
        with services.readers.of(caller.organization_id) as conn:
            of_samples = list_sign_offs(
                conn, kind="sample", snapshot_id=opened.kept.snapshot_id, cell_id=cell
            )
        signed = [
            one
            for one in of_samples
            if (one.subject.cell_id, one.subject.method, one.subject.seed, one.subject.size)
            == (cell, method, seed, n)
        ]
    return page(
        request,
        "sample",
        caller=caller,
        opened=opened,
        report=opened.report,
        name=NAMES[opened.report.name],
        cell_id=cell,
        sample=found.sample,
        entries=found.entries,
        sign_offs=signed,
    )


@router.get(links.SIGN_OFFS)
def show_sign_offs(
    request: Request,
    services: OfServices,
    caller: Reviewer,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    """Every sign-off, the newest first."""
    with services.readers.of(caller.organization_id) as conn:
        found = list_sign_offs(
            conn, organization=caller.organization_id, before=before, limit=ON_A_PAGE + 1
        )
    shown = found[:ON_A_PAGE]
    return page(
        request,
        "sign_offs",
        caller=caller,
        sign_offs=shown,
        page_of=page_of,
        older=shown[-1].sign_off_id if len(found) > ON_A_PAGE else None,
    )


@router.post(links.SIGN_OFFS)
def sign_off(request: Request, services: OfServices, caller: Reviewer, form: Form) -> Response:
    """Signs off on a subject, and leads back to it."""
    check_form(request, services, form)
    if not caller.may(SIGN):
        raise scope_missing(SIGN)
    subject = subject_of(form)
    sign(
        services,
        caller,
        subject,
        verdict=form.get("verdict", ""),
        note=form.get("note", "").replace("\r\n", "\n"),
    )
    return moved(page_of(subject))


def subject_of(form: Mapping[str, str]) -> Subject:
    """The subject that a form names; Problem 422 `invalid_parameter` for none."""
    kind = next((one for one in KINDS if one == form.get("kind")), None)
    try:
        if kind is None:
            raise ValueError("kind")
        if kind == "entry":
            return Subject(kind=kind, entry_id=UUID(form["entry_id"]))
        snapshot_id = UUID(form["snapshot_id"])
        if kind == "cell":
            return Subject(kind=kind, snapshot_id=snapshot_id, cell_id=form["cell_id"])
        return Subject(
            kind=kind,
            snapshot_id=snapshot_id,
            cell_id=form.get("cell_id") or None,
            method=form["method"],
            seed=int(form["seed"]),
            size=int(form["size"]),
        )
    except (KeyError, ValueError):
        raise Problem(
            422,
            "invalid_parameter",
            "the form names nothing to sign off on",
            valid=f"a form of the page of a {', a '.join(KINDS)}",
        ) from None


def page_of(subject: Subject) -> str:
    """The page of what was signed off on."""
    if subject.kind == "entry":
        return links.entry_page(subject.entry_id)
    if subject.kind == "cell" and subject.cell_id is not None:
        return links.cell_page(subject.snapshot_id, subject.cell_id)
    if subject.kind == "sample":
        return links.sample_page(
            subject.snapshot_id,
            cell=subject.cell_id,
            method=subject.method,
            seed=subject.seed,
            n=subject.size,
        )
    raise absent()
