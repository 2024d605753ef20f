"""Components: all that can be drawn as a job or a part of one, with their words."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import BaseModel, Field

from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.routers import PREFIX, router_of

router = router_of("jobs", prefix=f"{PREFIX}/components")


class Words(BaseModel):
    """A text in both languages."""

    en: str
    zh: str


class Labelled(BaseModel):
    """What something is called, and one sentence about it."""

    id: str
    label: Words
    sentence: Words


class PortType(Labelled):
    """What flows over an edge."""

    stays: bool = Field(description="Whether it never leaves the owners' agents")


class ComponentPort(BaseModel):
    """An input or an output."""

    name: str
    type: str = Field(description="One of `port_types`")
    label: Words
    sentence: Words
    required: bool
    many: bool = Field(description="Whether several edges may lead to it")
    field: str = Field(description="The place in the request that an input stands for, or empty")
    goes_on: bool = Field(description="Of an output: whether another step can take it")


class Place(BaseModel):
    """Where the parameters of a part stand in its kind's request."""

    path: str
    many: bool = Field(description="Whether it is a list")


class Learning(BaseModel):
    """Who learns what, and why."""

    who: Words
    sees: Words
    why: Words


class Component(Labelled):
    """A kind of job, or a part of one."""

    level: str = Field(description="kind, step, family, query or program")
    kind: str = Field(description="The kind of job that it is, or is a part of")
    group: str = Field(description="One of `groups`")
    place: Place | None = Field(description="Of a part; null for a kind")
    preset: dict[str, str] = Field(description="Constant members of its parameters")
    parameters: dict[str, str] = Field(description="A `$ref` into `$defs`")
    step: bool = Field(description="Whether it can be a step of a pipeline")
    inputs: list[ComponentPort]
    outputs: list[ComponentPort]
    protections: list[str] = Field(description="Of `protections`, those that it can run under")
    smallest_roster: int = Field(description="The fewest parties")
    engine: str = Field(description="The engine that every agent must have installed, or empty")
    extra: str = Field(description="The optional extra that every agent needs, or empty")
    learns: list[Learning] = Field(description="Who learns what by its defaults")


class ComponentCatalogue(BaseModel):
    """All components, what they refer to, and the schemas of their parameters."""

    version: int
    groups: list[Labelled]
    port_types: list[PortType]
    protections: list[Labelled]
    components: list[Component]
    conditions: list[str] = Field(description="The metrics that a step's condition may name")
    definitions: dict[str, dict[str, Any]] = Field(
        alias="$defs",
        description="JSON schemas; fields have `x-words`, `x-choices`, `x-picks`, `x-common`, "
        "`x-expert` beside them",
    )


@router.get("", summary="List components", response_model=ComponentCatalogue)
async def list_components(
    use: Use,
    caller: Caller,
    known: Annotated[
        str, Header(alias="If-None-Match", max_length=256, description="The ETag of an earlier one")
    ] = "",
) -> Response:
    """Return what can be drawn, in both languages: it changes with the server's version alone."""
    made = await use.components.catalogue(caller)
    tag = f'"{made.digest}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in (one.strip().removeprefix("W/") for one in known.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(made.body, media_type="application/json", headers=headers)
