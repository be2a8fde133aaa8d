import os
import signal
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from app.wsgi import create_app


class ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def main() -> None:
    port = int(os.environ.get("PORT", "8000"))
    with make_server("0.0.0.0", port, create_app(), server_class=ThreadingServer) as server:
        # shutdown() waits for the loop to end, so it cannot be called from within it.
        def stop(*_: object) -> None:
            threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        print(f"{{name}} listens on port {port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
