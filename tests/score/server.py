"""Servers that speak OpenAI's interface: one that can be told to fail, and transformers' own."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from chaffinch.score.protocol import Batch

# What a server says to a question: status, headers, body; None closes the connection without a word.
Reply = tuple[int, dict[str, str], Any] | None


def own_input(prompt: str) -> str:
    """The input that a prompt ends with."""
    return prompt.rsplit("### Input:\n", 1)[1].split("\n\n### Response:")[0]


def completion(text: str) -> Reply:
    return 200, {}, {"choices": [{"text": text}], "usage": {"total_tokens": 7}}


def collected(batches: Iterator[Batch]) -> tuple[dict[int, str], dict[int, str], dict[int, str], int]:
    answers: dict[int, str] = {}
    refused: dict[int, str] = {}
    failed: dict[int, str] = {}
    n = 0
    for batch in batches:
        n += 1
        for whole, part in ((answers, batch.answers), (refused, batch.refused), (failed, batch.failed)):
            assert not whole.keys() & part.keys()
            whole.update(part)
    return answers, refused, failed, n


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *rest: Any) -> None:
        """A client that hangs up is what some tests are about."""


class Server:
    """A server whose replies a test decides; it remembers what it was asked, and by whom."""

    def __init__(self, reply: Callable[[dict[str, Any], int], Reply]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    outer.asked.append(body)
                    outer.headers.append(dict(self.headers))
                    times = sum(one == body for one in outer.asked)
                    outer._now += 1
                    outer.most_at_once = max(outer.most_at_once, outer._now)
                found = reply(body, times)
                with outer._lock:
                    outer._now -= 1
                if found is None:
                    self.close_connection = True
                    return
                status, headers, values = found
                data = values if isinstance(values, bytes) else json.dumps(values).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *rest: Any) -> None:
                pass

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @contextmanager
    def running(self) -> Iterator["Server"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def transformers_serve(model: Path, log: Path) -> Iterator[str]:
    """The address of `transformers serve` with the model, in a process of its own."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        try:
            for _ in range(1200):
                assert process.poll() is None, log.read_text(errors="replace")[-3000:]
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                        break
                except (urllib.error.URLError, OSError):
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(30)
