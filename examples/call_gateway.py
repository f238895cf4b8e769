"""An application behind the gateway: it changes its base URL and nothing else.

    guardrail serve --file gateway.toml
    python call_gateway.py

GUARDRAIL_URL is where the gateway listens.
"""

import os

from openai import OpenAI

PROMPT = "My name is Erika Mustermann, my IBAN is DE89370400440532013000."


def main() -> None:
    """Asks the cloud model by its name, then leaves the choice to guardrail."""
    url = os.environ.get("GUARDRAIL_URL", "http://127.0.0.1:8750")
    with OpenAI(base_url=f"{url}/v1", api_key="none needed on loopback") as client:
        for model in ("gpt-4o", "auto"):
            raw = client.chat.completions.with_raw_response.create(
                model=model, messages=[{"role": "user", "content": PROMPT}]
            )
            went = raw.headers["x-guardrail-endpoint"], raw.headers["x-guardrail-treatment"]
            print(model, *went, raw.parse().choices[0].message.content, sep=" | ")
        stream = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": PROMPT}], stream=True
        )
        for chunk in stream:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
