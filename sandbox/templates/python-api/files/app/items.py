"""One resource: its routes and the check of its input."""

from app.router import HttpError, Request, Response, Route
from app.store import Record, Store


def item_routes(items: Store) -> list[Route]:
    def list_items(_: Request) -> Response:
        return Response(200, items.list())

    def create(request: Request) -> Response:
        return Response(201, items.create(parse_item(request.body)))

    def show(request: Request) -> Response:
        return Response(200, found(items.get(request.params["id"])))

    def replace(request: Request) -> Response:
        return Response(200, found(items.replace(request.params["id"], parse_item(request.body))))

    def remove(request: Request) -> Response:
        if not items.remove(request.params["id"]):
            raise HttpError(404, "There is no such item")
        return Response(204)

    return [
        Route("GET", "/items", list_items),
        Route("POST", "/items", create),
        Route("GET", "/items/:id", show),
        Route("PUT", "/items/:id", replace),
        Route("DELETE", "/items/:id", remove),
    ]


def parse_item(body: object) -> Record:
    if not isinstance(body, dict):
        raise HttpError(400, "The body must be a JSON object")
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise HttpError(400, '"name" must be a text that is not empty')
    return {"name": name.strip()}


def found(record: Record | None) -> Record:
    if record is None:
        raise HttpError(404, "There is no such item")
    return record
