"""The whole API as a WSGI application, with a store of its own: tests start as many as they like."""

from app.items import item_routes
from app.router import Request, Response, Route, WsgiApp, create_router
from app.store import Store


def create_app() -> WsgiApp:
    return create_router([Route("GET", "/healthz", health), *item_routes(Store())])


def health(_: Request) -> Response:
    return Response(200, {"status": "ok"})
