"""What the parts of a scenario share: a strict base and the usual ranges."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(BaseModel):
    """A group of fields: unknown ones are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, protected_namespaces=())
