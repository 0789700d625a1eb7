"""The OpenAPI document as a page to read: plain HTML, made here, nothing loaded from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

#: Parts of the document that are about any path.
_COMMON = (
    *("400", "401", "403", "405", "408", "413", "414", "415", "421", "431"),
    *("500", "503", "504"),
)


def docs_page(contract: dict[str, Any]) -> str:
    """Return the page."""
    info = contract["info"]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<title>spool: the API</title><link rel="icon" href="/static/icon.svg">',
        '<link rel="stylesheet" href="/static/page.css"></head>',
        '<body class="docs"><header><h1>spool: the API</h1>',
        '<nav><a href="/">The spool</a> <a href="/openapi.json">openapi.json</a></nav></header>',
        f"<main><p>{escape(info['description'])} Version {escape(info['version'])}.</p>",
    ]
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(path, method, operation))
    anywhere = contract["paths"]["/healthz"]["get"]["responses"]
    parts.append("<section><h2>Answers of any path</h2>")
    parts.append(_answers({code: anywhere[code] for code in _COMMON}))
    parts.append("</section><section><h2>Shapes</h2>")
    for name, schema in contract["components"]["schemas"].items():
        shape = escape(json.dumps(schema, indent=2))
        parts.append(
            f'<h3 id="{name}">{name}</h3>'
            f'<pre tabindex="0" role="region" aria-label="{name}">{shape}</pre>'
        )
    parts.append("</section></main></body></html>\n")
    return "\n".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    name, summary = operation["operationId"], escape(operation["summary"])
    parts = [
        f'<section><h2 id="{name}"><code>{method.upper()} {escape(path)}</code></h2>',
        f"<p>{summary}</p>",
    ]
    rows = [
        (p["name"], p["in"], _kind(p["schema"]), p["description"]) for p in operation["parameters"]
    ]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        rows.append(("body", "JSON", _kind(schema), ""))
    if rows:
        cells = "".join(
            f"<tr><th scope=row><code>{escape(name)}</code><td>{place}<td>{kind}<td>{escape(text)}"
            for name, place, kind, text in rows
        )
        parts.append(
            "<table><thead><tr><th scope=col>name<th scope=col>in<th scope=col>kind"
            f"<th scope=col>meaning</thead><tbody>{cells}</tbody></table>"
        )
    own = {code: r for code, r in operation["responses"].items() if code not in _COMMON}
    parts.append(_answers(own) + "</section>")
    return "\n".join(parts)


def _answers(responses: dict[str, Any]) -> str:
    items = "".join(
        f"<dt>{code}<dd>{escape(response['description'])} {_shapes(response)}"
        for code, response in sorted(responses.items())
    )
    return f"<dl>{items}</dl>"


def _shapes(response: dict[str, Any]) -> str:
    kinds = [
        f"{escape(media)}: {_kind(content['schema'])}"
        for media, content in response.get("content", {}).items()
    ]
    return f"<small>({'; '.join(kinds)})</small>" if kinds else ""


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "oneOf" in schema:
        return " or ".join(map(_kind, schema["oneOf"]))
    if "enum" in schema:
        return escape(", ".join(schema["enum"]))
    kind = schema.get("type", "bytes")
    if kind == "array":
        return f"list of {_kind(schema['items'])}"
    if kind == "object" and schema.get("properties"):
        inside = ", ".join(f"{name}: {_kind(s)}" for name, s in schema["properties"].items())
        return f"{{{inside}}}"
    span = [str(schema[name]) for name in ("minimum", "maximum") if name in schema]
    shown = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return escape(f"{shown}, {' to '.join(span)}" if len(span) == 2 else shown)
