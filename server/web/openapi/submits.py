"""The route of each task type: `POST /tasks/<name>`, with its bodies and answers."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from server.sdk.definition import TaskDefinition
from server.sdk.signature import Arity
from server.web.errors import BODY_PROBLEMS, KEY_PROBLEMS, STORING_PROBLEMS
from server.web.openapi.components import Components, Schema, one_of, reference, without_null
from server.web.openapi.parameters import OPTIONS
from server.web.openapi.route import CACHED, TICKET_HEADERS, Access, ResponseSpec, Route
from server.web.openapi.schema_text import is_plain, sample

_ANY_BYTES = "application/octet-stream"

#: Names in `parameters.PARAMETERS` that every submit has.
SUBMIT_PARAMETERS: tuple[str, ...] = ("wait", "Prefer", *OPTIONS, "Cancel-After", "Idempotency-Key", "traceparent")

#: A sample file for each media type that is not an image's.
_SAMPLES = {
    "text/csv": {"data": "bmFtZSxwcmljZQp0ZWEsMy41MAo=", "filename": "prices.csv"},
    "application/pdf": {"data": "JVBERi0xLjQK", "filename": "letter.pdf"},
}

_LINKS = ("status", "result", "cancel", "files")

_PROBLEMS = (*BODY_PROBLEMS, "bad-request", *KEY_PROBLEMS, *STORING_PROBLEMS)


def add_task_types(definitions: Iterable[TaskDefinition], components: Components) -> None:
    """Add input, result and status of each task type to the components, and `TaskResult` for any type."""
    definitions = list(definitions)
    components.reserve("TaskResult")
    for definition in definitions:
        for part in ("Input", "Result", "Status"):
            components.reserve(component_name(definition, part))
    for definition in definitions:
        components.add(component_name(definition, "Input"), definition.input_schema)
        components.add(component_name(definition, "Result"), definition.output_schema)
        narrowed = {"properties": {"task": one_of(definition.name)}}
        components.add(component_name(definition, "Status"), {"allOf": [reference("TaskStatus"), narrowed]})
    components.add("TaskResult", _any_result(definitions))


def _any_result(definitions: Iterable[TaskDefinition]) -> Schema:
    return {
        "description": "The result of a succeeded task; `result` depends on its task type.",
        "type": "object",
        "properties": {
            "task_id": {"type": "string", "format": "uuid"},
            "status": one_of("succeeded"),
            "result": {
                "anyOf": [reference(component_name(definition, "Result")) for definition in definitions] or [{}]
            },
        },
        "required": ["task_id", "status", "result"],
    }


def component_name(definition: TaskDefinition, part: str) -> str:
    """Return the component name of a task type's `Input`, `Result` or `Status`."""
    return _camel(definition.name) + part


def _camel(name: str) -> str:
    """Convert `image_info` to `ImageInfo`. Dots and hyphens stay, so that names remain unique."""
    return re.sub(r"(?:^|_)([a-z0-9])|_", lambda match: (match[1] or "_").upper(), name)


def submit_route(definition: TaskDefinition, components: Components) -> Route:
    """Describe the submit of one task type, whose parameters are among the components."""
    properties = components.schemas[component_name(definition, "Input")].get("properties", {})
    result = component_name(definition, "Result")
    with_result = {"properties": {"result": {"anyOf": [reference(result), {"type": "null"}]}}}
    return Route(
        "post",
        f"/tasks/{definition.name}",
        f"submit_{definition.name}",
        (
            ResponseSpec(
                200,
                "With `wait`: the task has ended in time; its status with the result. With `unique`: the status of the "
                "earlier task with this key.",
                {"allOf": [reference(component_name(definition, "Status")), with_result]},
                (*CACHED, *TICKET_HEADERS, "Preference-Applied", "Idempotency-Replayed", "Task-Deduplicated"),
                _LINKS,
            ),
            ResponseSpec(
                202,
                f"Stored and queued: the status object. Its result will be a `{result}`, inside a `TaskResult`.",
                reference(component_name(definition, "Status")),
                (*CACHED, *TICKET_HEADERS, "Preference-Applied", "Idempotency-Replayed"),
                _LINKS,
            ),
        ),
        "tasks",
        definition.summary or definition.name,
        Access.SUBMIT,
        _description(definition),
        parameters=SUBMIT_PARAMETERS,
        inline=tuple(_query_parameters(definition, properties)),
        body=_body(definition, properties),
        problems=_PROBLEMS,
    )


def _description(definition: TaskDefinition) -> str:
    text = definition.description or definition.summary
    if definition.single_upload:
        return f"{text}\n\nA raw body is `{definition.single_upload}`; put the other parameters into the query."
    if not definition.uploads:
        return f"{text}\n\nWithout a body, put the parameters into the query. A JSON body has all of them."
    return text


def _body(definition: TaskDefinition, properties: Mapping[str, Schema]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "application/json": {"schema": reference(component_name(definition, "Input")), "example": _example(definition)},
        "multipart/form-data": _form(definition, properties),
    }
    if not definition.uploads:
        content["application/x-www-form-urlencoded"] = {"schema": content["multipart/form-data"]["schema"]}
    if definition.single_upload:
        for media_type in definition.accepts or ("*/*",):
            content.setdefault(media_type, {})
    return {"required": bool(definition.input_schema.get("required")) and bool(definition.uploads), "content": content}


def _example(definition: TaskDefinition) -> Any:
    """A small sample input, with files of an accepted type."""
    example = sample(definition.input_schema)
    if definition.accepts and not any(each.startswith("image/") for each in definition.accepts):
        file = next((_SAMPLES[each] for each in definition.accepts if each in _SAMPLES), _SAMPLES["text/csv"])
        example |= {name: file for name in definition.uploads if name in example}
    return example


def _form(definition: TaskDefinition, inputs: Mapping[str, Schema]) -> dict[str, Any]:
    properties, encoding = {}, {}
    for name, schema in definition.input_schema.get("properties", {}).items():
        if name in definition.uploads:
            properties[name] = _file_part(definition.uploads[name], schema)
            encoding[name] = {"contentType": ", ".join(definition.accepts) or _ANY_BYTES}
        else:
            properties[name] = _as_text(without_null(inputs[name]), is_plain(schema, definition.input_schema))
    form: dict[str, Any] = {"schema": {"type": "object", "properties": properties, "additionalProperties": False}}
    if required := definition.input_schema.get("required"):
        form["schema"]["required"] = required
    return form | ({"encoding": encoding} if encoding else {})


def _file_part(arity: Arity, schema: Schema) -> Schema:
    # `format` is OpenAPI 3.0's keyword; without it, generators of clients send a file as text
    part: Schema = {"type": "string", "format": "binary", "contentMediaType": _ANY_BYTES}
    field = part if arity is Arity.ONE else {"type": "array", "items": part}
    field |= {key: schema[key] for key in ("minItems", "maxItems") if key in schema}
    description = schema.get("description")
    return field | ({"description": description} if description else {})


def _as_text(schema: Schema, plain: bool) -> Schema:
    """A parameter as a form field: plain values unchanged, others as JSON text."""
    if plain:
        return schema
    annotations: Schema = {key: schema.pop(key) for key in ("title", "description") if key in schema}
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": schema, **annotations}


def _query_parameters(definition: TaskDefinition, properties: Mapping[str, Schema]) -> Iterable[dict[str, Any]]:
    if definition.uploads and not definition.single_upload:
        return
    for name, schema in definition.input_schema.get("properties", {}).items():
        if name in definition.uploads:
            continue
        moved = without_null(properties[name])
        moved.pop("default", None)  # generated clients send it, but with a JSON body the query must be empty
        parameter: dict[str, Any] = {"name": name, "in": "query"}
        if description := moved.pop("description", None):
            parameter["description"] = description
        if is_plain(schema, definition.input_schema):
            yield parameter | {"schema": moved}
        else:
            yield parameter | {"content": {"application/json": {"schema": moved}}}
