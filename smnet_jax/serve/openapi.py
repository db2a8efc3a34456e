"""What the API takes and gives, in OpenAPI's words (3.1)."""

from typing import Any

from smnet_jax.version import __version__

_PROBLEMS = {
    "400": "An option that is none, or out of range.",
    "403": "Asked under another name, or by another page.",
    "408": "The photo did not arrive in time.",
    "413": "Too many bytes.",
    "415": "A form; the body must be the file itself.",
    "422": "Not a readable photo, or too many pixels.",
    "429": "Too much is waiting; the header Retry-After says for how many seconds to wait.",
    "503": "Not computed in time.",
    "507": "The photo does not fit into memory.",
}


def description(limits: Any) -> dict[str, Any]:
    """The document for /openapi.json. `limits` is an `app.Limits`."""
    picture = {"schema": {"type": "string", "format": "binary"}}
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    enhanced = {
        "description": "The photo, brightened, as a file.",
        "headers": {
            "smnet-size": {"description": "WIDTHxHEIGHT", "schema": {"type": "string"}},
            "smnet-notes": {
                "description": "A JSON list of sentences: what could not be kept.",
                "schema": {"type": "string"},
            },
        },
        "content": {"image/*": picture},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "smnet serve",
            "version": __version__,
            "summary": "Brightens dark photos.",
            "description": "Photos stay on the machine that runs the server.",
        },
        "paths": {
            "/enhance": {
                "post": {
                    "operationId": "enhance",
                    "summary": "Brighten one photo.",
                    "description": "EXIF, colour profile, transparency and 16 bits are kept where the format can. "
                    f"At most {limits.photo_bytes >> 20} MB and {limits.megapixels:g} megapixels.",
                    "parameters": [
                        _parameter("strength", {"type": "number", "minimum": 0, "maximum": 1, "default": 1}),
                        _parameter("exposure", {"type": "number", "minimum": -4, "maximum": 4, "default": 0}),
                        _parameter("format", {"enum": ["jpg", "png", "webp", "bmp", "tiff", "avif"]}),
                        _parameter("quality", {"type": "integer", "minimum": 1, "maximum": 100, "default": 95}),
                    ],
                    "requestBody": {
                        "required": True,
                        "content": {"image/*": picture, "application/octet-stream": picture},
                    },
                    "responses": {
                        "200": enhanced,
                        **{status: {"description": text, "content": problem} for status, text in _PROBLEMS.items()},
                    },
                }
            },
            "/healthz": {
                "get": {
                    "operationId": "health",
                    "summary": "Whether the server is up, its weights and limits.",
                    "responses": {"200": {"description": "It is.", "content": {"application/json": {}}}},
                }
            },
        },
        "components": {
            "schemas": {
                "Problem": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
            }
        },
    }


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    about = {
        "strength": "0 gives the photo as it is, 1 the network's result, between them a blend.",
        "exposure": "Stops by which the result gets brighter (or darker, below 0) in its shadows; nothing clips.",
        "format": "Of the result; the photo's own if left out.",
        "quality": "Of JPEG, WebP and AVIF.",
    }[name]
    return {"name": name, "in": "query", "description": about, "schema": schema}
