"""An application that talks to a model, with guardrail around it.

Serve it with `uvicorn wrap_fastapi:app`; run as a program, it asks itself a question. Needs
OPENAI_API_KEY, or OPENAI_BASE_URL for another model.
"""

import asyncio

import httpx
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

from guardrail.asgi.middleware import Guardrail

CONFIG = {
    "apps": {
        "default": {"establishment": "DE", "origin": "DE", "basis": "contract", "filings": ["TIA"]}
    },
    "endpoints": {
        "us": {"provider": "openai", "location": "US", "models": ["gpt-*"]}
        | {"agreements": ["DPA", "SCC"]}
    },
}

api = FastAPI()


class Question(BaseModel):
    """What a user asks."""

    question: str


@api.post("/chat")
async def chat(asked: Question) -> dict[str, str | None]:
    """Asks the model. What arrives here already holds pseudonyms."""
    async with AsyncOpenAI() as model:
        answer = await model.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": asked.question}]
        )
    return {"answer": answer.choices[0].message.content}


app = Guardrail(api, CONFIG)


async def main() -> None:
    """Asks as a user would."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), timeout=60) as user:
        question = {"question": "Write to erika.mustermann@example.com that all is well."}
        answer = await user.post("http://app/chat", json=question)
    print(answer.headers["x-guardrail-treatment"], answer.json()["answer"])


if __name__ == "__main__":
    asyncio.run(main())
