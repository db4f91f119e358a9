#!/usr/bin/env python3
"""A target that writes down what it gets, for trials of reliability; and a reader of ledgers, so that
what a run claims can be held against it.

As a program it serves HTTP on a free port of the loopback interface, and says so in one line of
JSON. Each request is counted by the trace id of its `traceparent` before it is answered. It answers
as the mode says that was set last. A second port is for the trial: `/mode/NAME` sets a mode, `/seen`
has the counts.
"""

import asyncio
import collections
import json
import pathlib
import signal
import subprocess
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "crates/extract/tests"))
from independent import arrow

# How a target can fail its clients, and a receiver of OTLP those who send to it. `gone`: nobody
# listens, and all connections are closed. `stopped`: the process itself is.
FAILURES = ["slow", "error", "refuse", "reset", "garbage", "half", "silent", "gone", "stopped"]

SLOW_S = 1.0
OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
SAYS = {
    "error": b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    "refuse": b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
    "half": b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf",
    "garbage": b"\x00\xff\x16\x03 this is not HTTP \r\n\r\n" * 8,
}


class Book:
    """What was seen, and how to answer."""

    def __init__(self, port):
        self.seen = collections.Counter()
        self.others = 0
        self.mode = "ok"
        self.port = port
        self.listener = None
        self.connections = set()

    async def listen(self):
        loop = asyncio.get_running_loop()
        self.listener = await loop.create_server(lambda: Connection(self.answer, self.connections),
                                                 "127.0.0.1", self.port, backlog=1024)
        self.port = self.listener.sockets[0].getsockname()[1]

    def answer(self, transport, path, headers):
        trace = headers.get("traceparent", "").split("-")
        # What is not sampled is a look before the run, and not of it.
        if len(trace) == 4 and trace[3] == "01":
            self.seen[trace[1]] += 1
        else:
            self.others += 1
        if self.mode == "slow":
            asyncio.get_running_loop().call_later(SLOW_S, transport.write, OK)
        elif self.mode == "reset":
            transport.abort()
        elif self.mode != "silent":
            transport.write(SAYS.get(self.mode, OK))

    def control(self, transport, path, headers):
        asyncio.ensure_future(self.obey(transport, path))

    async def obey(self, transport, path):
        if path.startswith("/mode/"):
            self.mode = path.removeprefix("/mode/")
            if self.mode == "gone":
                self.listener.close()
                for open_one in list(self.connections):
                    open_one.abort()
            elif not self.listener.is_serving():
                await self.listen()
        body = json.dumps({"seen": self.seen, "others": self.others}).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        transport.write(head.encode() + body)


class Connection(asyncio.Protocol):
    """Requests of one client, one after the other."""

    def __init__(self, answer, connections):
        self.answer, self.connections, self.buffer = answer, connections, b""

    def connection_made(self, transport):
        self.transport = transport
        self.connections.add(transport)

    def connection_lost(self, reason):
        self.connections.discard(self.transport)

    def data_received(self, data):
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            lines = self.buffer[:end].decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            length = int(headers.get("content-length", 0))
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length:]
            words = lines[0].split(" ")
            if len(words) != 3 or words[0] == "PRI":
                # Not HTTP/1: a client of gRPC, which is answered as by something else.
                self.transport.abort()
                return
            self.answer(self.transport, words[1], headers)


async def serve():
    book = Book(0)
    await book.listen()
    control = await asyncio.get_running_loop().create_server(
        lambda: Connection(book.control, set()), "127.0.0.1", 0)
    print(json.dumps({"port": book.port, "control": control.sockets[0].getsockname()[1]}), flush=True)
    await control.serve_forever()


class Target:
    """The program, as a process of its own."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], text=True, stdout=subprocess.PIPE)
        ready = json.loads(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{ready['port']}"
        self.control = f"http://127.0.0.1:{ready['control']}"
        self.pid = self.process.pid

    def ask(self, path):
        with urllib.request.urlopen(f"{self.control}/{path}", timeout=30) as answer:
            return json.load(answer)

    def mode(self, name):
        if name == "stopped":
            self.process.send_signal(signal.SIGSTOP)
            return
        self.process.send_signal(signal.SIGCONT)
        self.ask(f"mode/{name}")

    def seen(self):
        """Requests by trace id."""
        return self.ask("seen")["seen"]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def ledger(path):
    """The rows of a ledger as (trace id, whether an answer had come), up to the last whole batch. The
    file may go on to grow."""
    for cells in arrow.batches(path, {"trace_id", "status"}):
        for trace, status in zip(cells["trace_id"], cells["status"]):
            yield trace, status is not None


if __name__ == "__main__":
    asyncio.run(serve())
