import json
import threading
import unittest
import urllib.error
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

from app.wsgi import create_app


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class ApiTest(unittest.TestCase):
    def setUp(self) -> None:
        self.server = make_server("127.0.0.1", 0, create_app(), handler_class=QuietHandler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def tearDown(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def send(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.server.server_port}{path}"
        request = urllib.request.Request(url, data=data, method=method)
        try:
            with urllib.request.urlopen(request) as response:
                status, content = response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                status, content = error.code, error.read()
        return status, json.loads(content) if content else None

    def test_is_healthy(self) -> None:
        self.assertEqual(self.send("GET", "/healthz"), (200, {"status": "ok"}))

    def test_items_can_be_created_listed_shown_replaced_and_removed(self) -> None:
        self.assertEqual(self.send("GET", "/items"), (200, []))
        status, created = self.send("POST", "/items", {"name": " first "})
        self.assertEqual((status, created["name"]), (201, "first"))
        path = f"/items/{created['id']}"
        self.assertEqual(self.send("GET", path), (200, created))
        self.assertEqual(self.send("GET", "/items"), (200, [created]))
        replaced = {"id": created["id"], "name": "second"}
        self.assertEqual(self.send("PUT", path, {"name": "second"}), (200, replaced))
        self.assertEqual(self.send("DELETE", path), (204, None))
        self.assertEqual(self.send("GET", path)[0], 404)

    def test_items_need_a_name(self) -> None:
        for body in [{}, {"name": " "}, {"name": 1}, [], b'"text"', b"{"]:
            with self.subTest(body=body):
                status, answer = self.send("POST", "/items", body)
                self.assertEqual(status, 400)
                self.assertIsInstance(answer["error"], str)

    def test_items_that_do_not_exist_are_not_found(self) -> None:
        self.assertEqual(self.send("GET", "/items/none")[0], 404)
        self.assertEqual(self.send("PUT", "/items/none", {"name": "a"})[0], 404)
        self.assertEqual(self.send("DELETE", "/items/none")[0], 404)

    def test_says_what_it_does_not_know(self) -> None:
        self.assertEqual(self.send("GET", "/nothing")[0], 404)
        self.assertEqual(self.send("PATCH", "/items")[0], 405)


if __name__ == "__main__":
    unittest.main()
