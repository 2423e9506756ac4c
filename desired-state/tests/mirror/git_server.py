"""A small HTTPS git server for the tests: hands requests to git http-backend, and misbehaves by path.

usage: git_server.py FOLDER CERTIFICATE KEY LOG
The first line of standard output is the port. Every Authorization header is appended to LOG.
"""

import base64
import http.server
import os
import ssl
import subprocess
import sys
import time

FOLDER, CERTIFICATE, KEY, LOG = sys.argv[1:5]
BACKEND = os.path.join(
    subprocess.check_output(["git", "--exec-path"], text=True).strip(), "git-http-backend"
)
LOGIN = "Basic " + base64.b64encode(b"reconcile:s3cret-token").decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def handle_git(self):
        with open(LOG, "a") as log:
            log.write(self.headers.get("Authorization", "none") + "\n")
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        kind, path = self.path.lstrip("/").split("/", 1)
        if kind == "silent":
            time.sleep(600)
        if kind == "trickle":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                self.wfile.write(b"x")
                time.sleep(0.2)
        if kind.isdigit():
            return self.answer(int(kind))
        if kind == "moved":
            return self.answer(301, Location="/private/" + path)
        if kind.startswith("to:"):
            return self.answer(301, Location=f"https://{kind[3:]}/private/{path}")
        if kind == "web":
            return self.answer(200, Content_Type="text/html")
        if kind == "tells":  # What it was told, to whoever reads its answers.
            told = self.headers.get("Authorization")
            if told is None:
                return self.answer(401, WWW_Authenticate='Basic realm="Gitea"')
            self.send_response(403)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            return self.wfile.write(told.encode())
        if kind == "page":
            page = b"<!doctype html><title>Making sure you're not a bot!</title>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            return self.wfile.write(page)
        if kind == "private" and self.headers.get("Authorization") != LOGIN:
            return self.answer(401, WWW_Authenticate='Basic realm="Gitea"')
        path, _, query = path.partition("?")
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": FOLDER,
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "PATH_INFO": "/" + path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
        }
        done = subprocess.run([BACKEND], input=body, env=environment, stdout=subprocess.PIPE)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = handle_git


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(CERTIFICATE, KEY)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
