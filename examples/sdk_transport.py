"""Guardrail inside a provider's SDK: no server, no other base URL, one argument.

Needs OPENAI_API_KEY; OPENAI_BASE_URL for another model.
"""

import os
from contextlib import closing

import httpx2  # with openai before version 3: httpx
from openai import OpenAI, PermissionDeniedError
from openai.types.chat import ChatCompletionUserMessageParam

from guardrail.config import build, load_config
from guardrail.transport import transports

CONFIG = {
    "apps": {"crm": {"establishment": "DE", "origin": "DE", "basis": "contract"}},
    "endpoints": {
        "openai": {
            "url": os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"),
            "provider": "openai",
            "location": "IE",
            "agreements": ["DPA"],
            "models": ["gpt-*"],
        }
    },
}

PICTURE: ChatCompletionUserMessageParam = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}],
}

GuardrailTransport, AsyncGuardrailTransport = transports(httpx2)


def main() -> None:
    """Asks twice: a key is removed before anything leaves, and a picture stays here."""
    with closing(build(load_config(CONFIG))) as built:
        transport = GuardrailTransport(built, app="crm")
        with OpenAI(http_client=httpx2.Client(transport=transport)) as client:
            text = "Why does sk-proj-Zq8LkT2vYwXn5RbC7dFhJ3mP not work?"
            answer = client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": text}]
            )
            print(answer.choices[0].message.content)
            try:
                client.chat.completions.create(model="gpt-4o", messages=[PICTURE])
            except PermissionDeniedError as error:
                print(error.code)


if __name__ == "__main__":
    main()
