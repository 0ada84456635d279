"""API keys, for admins: list, make and revoke them."""

from typing import Annotated

from flask import Response, g
from pydantic import BaseModel, ConfigDict, Field, field_validator

from server.sdk.definition import read_body
from server.services.status import MOMENT, WireObject, timestamp
from server.store.api_keys import MAX_LIFETIME, MAX_NOTE, MAX_RATE_LIMIT, MAX_WEIGHT, OWNER, ApiKey, Role, check_owner
from server.web.body.read import read_json
from server.web.current import store
from server.web.errors import BODY_PROBLEMS, Problem
from server.web.openapi.route import Access, Api, ResponseSpec, json_body, ok
from server.web.responses import json_answer

route = Api("keys", "server")


class KeyRequest(BaseModel):
    """Whose key is made, and what it may do."""

    model_config = ConfigDict(extra="forbid")

    owner: str = Field(
        json_schema_extra={"pattern": f"^{OWNER.pattern}$"}, description="64 letters, digits and `_ . @ -` at most."
    )
    role: Role = Role.SUBMIT
    note: str = Field("", max_length=MAX_NOTE, description="What will use it.")
    expires_in: Annotated[int, Field(ge=1, le=MAX_LIFETIME)] | None = Field(
        None, description="Seconds until it expires. Without it, it does not."
    )
    rate_limit: Annotated[int, Field(ge=1, le=MAX_RATE_LIMIT)] | None = Field(
        None, description="Requests per minute, over all web processes. Without it, they are not limited."
    )

    weight: int = Field(
        1, ge=1, le=MAX_WEIGHT, description="The owner's share of turns in a queue: the greatest of its keys' weights."
    )

    @field_validator("owner")
    @classmethod
    def _is_valid(cls, value: str) -> str:
        check_owner(value)
        return value


class KeyObject(WireObject):
    """The stored data of a key. Only its hash is stored, not the key."""

    id: str
    owner: str
    role: Role
    note: str
    begins: str = Field(description="The first characters of the key.")
    made_at: str = Field(json_schema_extra=MOMENT)
    last_used_at: str | None = Field(json_schema_extra=MOMENT, description="To within a minute; null if not used.")
    expires_at: str | None = Field(json_schema_extra=MOMENT)
    rate_limit: int | None = Field(description="Requests per minute; null without a limit.")
    weight: int = Field(description="Its owner's share of turns in a queue.")


class NewKey(KeyObject):
    """A new key with its text, which is not shown again."""

    key: str


class KeyList(WireObject):
    """All keys, the oldest first. `ADMIN_KEY` is not among them."""

    keys: list[KeyObject]


@route.get("/keys", ok(KeyList, "The oldest first."), access=Access.ADMIN)
def list_keys() -> Response:
    """List the API keys."""
    return json_answer(KeyList(keys=[KeyObject(**_fields(each)) for each in store().api_keys.entries()]))


@route.post(
    "/keys",
    ResponseSpec(201, "The key. It is shown only here.", NewKey, ("Location",)),
    access=Access.ADMIN,
    body=json_body(KeyRequest, {"owner": "alice", "note": "checkout"}),
    problems=BODY_PROBLEMS,
)
def make_key() -> Response:
    """Make an API key."""
    body = read_body(KeyRequest, read_json())
    key = store().api_keys.create(body.owner, body.role, body.note, body.expires_in, body.rate_limit, body.weight)
    described = store().api_keys.describe(key)
    assert described is not None
    g.audit_target = described.id
    return json_answer(NewKey(**_fields(described), key=key), 201, {"Location": f"/keys/{described.id}", **_SECRET})


_SECRET = {"Cache-Control": "no-store"}  # a key is not kept by caches, browsers' among them


@route.delete(
    "/keys/<key_id>",
    ResponseSpec(204, "It is revoked: within two seconds no process accepts it."),
    access=Access.ADMIN,
    problems=("not-found",),
)
def revoke_key(key_id: str) -> Response:
    """Revoke an API key."""
    if not store().api_keys.revoke_id(key_id):
        raise Problem("not-found", "No key has this id. GET /keys lists the keys.")
    return Response(status=204)


def _fields(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "owner": key.owner,
        "role": key.role,
        "note": key.note,
        "begins": key.shown,
        "made_at": timestamp(key.created_ms),
        "last_used_at": timestamp(key.used_ms),
        "expires_at": timestamp(key.expires_ms),
        "rate_limit": key.rate_limit,
        "weight": key.weight,
    }
