"""A kind of personal data that only one company knows: its staff numbers.

The configuration puts the entity into a category, so that policies know what it is; the patterns in
`own_entity.yaml` find it, in requests and in answers, whole and streamed. Needs OPENAI_API_KEY, or
OPENAI_BASE_URL.
"""

import os
from contextlib import closing
from pathlib import Path

import httpx2  # with openai before version 3: httpx
from openai import OpenAI

from guardrail.config import build, load_config
from guardrail.transport import transports

CONFIG = {
    "apps": {
        "default": {"establishment": "DE", "origin": "DE", "basis": "contract", "filings": ["TIA"]}
    },
    "endpoints": {
        "openai": {
            "url": os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"),
            "provider": "openai",
            "location": "US",
            "agreements": ["DPA", "SCC"],
            "models": ["gpt-*"],
        }
    },
    "detection": {
        "entities": {"STAFF_NUMBER": "national-id"},
        "recognizers": [str(Path(__file__).with_suffix(".yaml"))],
    },
}

if __name__ == "__main__":
    transport, _ = transports(httpx2)
    with (
        closing(build(load_config(CONFIG))) as built,
        OpenAI(http_client=httpx2.Client(transport=transport(built))) as client,
    ):
        asked = {"role": "user", "content": "When did S-204711 start, and badge no. 330215?"}
        answer = client.chat.completions.create(model="gpt-4o", messages=[asked])  # type: ignore[list-item]  # a plain dict stands for the SDK's own
        print(answer.choices[0].message.content)
