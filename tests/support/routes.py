"""The routes of the application, for tests that walk all of them."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.routing import Mount


def routes_of(app: FastAPI) -> set[str]:
    """Every route as `METHOD path`."""
    found = set()
    waiting: list[Any] = list(app.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            found |= {f"{method} {route.path}" for method in route.methods}
        elif isinstance(route, APIWebSocketRoute):
            found.add(f"WEBSOCKET {route.path}")
        elif hasattr(route, "original_router"):  # FastAPI's own kind for an included router
            waiting += route.original_router.routes
        else:
            assert isinstance(route, Mount), f"a route of a kind that this test does not know: {route!r}"
            assert route.path == "/static"
    return found
