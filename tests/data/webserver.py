"""A web server in a thread that serves one file, well or badly: the first part of the path says how."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, body: bytes, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.name = body, name
        self.elsewhere = ""
        self.asked: list[tuple[str, str | None]] = []  # how, and the Range header

    def base(self, how: str, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.server_address[1]}/{how}"

    def handle_error(self, request, client_address) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    server: Server  # type: ignore[assignment]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        how = self.path.split("/")[1]
        wanted = self.headers.get("Range")
        self.server.asked.append((how, wanted))
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        getattr(self, how if self.path.endswith(self.server.name) else "missing")(self.server.body, start)

    def answer(self, status: int, body: bytes = b"", length: int | None = -1, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self, body: bytes, start: int) -> None:
        if start >= len(body):
            self.answer(416)
        elif start:
            self.answer(206, body[start:], Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.answer(200, body)

    def missing(self, body: bytes, start: int) -> None:
        self.answer(404)

    def once_500(self, body: bytes, start: int) -> None:
        self.answer(500) if len(self.server.asked) == 1 else self.good(body, start)

    def always_503(self, body: bytes, start: int) -> None:
        self.answer(503)

    def wrong(self, body: bytes, start: int) -> None:
        self.answer(200, bytes(len(body)))

    def page(self, body: bytes, start: int) -> None:
        self.answer(200, b"<html>Welcome to our Wi-Fi</html>", Content_Type="text/html")

    def page_without_length(self, body: bytes, start: int) -> None:
        self.answer(200, b"<html>Welcome to our Wi-Fi</html>", length=None)

    def cut(self, body: bytes, start: int) -> None:
        """Says how long it is and hangs up half-way, at every request."""
        rest = body[start:]
        self.answer(206 if start else 200, rest[: len(rest) // 2 + 1], length=len(rest), Content_Range=f"bytes {start}-")

    def too_long(self, body: bytes, start: int) -> None:
        self.answer(200, body + b"more", length=None)

    def no_length(self, body: bytes, start: int) -> None:
        self.answer(200, body, length=None)

    def no_range(self, body: bytes, start: int) -> None:
        self.answer(200, body)

    def wrong_range(self, body: bytes, start: int) -> None:
        if start:
            self.answer(206, body, Content_Range=f"bytes 0-{len(body) - 1}/{len(body)}")
        else:
            self.answer(200, body)

    def to_file(self, body: bytes, start: int) -> None:
        self.answer(302, Location="file:///etc/passwd")

    def redirected(self, body: bytes, start: int) -> None:
        self.answer(302, Location=self.server.elsewhere)

    def in_circles(self, body: bytes, start: int) -> None:
        self.answer(302, Location=self.path)

    def stalls(self, body: bytes, start: int) -> None:
        self.answer(200, body[:1000], length=len(body))
        time.sleep(1.5)

    def trickles(self, body: bytes, start: int) -> None:
        self.answer(200, length=len(body))
        for value in body[:40]:
            self.wfile.write(bytes([value]))
            time.sleep(0.05)

    def slowly(self, body: bytes, start: int) -> None:
        """Good, in small pieces with pauses."""
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        for position in range(start, len(body), 10_000):
            self.wfile.write(body[position : position + 10_000])
            time.sleep(0.05)


@contextmanager
def serving(body: bytes, name: str = "", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    with Server(body, name) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
