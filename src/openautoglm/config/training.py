"""The `train` section of `params.yaml`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from openautoglm.config.model import Settings, Share

Order = Annotated[int, Field(ge=1, le=4)]
Buckets = Annotated[int, Field(ge=2**10, le=2**24)]


class GlmSettings(Settings):
    """Multinomial logistic regression on hashed character n-grams or on numeric features."""

    orders: tuple[Order, ...] = Field((1, 2, 3), min_length=1, description="n-grams of a text")
    buckets: Buckets = Field(2**18, description="rows of the hashed weight table of a text model")
    penalty: float = Field(32.0, gt=0, description="inverse strength C of the L2 penalty")
    crosses: bool = Field(False, description="pairwise products of numeric features")
    max_iter: int = Field(300, ge=1, description="steps of the solver at most")


class TransformerSettings(Settings):
    """The transformer that is trained from scratch; with `model.base`, a student's alone."""

    dim: int = Field(128, ge=8, description="width of the encoder")
    layers: int = Field(2, ge=0, description="encoder layers")
    heads: int = Field(4, ge=1, description="attention heads of a layer; divides `dim`")
    hidden: int = Field(256, ge=8, description="width of the feed-forward layers")
    dropout: Share = Field(0.1, description="inside the encoder and before the classifier")
    input_dropout: Share = Field(0.3, description="on the summed embeddings")
    ngram_orders: tuple[Order, ...] = Field(
        (2, 3), description="n-grams embedded beside characters"
    )
    ngram_dropout: Share = Field(0.5, description="share of n-grams hidden from the encoder")
    ngram_lr: float = Field(2e-3, gt=0, description="peak learning rate of the n-gram tables")
    linear_orders: tuple[Order, ...] = Field((1, 2, 3), description="n-grams of the linear head")
    buckets: Buckets = Field(2**17, description="rows of the hashed n-gram tables")
    mutual: float = Field(0.5, ge=0, description="weight of the heads' agreement in the loss")
    min_count: int = Field(1, ge=1, description="rarer characters of train count as unknown")

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"`heads` ({self.heads}) does not divide `dim` ({self.dim})")
        return self


class TrainSettings(Settings):
    """Training; the flat keys are the transformer's, from scratch or fine-tuned."""

    seed: int = Field(1, ge=0, description="seed of weights, dropout and the order of rows")
    threads: int = Field(2, ge=1, description="CPU threads: part of the result, so a parameter")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="fp16 needs CUDA")
    max_length: int = Field(128, ge=4, description="tokens of a text that count; the rest is cut")
    lr: float = Field(1e-3, gt=0, description="peak learning rate; 2e-5 to 5e-5 for a base")
    weight_decay: float = Field(0.01, ge=0, description="decay of weight matrices")
    warmup: Share = Field(0.06, description="share of steps in which the rate rises")
    epochs: int = Field(6, ge=1, description="passes over train at most")
    patience: int = Field(2, ge=1, description="epochs without a better macro F1 on valid to stop")
    batch_size: int = Field(64, ge=1, description="rows a step, over all devices")
    label_smoothing: Share = Field(0.1, description="share of a target spread over all classes")
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        "none", description="weight of a class in the loss: 1, 1/sqrt(share), 1/share"
    )
    transformer: TransformerSettings = TransformerSettings()
    glm: GlmSettings = GlmSettings()
