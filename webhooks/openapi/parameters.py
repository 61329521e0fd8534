"""What a path and its query carry, as OpenAPI has it: made of a route and its query's model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from werkzeug.routing import Rule

from models.domain.json_fields import MAX_ID_BYTES
from webhooks.door.operation import Operation
from webhooks.door.values import MAX_MADE_ID_BYTES

Json = dict[str, Any]

SCHEMAS = "#/components/schemas/{model}"
IN_QUERY = {
    "session": "session",
    "session_id": "session",
    "event_id": "event_id",
    "user_id": "user_id",
    "course_id": "course_id",
}
"""Where the query says what a path can't: any text, slashes too."""


class Untitled(GenerateJsonSchema):
    """Fields have names; a title made of the name says nothing more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def sort(self, value: Any, parent_key: str | None = None) -> Any:
        """As declared: examples read as a story, not as an index."""
        return value


OF_SESSION = {"session", "session_id"}
"""Names whose ids may be made on the spot: longer by a day."""


def of_path(rule: Rule) -> Iterator[Json]:
    """The route's variables, and the query's that says what a path can't."""
    for name in sorted(rule.arguments):
        most = MAX_MADE_ID_BYTES if name in OF_SESSION else MAX_ID_BYTES
        schema = {"type": "string", "minLength": 1, "maxLength": most}
        parameter = {"name": name, "in": "path", "required": True, "schema": schema}
        if name not in IN_QUERY:
            yield parameter
            continue
        yield parameter | {"description": "`-` when it stands in the query."}
        yield {
            "name": IN_QUERY[name],
            "in": "query",
            "schema": {"type": "string"},
            "description": "What the path means by `-`: any text, slashes too.",
        }


def of_query(operation: Operation) -> Iterator[Json]:
    """The fields of the model that reads the query."""
    if operation.query is None:
        return
    declared = operation.query.model_json_schema(schema_generator=Untitled, ref_template=SCHEMAS)
    required = declared.get("required", ())
    for name, schema in declared["properties"].items():
        described = {"description": schema.pop("description")} if "description" in schema else {}
        yield {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": _without_null(schema),
            **described,
        }


def _without_null(schema: Json) -> Json:
    """A query can leave a parameter out, but can't say null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if not kinds:
        return schema
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return rest | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
