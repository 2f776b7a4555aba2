"""A small assistant of somebody else's, in four shapes: run it, then point a mapping of this folder at it.

python examples/targets/server.py 8099
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ["It", " ships", " on", " Friday."]
GAP_S = 0.01


class Assistant(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        conversation = asked.get("conversation") or asked.get("previous_response_id") or "c-1"
        answer = getattr(self, "answer_" + self.path.strip("/"), None)
        if answer is None or self.headers.get("Authorization") == "Bearer wrong":
            return self.whole({"error": {"code": "denied"}}, 403)
        return answer(asked, conversation)

    def answer_sse(self, asked, conversation):
        self.begin("text/event-stream")
        self.event("start", {"conversation": {"id": conversation}})
        for word in WORDS:
            time.sleep(GAP_S)
            self.event("token", {"choices": [{"text": word}]})
        self.event("finish", {"usage": {"in": len(asked["question"].split()), "out": len(WORDS)}})
        self.piece(b"")

    def answer_ndjson(self, asked, conversation):
        self.begin("application/x-ndjson")
        for word in WORDS:
            time.sleep(GAP_S)
            self.piece(json.dumps({"kind": "text", "text": word}).encode() + b"\n")
        done = {"kind": "done", "conversation": conversation, "tokens": len(WORDS)}
        self.piece(json.dumps(done).encode() + b"\n")
        self.piece(b"")

    def answer_responses(self, asked, conversation):
        self.begin("text/event-stream")
        self.event("response.created", {"type": "response.created", "response": {"id": conversation}})
        for word in WORDS:
            time.sleep(GAP_S)
            self.event("response.output_text.delta", {"type": "response.output_text.delta", "delta": word})
        usage = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 2}, "output_tokens": len(WORDS)}
        self.event("response.completed", {"type": "response.completed", "response": {"usage": usage}})
        self.piece(b"")

    def answer_json(self, asked, conversation):
        time.sleep(GAP_S * len(WORDS))
        self.whole({"answer": {"text": "".join(WORDS)}, "conversation": conversation, "tokens": len(WORDS)})

    def answer_lines(self, asked, conversation):
        self.begin("text/plain")
        for word in WORDS:
            time.sleep(GAP_S)
            self.piece(f"+{word}\n".encode())
        self.piece(b".\n")
        self.piece(b"")

    def begin(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, name, data):
        self.piece(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    def piece(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def whole(self, data, status=200):
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8099
    print(f"http://127.0.0.1:{port}", flush=True)
    Server(("127.0.0.1", port), Assistant).serve_forever()
