"""Where requests go, and what they ask for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from simulator.errors import InputError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server's streaming interface: `url` of completions or of chat, and the `model` to name.

    With `ignore_eos` (known to vLLM, SGLang and others, not to OpenAI) every output has the length asked for.
    """

    url: str
    model: str
    chat: bool = False
    ignore_eos: bool = True

    def body(self, prompt: str, output_tokens: int) -> bytes:
        """The JSON of one request."""
        asked = {"messages": [{"role": "user", "content": prompt}]} if self.chat else {"prompt": prompt}
        values = {
            "model": self.model,
            **asked,
            "max_tokens": output_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        return json.dumps(values | ({"ignore_eos": True} if self.ignore_eos else {})).encode()


def endpoint(base: str, model: str, *, chat: bool = False, ignore_eos: bool = True) -> Endpoint:
    """The interface of a server at `base`, such as http://127.0.0.1:8000, with or without /v1 behind it.

    Raises `InputError` for anything but a plain http or https address.
    """
    try:
        parts = urlsplit(base)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:
        raise InputError(f"URL {base!r} cannot be read: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"URL {base!r} is no web address: give one such as http://127.0.0.1:8000")
    if parts.username is not None or parts.password is not None:
        raise InputError("the URL holds a user name or password: give a key by an environment variable instead")
    if parts.query or parts.fragment:
        raise InputError(f"URL {base!r} has a query or a fragment: give the address of the server alone")
    path = parts.path.rstrip("/").removesuffix("/v1")
    if path.endswith("/completions"):
        raise InputError(f"URL {base!r} names an interface: give the address of the server, and --chat if wanted")
    tail = "chat/completions" if chat else "completions"
    return Endpoint(f"{parts.scheme}://{parts.netloc}{path}/v1/{tail}", model, chat, ignore_eos)
