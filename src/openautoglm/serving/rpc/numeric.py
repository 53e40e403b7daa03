"""`InferenceService.Predict`: one row of numbers in, one label out."""

from __future__ import annotations

from typing import Any

from openautoglm.inference.package import TextInput
from openautoglm.serving.predictor import Predictor
from openautoglm.serving.refusals import INVALID, Refusal
from openautoglm.serving.rows import check_features_row
from openautoglm.serving.rpc import messages
from openautoglm.serving.rpc.call import Call
from openautoglm.serving.signature import check_model

NAME = "InferenceService"


class Numeric:
    """The call over one predictor."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    async def predict(self, request: Any, call: Call) -> Any:
        """Label and scores of one row."""
        served = self._predictor
        check_model(served, request.model_name, "")
        if isinstance(served.input, TextInput):
            raise Refusal(
                INVALID,
                f"`{served.identity.name}` takes texts, not numbers",
                allowed="inference.GRPCInferenceService/ModelInfer with the input `text`",
            )
        width = len(served.input.features)
        row = check_features_row(list(request.input_data), width, where="input_data")
        call.job = await served.predict([row], timeout=call.timeout, context=call.context)
        answer = served.answer(call.job, call.context)
        return messages.PredictResponse(
            label=answer.labels[0],
            scores=dict(zip(served.labels, answer.scores[0], strict=True)),
            version=served.identity.version,
            digest=served.identity.digest,
        )
