"""The OpenAPI document: valid, complete, and consistent with the application and its tasks."""

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, Field

from server import tasks
from server.sdk import signature
from server.sdk.context import Context, OutputFile, Upload
from server.sdk.definition import Retries, TaskDefinition, TimeLimits
from server.sdk.registry import catalog
from server.services.options import OptionsIn
from server.services.status import TaskStatus, status_json
from server.settings import Settings
from server.store import Store
from server.store.record import AttemptEnd, EarlierAttempt, Record, Status
from server.web import openapi
from server.web.app import create_app
from server.web.errors import problem_types
from server.web.openapi.components import Components
from server.web.ui import docs

SETTINGS = Settings(redis_url="redis://127.0.0.1:6399/0")  # nothing connects to it here

METHODS = ("get", "put", "post", "delete", "head", "patch")

#: Addresses of pages and of their files, which do what the routes do, and one rule that the document has as one path
#: for each task type.
PAGES = ("/static/", "/ui/")
SUBMIT = "/tasks/{name}"


tasks.load(SETTINGS)
APP = create_app(Store(SETTINGS))


@pytest.fixture
def app() -> Flask:
    return APP


def document() -> dict[str, Any]:
    with APP.app_context():
        return docs.document()


def build(definitions: list[TaskDefinition]) -> dict[str, Any]:
    with APP.app_context():
        return openapi.build(definitions, docs.routes())


def task_type_of(function: Any, name: str = "", accepts: tuple[str, ...] = ()) -> TaskDefinition:
    read = signature.read(function)
    name = name or function.__name__
    return TaskDefinition(name, function, read, "", "", TimeLimits(1, 2), Retries(), "default", accepts=accepts)


def fits(doc: dict[str, Any], schema: str, value: Any) -> bool:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": doc["components"]}
    return bool(Draft202012Validator(whole).is_valid(value))


def operations(doc: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in doc["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def resolved(doc: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = doc
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref" and isinstance(each, str):
                yield each
            elif key == "mapping":
                yield from each.values()
            elif key not in ("default", "example", "examples", "enum", "const"):
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def assert_whole(doc: dict[str, Any]) -> None:
    """Check that it validates, and that every reference has a target inside it."""
    OpenAPIV31SpecValidator(doc).validate()
    for ref in references(doc):
        assert ref.startswith("#/components/"), ref
        resolved(doc, {"$ref": ref})


# The document and the app


@pytest.mark.slow
def test_the_document_is_valid_openapi() -> None:
    assert_whole(document())


def test_the_document_has_exactly_the_routes_of_the_app(app: Flask) -> None:
    rules = set()
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        head_too = {"HEAD"} if "{name}" in path and "/files/" in path else set()
        # OpenAPI 3.1 has no QUERY; POST /tasks/query describes it.
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD", "QUERY"} | head_too:
            if not path.startswith(PAGES):
                rules.add((path, method.lower()))

    submits = {f"/tasks/{task_type.name}" for task_type in catalog()}
    described = {(SUBMIT if path in submits else path, method) for path, method, _ in operations(document())}

    assert described == rules


def test_every_task_type_has_a_path_with_its_own_input_and_ticket() -> None:
    doc = document()
    inputs, tickets = set(), set()
    for task_type in catalog():
        operation = doc["paths"][f"/tasks/{task_type.name}"]["post"]
        assert operation["operationId"] == f"submit_{task_type.name}"
        inputs.add(operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])
        tickets.add(operation["responses"]["202"]["content"]["application/json"]["schema"]["$ref"])

    assert len(inputs) == len(tickets) == len(list(catalog()))


def test_the_result_route_lists_the_result_of_every_task_type() -> None:
    result = document()["components"]["schemas"]["TaskResult"]["properties"]["result"]
    assert len(result["anyOf"]) == len({each["$ref"] for each in result["anyOf"]}) == len(list(catalog()))


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document())]
    assert len(ids) == len(set(ids))


def test_path_parameters_match_the_paths() -> None:
    doc = document()
    for path, _, operation in operations(doc):
        parameters = [resolved(doc, each) for each in operation["parameters"]]
        assert {each["name"] for each in parameters if each["in"] == "path"} == set(re.findall(r"{(\w+)}", path)), path


def test_links_lead_to_operations_and_name_their_parameters() -> None:
    doc = document()
    by_id = {operation["operationId"]: operation for _, _, operation in operations(doc)}
    for link in doc["components"]["links"].values():
        target = by_id[link["operationId"]]
        names = {resolved(doc, each)["name"] for each in target["parameters"]}
        assert set(link["parameters"]) <= names


def test_a_submit_links_to_status_result_cancel_and_files() -> None:
    doc = document()
    links = doc["paths"]["/tasks/thumbnail"]["post"]["responses"]["202"]["links"].values()
    assert {resolved(doc, each)["operationId"] for each in links} == {
        "get_status",
        "get_result",
        "cancel_task",
        "get_file",
    }


def test_the_document_is_built_once() -> None:
    assert document() is document()


def test_every_option_of_a_submit_is_a_parameter_of_every_submit() -> None:
    doc = document()
    for task_type in catalog():
        parameters = [resolved(doc, each) for each in doc["paths"][f"/tasks/{task_type.name}"]["post"]["parameters"]]
        assert set(OptionsIn.model_fields) <= {each["name"] for each in parameters if each["in"] == "query"}
        assert {"Idempotency-Key", "Cancel-After"} <= {each["name"] for each in parameters if each["in"] == "header"}


def test_every_parameter_has_a_description() -> None:
    assert all(each["description"] for each in document()["components"]["parameters"].values())


# Errors


def test_every_error_is_problem_json_and_lists_the_problems_of_its_status() -> None:
    doc = document()
    for path, _, operation in operations(doc):
        for status, response in operation["responses"].items():
            if status != "default" and int(status) < 400:
                continue
            content = resolved(doc, response)["content"]
            assert set(content) == {"application/problem+json"}, path
            if status != "default":
                examples = content["application/problem+json"]["examples"]
                assert {problem_types()[name].status for name in examples} == {int(status)}, path


def test_a_route_with_a_key_may_answer_401_and_a_public_one_declares_no_security() -> None:
    for path, _, operation in operations(document()):
        assert ("401" in operation["responses"]) == (operation.get("security") != []), path


def test_a_503_has_retry_after() -> None:
    doc = document()
    for path, _, operation in operations(doc):
        if "503" in operation["responses"]:
            assert "Retry-After" in resolved(doc, operation["responses"]["503"])["headers"], path


# Bodies


def test_the_example_of_every_task_type_is_valid_input() -> None:
    doc = document()
    for task_type in catalog():
        content = doc["paths"][f"/tasks/{task_type.name}"]["post"]["requestBody"]["content"]
        example = content["application/json"]["example"]
        assert fits(doc, content["application/json"]["schema"]["$ref"].rpartition("/")[2], example), task_type.name
        task_type.validate_fields(example)


def test_an_upload_is_an_object_in_json_a_binary_part_in_a_form_and_a_raw_body() -> None:
    content = document()["paths"]["/tasks/thumbnail"]["post"]["requestBody"]["content"]
    form = content["multipart/form-data"]

    assert form["schema"]["properties"]["image"]["contentMediaType"] == "application/octet-stream"
    assert "image/jpeg" in form["encoding"]["image"]["contentType"]
    assert content["image/jpeg"] == {}
    json_schema = document()["components"]["schemas"]["ThumbnailInput"]["properties"]["image"]
    assert json_schema["$ref"] == "#/components/schemas/Upload"


def test_with_a_raw_body_the_other_parameters_are_in_the_query() -> None:
    doc = document()
    operation = doc["paths"]["/tasks/thumbnail"]["post"]
    parameters = [resolved(doc, each) for each in operation["parameters"]]
    query = {each["name"] for each in parameters if each["in"] == "query"}
    properties = set(doc["components"]["schemas"]["ThumbnailInput"]["properties"])
    assert query - signature.RESERVED == properties - {"image"}


def test_a_list_of_uploads_is_an_array_of_parts() -> None:
    def merge(pages: list[Upload]) -> int:
        return len(pages)

    doc = build([task_type_of(merge, accepts=("application/pdf",))])

    assert_whole(doc)
    form = doc["paths"]["/tasks/merge"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["pages"]["type"] == "array"
    assert form["properties"]["pages"]["items"]["type"] == "string"


def test_a_nested_parameter_is_json_text_in_a_form_and_a_plain_list_is_repeated() -> None:
    class Step(BaseModel):
        op: str

    def work(steps: list[Step], names: list[str]) -> int:
        return len(steps) + len(names)

    doc = build([task_type_of(work)])

    form = doc["paths"]["/tasks/work"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["steps"]["contentMediaType"] == "application/json"
    assert form["properties"]["names"]["type"] == "array"


# Schemas


def test_nested_models_of_a_task_keep_their_references() -> None:
    class Colour(StrEnum):
        RED = "red"

    class Dot(BaseModel):
        shape: Literal["dot"]
        colour: Colour

    class Group(BaseModel):
        shape: Literal["group"]
        members: "list[Annotated[Dot | Group, Field(discriminator='shape')]]"

    Group.model_rebuild(_types_namespace={"Dot": Dot, "Group": Group, **globals()})

    def draw(group: Group) -> Group:
        return group

    doc = build([task_type_of(draw)])

    assert_whole(doc)
    dot = {"shape": "dot", "colour": "red"}
    nested = {"shape": "group", "members": [dot, {"shape": "group", "members": [dot]}]}
    assert fits(doc, "DrawInput", {"group": nested})
    assert fits(doc, "DrawResult", nested)
    assert not fits(doc, "DrawInput", {"group": {"shape": "group", "members": [{"shape": "dot", "colour": "blue"}]}})


def test_different_models_of_one_name_do_not_clash_and_equal_ones_are_shared() -> None:
    def options(**fields: Any) -> type[BaseModel]:
        return type("Options", (BaseModel,), {"__annotations__": fields})

    first, second, same_as_first = options(level=int), options(level=str), options(level=int)

    def task_of(model: Any) -> Any:
        def run(options: Any) -> int:
            return 1

        run.__annotations__["options"] = model
        return run

    doc = build(
        [
            task_type_of(task_of(first), "a"),
            task_type_of(task_of(second), "b"),
            task_type_of(task_of(same_as_first), "c"),
        ]
    )

    assert_whole(doc)
    assert [fits(doc, f"{name}Input", {"options": {"level": 1}}) for name in "ABC"] == [True, False, True]
    assert sum("Options" in name for name in doc["components"]["schemas"]) == 2


def test_a_model_named_like_one_of_our_objects_does_not_replace_it() -> None:
    class Problem(BaseModel):
        mine: int

    class TaskStatus(BaseModel):
        mine: int

    def solve(problem: Problem) -> list[TaskStatus]:
        return [TaskStatus(mine=problem.mine)]

    doc = build([task_type_of(solve)])

    assert_whole(doc)
    assert "title" in doc["components"]["schemas"]["ProblemObject"]["properties"]
    assert fits(doc, "SolveInput", {"problem": {"mine": 1}})
    assert fits(doc, "SolveResult", [{"mine": 1}])


def test_names_that_differ_only_in_punctuation_have_separate_components() -> None:
    def one(x: int) -> int:
        return x

    doc = build([task_type_of(one, name) for name in ("a_b", "a.b", "a-b", "ab", "a__b")])

    assert_whole(doc)
    inputs = [name for name in doc["components"]["schemas"] if name.endswith("Input")]
    assert len(inputs) == 5


def test_data_that_looks_like_a_reference_is_unchanged() -> None:
    data = {"$ref": "#/$defs/Nothing"}
    components = Components()
    name = components.reserve("Kept")

    components.add(name, {"default": data, "properties": {"default": {"$ref": "#/$defs/X"}}, "$defs": {"X": {}}})

    assert components.schemas["Kept"]["default"] == data
    assert components.schemas["Kept"]["properties"]["default"] == {"$ref": "#/components/schemas/X"}


def test_a_parameter_may_have_the_name_of_a_json_schema_keyword() -> None:
    class Inner(BaseModel):
        x: int

    def odd(default: Inner, examples: list[Inner], properties: Inner) -> int:
        return default.x

    doc = build([task_type_of(odd)])

    assert_whole(doc)
    assert not fits(doc, "OddInput", {"default": {"x": "no"}, "examples": [], "properties": {"x": 1}})


def test_a_server_without_tasks_has_a_document() -> None:
    assert_whole(build([]))


def test_a_file_result_matches_its_schema() -> None:
    def paint(ctx: Context) -> OutputFile:
        raise NotImplementedError

    file = {"name": "a.png", "media_type": "image/png", "bytes": 1, "sha256": "0", "href": "/tasks/1/files/a.png"}
    assert fits(build([task_type_of(paint)]), "PaintResult", file | {"width": 1, "height": 1})


@pytest.mark.parametrize("status", Status)
def test_a_status_response_matches_its_schema(status: Status) -> None:
    record = Record(
        "01997b5c-0a1e-7c3d-9f00-2b7c1d4e5f60",
        "alice",
        "divide",
        status,
        due_ms=1_767_225_600_000,
        progress={"done": 1, "total": 2, "percent": 50, "message": "50 %s, \0"},
        retry_of="01997b5c-0a1e-7c3d-9f00-000000000000",
        earlier_attempts=[EarlierAttempt(1_767_225_600_000, 1_500, ending, "why") for ending in AttemptEnd],
        error={"type": "/problems/task-error", "title": "t", "detail": "d"} if status is Status.FAILED else None,
    )
    text = status_json(record, None if status.done else 1, "")
    assert TaskStatus.model_validate_json(text).as_json() == text
    sent = json.loads(text)
    assert sent["progress"]["message"] == "50 %s, \0"
    assert fits(document(), "DivideStatus", sent)
    assert not fits(document(), "ThumbnailStatus", sent)
    assert set(sent) <= set(document()["components"]["schemas"]["TaskStatus"]["properties"])


def test_an_upload_has_exactly_one_of_three_forms() -> None:
    doc, task_id = document(), "01997b5c-0a1e-7c3d-9f00-2b7c1d4e5f60"
    url, data, file = {"url": "https://example.org/a"}, {"data": "YQ=="}, {"task_id": task_id, "file": "a.txt"}
    assert all(fits(doc, "Upload", each) for each in (url, data, file))
    named = {"filename": "a.txt", "media_type": "text/plain"}
    assert fits(doc, "Upload", url | named) and fits(doc, "Upload", data | named)
    for wrong in (url | data, url | file, data | file, data | {"task_id": task_id}, url | {"file": "a.txt"}, named):
        assert not fits(doc, "Upload", wrong)
        assert not fits(doc, "Upload", wrong | named)
    assert not fits(doc, "Upload", file | named)
    assert fits(doc, "Upload", {"data": ""}) and not fits(doc, "Upload", {"data": "YQ"})


def test_examples_of_headers_can_be_sent() -> None:
    components = document()["components"]
    headers = [each for each in components["parameters"].values() if each["in"] == "header"]
    examples = [str(each["example"]) for each in [*headers, *components["headers"].values()]]
    assert [text for text in examples if not text.isascii()] == []


def test_the_example_of_a_task_type_has_a_file_that_it_accepts() -> None:
    for path, name in (("/tasks/csv_stats", "prices.csv"), ("/tasks/thumbnail", "cat.gif")):
        body = document()["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert next(each["filename"] for each in body["example"].values() if "data" in each) == name


def test_a_form_and_a_query_have_no_null() -> None:
    operation = document()["paths"]["/tasks/thumbnail"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    query = {each["name"]: each["schema"] for each in operation["parameters"] if "schema" in each}
    for schema in (form["quality"], query["quality"]):
        assert (schema["type"], schema["maximum"]) == ("integer", 100)
        assert "default" not in schema


def test_the_document_has_the_patterns_of_names() -> None:
    image = {"data": "", "filename": "cat.gif"}
    for name, valid in (("small", True), ("", False), ("a b", False)):
        assert fits(document(), "ImageVariantsInput", {"image": image, "variants": {name: {"width": 5}}}) is valid
