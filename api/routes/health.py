"""GET /v1/health: whether what the API needs answers."""

from __future__ import annotations

from typing import Annotated, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from api.services import Services, services_of
from carbon_ledger.errors import Unavailable
from pipeline.kafka import kafka_config

router = APIRouter(tags=["health"])
KAFKA_SECONDS: Final = 3.0


class Health(BaseModel):
    """Each part: `ok`, or `unavailable`; all: `ok` if each is."""

    status: str
    kafka: str
    database: str


@router.get("/v1/health", responses={503: {"model": Health, "description": "a part is missing"}})
def health(services: Annotated[Services, Depends(services_of)], response: Response) -> Health:
    """Ask Kafka and PostgreSQL; 503 if one does not answer. Takes no key, and tells no address."""
    found: Health = services.health.get(lambda: _asked(services))
    response.status_code = 200 if found.status == "ok" else 503
    response.headers["Cache-Control"] = "no-store"
    return found


def _asked(services: Services) -> Health:
    kafka = "ok" if _kafka_answers(services) else "unavailable"
    try:
        services.keys.ask()
        database = "ok"
    except Unavailable:
        database = "unavailable"
    status = "ok" if kafka == database == "ok" else "unavailable"
    return Health(status=status, kafka=kafka, database=database)


def _kafka_answers(services: Services) -> bool:
    try:
        _admin_of(services).list_topics(timeout=KAFKA_SECONDS)
    except KafkaException:
        return False
    return True


def _admin_of(services: Services) -> AdminClient:
    if services.admin is None:
        services.admin = AdminClient(kafka_config(services.settings))
    return services.admin
