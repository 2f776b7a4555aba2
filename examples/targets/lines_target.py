"""A target that no mapping can describe: lines that begin with + are text, a line of one point is the end."""

import json


class Target:
    def request(self, turn):
        body = json.dumps({"question": turn["message"], "conversation": turn["conversation_id"]}).encode()
        return {"path": "/lines", "headers": {"Content-Type": "application/json"}, "body": body}

    def reader(self):
        return Lines()


class Lines:
    def __init__(self):
        self.tail = b""

    def feed(self, data):
        *lines, self.tail = (self.tail + data).split(b"\n")
        return [("end", None) if line == b"." else ("text", line[1:].decode()) for line in lines]

    def close(self):
        return []
