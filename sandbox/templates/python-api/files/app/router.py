"""Paths to handlers, JSON in and out, errors to answers."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

MAX_BODY_BYTES = 1_000_000


class HttpError(Exception):
    """Raised by a handler: becomes the answer `{"error": message}` with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Request:
    params: dict[str, str]
    query: dict[str, list[str]]
    # Parsed JSON; None when there was no body.
    body: object


@dataclass(frozen=True)
class Response:
    status: int
    body: object = None


@dataclass(frozen=True)
class Route:
    method: str
    # "/items/:id": a part that begins with a colon matches anything.
    path: str
    handle: Callable[[Request], Response]


def create_router(routes: list[Route]) -> WsgiApp:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            response = dispatch(routes, environ)
        except HttpError as error:
            response = Response(error.status, {"error": error.message})
        except Exception:
            logging.exception("A request failed")
            response = Response(500, {"error": "Something went wrong"})
        status = f"{response.status} {HTTPStatus(response.status).phrase}"
        if response.body is None:
            start_response(status, [])
            return []
        content = json.dumps(response.body).encode()
        headers = [("Content-Type", "application/json; charset=utf-8"), ("Content-Length", str(len(content)))]
        start_response(status, headers)
        return [content]

    return app


def dispatch(routes: list[Route], environ: dict[str, Any]) -> Response:
    # WSGI hands the path over decoded, its bytes as Latin-1.
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    method = environ["REQUEST_METHOD"]
    matching = [(route, params) for route in routes if (params := match(route.path, path)) is not None]
    if not matching:
        raise HttpError(404, "There is no such path")
    for route, params in matching:
        if route.method == method:
            return route.handle(Request(params, parse_qs(environ.get("QUERY_STRING", "")), read_json(environ)))
    raise HttpError(405, f"{method} is not possible here")


def match(pattern: str, path: str) -> dict[str, str] | None:
    expected, actual = pattern.split("/"), path.split("/")
    if len(expected) != len(actual):
        return None
    params = {}
    for part, value in zip(expected, actual):
        if part.startswith(":") and value:
            params[part[1:]] = value
        elif part != value:
            return None
    return params


def read_json(environ: dict[str, Any]) -> object:
    size = int(environ.get("CONTENT_LENGTH") or 0)
    if size > MAX_BODY_BYTES:
        raise HttpError(413, "The body is too large")
    if size == 0:
        return None
    try:
        return json.loads(environ["wsgi.input"].read(size))
    except ValueError:
        raise HttpError(400, "The body is not valid JSON") from None
