"""A receiver of OTLP over HTTP, a process of its own: every span that it takes is a line of JSON in a file.

`python tests/otlp_receiver.py FILE [--refuse N]` prints its port. It knows the protocol from opentelemetry-proto alone.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service


def plain(value):
    """A value of an attribute."""
    return getattr(value, value.WhichOneof("value"))


def lines_of(body: bytes) -> Iterator[dict]:
    """Every span of a request, with its resource's attributes."""
    for batch in service.ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {one.key: plain(one.value) for one in batch.resource.attributes}
        for scope in batch.scope_spans:
            for span in scope.spans:
                yield {
                    "name": span.name, "trace": span.trace_id.hex(), "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(), "kind": span.kind, "start_ns": span.start_time_unix_nano,
                    "end_ns": span.end_time_unix_nano, "error": span.status.code == 2, "resource": resource,
                    "attributes": {one.key: plain(one.value) for one in span.attributes},
                    "links": [link.trace_id.hex() for link in span.links],
                }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """Takes POST /v1/traces, and nothing else."""

    file: Path
    refuse: int

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/x-protobuf":
            self.send_error(400)
            return
        with self.file.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines_of(body))
        answer = service.ExportTraceServiceResponse()
        answer.partial_success.rejected_spans = self.refuse
        data = answer.SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def receiving(file: Path, refuse: int = 0) -> Iterator[str]:
    """A receiver as a process; yields its address."""
    command = [sys.executable, __file__, str(file), str(refuse)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def received(file: Path) -> list[dict]:
    """Every span so far."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    Handler.file, Handler.refuse = Path(sys.argv[1]), int(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
