"""Instructor on the OpenAI SDK: an answer as an object, whole and in parts."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel
from servers import SDK_HTTP, user

from clients.doors import BACK, REFUSED, TEXT, Door, wanted

pytestmark = pytest.mark.slow


class send_mail(BaseModel):  # the tool is called like the class
    """What the model is to answer with."""

    text: str


@pytest.fixture
def instructor() -> Any:
    return wanted("instructor")


def connect(instructor: Any, door: Door) -> Any:
    client = openai.OpenAI(
        base_url=f"{door.url}/v1", api_key="k", max_retries=0, http_client=door.client(SDK_HTTP)
    )
    return instructor.from_openai(client)


def test_object(instructor: Any, door: Door) -> None:
    answer = connect(instructor, door).chat.completions.create(
        model="gpt-4o", messages=user(TEXT), response_model=send_mail, max_retries=0
    )
    assert answer.text == BACK
    assert door.kept()


def test_object_streamed(instructor: Any, door: Door) -> None:
    parts = connect(instructor, door).chat.completions.create_partial(
        model="gpt-4o", messages=user(TEXT), response_model=send_mail, max_retries=0
    )
    assert list(parts)[-1].text == BACK
    assert door.kept()


def test_refused(instructor: Any, door: Door) -> None:
    with pytest.raises(Exception, match=REFUSED) as caught:
        connect(instructor, door.prohibited).chat.completions.create(
            model="gpt-4o", messages=user(TEXT), response_model=send_mail, max_retries=0
        )
    assert isinstance(caught.value.__cause__ or caught.value, openai.PermissionDeniedError)
    assert door.shut()
