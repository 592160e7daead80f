"""The API as the embedded stack runs it: up, healthy, and honest when a part is missing."""

from __future__ import annotations

from typing import Any

import pytest

from api.client import ApiError, CarbonLedgerClient
from devstack.api import Api
from devstack.extras import EXTRAS
from tests.support.extra_service import ground_of, running

pytestmark = pytest.mark.stack


def test_the_service_answers_and_says_how_its_parts_are(stack: Any) -> None:
    ground = ground_of(stack)
    (service,) = EXTRAS["api"](ground)
    assert isinstance(service, Api)
    url = f"http://127.0.0.1:{service.port}"
    with running(service, ground), CarbonLedgerClient(url, key="") as client:
        assert client.health() == {"status": "ok", "kafka": "ok", "database": "ok"}
        with pytest.raises(ApiError) as caught:
            client.submit_declaration({})
        assert caught.value.status in (401, 404)
        assert caught.value.code in ("unauthorized", "not_found")
