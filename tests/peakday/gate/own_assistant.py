"""A small assistant of somebody else's, whose changes are settings: what the gate of one's own assistant is tried on.

python own_assistant.py PORT [SETTINGS.json]

POST /chat {question, conversation} -> NDJSON: tools, pieces of text, then usage. It counts a prompt as providers do:
what stands before the cache point is read from the cache once it was written, the rest is new.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STANDARD = {
    "prompt_tokens": 400, "cached_tokens": 300, "tools": ["search", "price"], "first_s": 0.02, "gap_s": 0.004,
    "words": 12, "usage": True, "fail_every": 0, "model": "small-1",
}  # fmt: skip


class Server(ThreadingHTTPServer):
    """Settings, how many requests came, and which prefixes are in the cache."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, settings):
        super().__init__(("127.0.0.1", port), Handler)
        self.settings = {**STANDARD, **settings}
        self.lock, self.count, self.cache = threading.Lock(), 0, set()


class Handler(BaseHTTPRequestHandler):
    """One question at a time."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(200, b"ok\n")

    def do_POST(self):
        settings, question = self.server.settings, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.count += 1
            fails = settings["fail_every"] and self.server.count % settings["fail_every"] == 0
            warm = settings["cached_tokens"] in self.server.cache
            self.server.cache.add(settings["cached_tokens"])
        if fails:
            return self.answer(500, b"{}")
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for tool in settings["tools"]:
            self.say({"tool": tool})
        time.sleep(settings["first_s"])
        for number in range(settings["words"]):
            time.sleep(settings["gap_s"] if number else 0)
            self.say({"text": f" word{number}"})
        self.say({"end": True, **(self.usage(settings, question, warm) if settings["usage"] else {})})
        self.wfile.write(b"0\r\n\r\n")

    def usage(self, settings, question, warm):
        cached = settings["cached_tokens"]
        prompt = settings["prompt_tokens"] + len(question["question"].split())
        read, written = (cached, 0) if warm else (0, cached)
        tokens = {"new": prompt - cached, "read": read, "written": written, "out": settings["words"]}
        return {"tokens": tokens, "model": settings["model"], "usd": round(prompt * 1e-6 - read * 9e-7, 9)}

    def say(self, event):
        line = json.dumps(event).encode() + b"\n"
        self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


MAPPING = """schema: peakday.target/1
url: http://127.0.0.1:{port}/chat
format: ndjson
body: {question: "{message}", conversation: "{interaction_id}"}
text: {path: text}
end: {path: end}
tools: {path: tool}
usage:
  input_tokens: tokens.new
  cache_read_tokens: tokens.read
  cache_write_tokens_5m: tokens.written
  output_tokens: tokens.out
  model: model
  cost_usd: usd
"""
QUESTIONS = "when does it ship?\nis it waterproof and how deep?\ncan I return it after a month?\n"

if __name__ == "__main__":
    file = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    Server(int(sys.argv[1]), json.loads(file.read_text()) if file else {}).serve_forever()
