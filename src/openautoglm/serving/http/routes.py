"""Which path answers what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote

from openautoglm.serving.http.exchange import Exchange
from openautoglm.serving.http.inference_v2 import InferenceV2
from openautoglm.serving.http.operations import Operations
from openautoglm.serving.http.predict import Predict
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import METHOD, NOT_FOUND, Refusal

Handler = Callable[[Exchange], None]
_LONGEST_SHOWN = 80


class Routes:
    """Finds the handler of a request: exact paths, two methods.

    Args:
        predictor: The model.
        feedback: Takes labels; None where no answers are kept.
    """

    def __init__(self, predictor: Predictor, feedback: Handler | None = None) -> None:
        operations = Operations(predictor, feedback=feedback is not None)
        v2 = InferenceV2(predictor)
        name, version = predictor.identity.name, predictor.identity.version
        gets: dict[str, Handler] = {
            "/health/live": operations.live,
            "/health/ready": operations.ready,
            "/metrics": operations.metrics,
            "/openapi.json": operations.openapi,
            "/v2": v2.server,
            "/v2/health/live": operations.live,
            "/v2/health/ready": operations.ready,
        }
        posts: dict[str, Handler] = {
            "/v1/predict": Predict(predictor),
            "/v1/feedback": feedback or _switched_off,
        }
        for model in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            gets[model] = v2.model
            gets[f"{model}/ready"] = operations.ready
            posts[f"{model}/infer"] = v2.infer
        self._name, self._version = name, version
        self._gets = _by_bytes(gets)
        self._posts = _by_bytes(posts)

    def __call__(self, exchange: Exchange) -> None:
        """Answer, now or later.

        Raises:
            Refusal: NOT_FOUND, METHOD, and whatever the handler raises.
        """
        path, method = exchange.path, exchange.method
        if b"%" in path:
            path = unquote(path).encode()
        post, get = self._posts.get(path), self._gets.get(path)
        if method == b"POST" and post is not None:
            post(exchange)
        elif method in (b"GET", b"HEAD") and get is not None:
            get(exchange)
        elif post is None and get is None:
            raise self._unknown(path)
        else:
            allowed = "POST" if post is not None else "GET"
            exchange.refuse(
                Refusal(METHOD, f"this path takes no {method.decode('latin-1')}", allowed=allowed),
                {"allow": "POST" if post is not None else "GET, HEAD"},
            )

    def _unknown(self, path: bytes) -> Refusal:
        shown = quote(path.decode(errors="replace")[:_LONGEST_SHOWN], safe="/%")
        if path.startswith(b"/v2/models/"):
            return Refusal(
                NOT_FOUND,
                f"there is no {shown} here",
                allowed=f"model `{self._name}`, version `{self._version}`",
            )
        return Refusal(NOT_FOUND, f"there is no {shown} here", hint="GET /openapi.json lists all")


def _switched_off(exchange: Exchange) -> None:
    raise Refusal(NOT_FOUND, "feedback is switched off here", allowed="feedback.enabled: true")


def _by_bytes(handlers: Mapping[str, Handler]) -> dict[bytes, Handler]:
    return {path.encode(): handler for path, handler in handlers.items()}
