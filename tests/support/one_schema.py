"""A registry that knows one writer schema, for sinks that are tried without the stack.

Belongs here: answering who asks for a schema by its id. Does not: registering (the stack has a
real registry).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@contextmanager
def serving_schema(schema_id: int, text: str) -> Iterator[str]:
    """The registry's URL while it answers; any other id is unknown to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            is_known = path == f"/schemas/ids/{schema_id}"
            said = {"schema": text} if is_known else {"error_code": 40403, "message": "not found"}
            body = json.dumps(said).encode()
            self.send_response(200 if is_known else 404)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
