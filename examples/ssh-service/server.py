#!/usr/bin/python3
"""mockbase: a small HTTP service to deploy.

GET /_info answers with its name, version and site. SIGHUP reads them anew, SIGTERM lets the
requests in flight end first.
"""

import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 1134
# Not resolved: through the path the unit names, so that a reload sees the release that is live now.
VERSION_FILE = Path(sys.argv[0]).parent / "VERSION"
# Rendered for each host when it is deployed; see deploy.toml. Without it the site has no name.
CONFIG_FILE = Path(sys.argv[0]).parent / "config.json"


class Server(ThreadingHTTPServer):
    daemon_threads = False  # requests in flight hold up the end
    version = ""
    config = {}

    def load(self):
        self.version = VERSION_FILE.read_text().strip()
        self.config = json.loads(CONFIG_FILE.read_text()) if CONFIG_FILE.exists() else {}
        print(f"serving version {self.version}", flush=True)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/_info":
            self.send_error(404)
            return
        info = {"name": "mockbase", "version": self.server.version}
        if "site" in self.server.config:
            info["site"] = self.server.config["site"]
        body = json.dumps(info).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    server = Server(("", PORT), Handler)
    server.load()

    def reload(*_):
        try:
            server.load()
        except (OSError, ValueError) as error:
            print(f"keeping version {server.version}: {error}", file=sys.stderr, flush=True)

    signal.signal(signal.SIGHUP, reload)
    # shutdown() waits for the serving loop, which this handler has interrupted.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
