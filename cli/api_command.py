"""`carbon api`: serves the API.

Belongs here: address, port, the server's own bounds. Does not: the app (api.app).
"""

from __future__ import annotations

import logging

import click

from carbon_ledger.settings import load

PORT = 8000
# Connections at once; who comes after is answered 503.
CONNECTIONS_MAX = 64
HEADER_BYTES_MAX = 32 * 1024
IDLE_SECONDS = 10
# A request that waits for Kafka takes no longer than this.
STOP_SECONDS = 20


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="8000 + CARBON_PORT_OFFSET if left out."
)
def api(host: str, port: int | None) -> None:
    """Serve the API until it is stopped; docs/api.md has what it answers.

    It speaks plain HTTP: put a proxy that speaks TLS in front of it for anybody but yourself.
    Beside an embedded stack it makes a key for this machine's user when it first starts:
    $CARBON_HOME/keys/api-local.key.

    \b
    carbon api
    carbon api --port 8080
    """
    import uvicorn

    from api.app import create_app
    from api.local_key import ensure_local_key

    settings = load()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    ensure_local_key(settings, host)
    uvicorn.run(
        create_app(settings),
        host=host,
        port=PORT + settings.port_offset if port is None else port,
        http="h11",  # the implementation that bounds headers
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        ws="none",
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        server_header=False,
        log_level="info",
    )
