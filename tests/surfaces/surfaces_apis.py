"""Which types of which SDK say what each operation of each API takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from surfaces_catalogue import Protocol, Section
from surfaces_types import Fields, Source, is_installed, load, parameters, walk, without

_Type = str | Callable[[], object]


def _request(operation: str, *types: _Type, form: bool = False) -> Source:
    return Source(section=Section("request", operation, form), types=types)


def _response(operation: str, *types: _Type) -> Source:
    return Source(section=Section("response", operation), types=types)


def _event(operation: str, *types: _Type) -> Source:
    return Source(section=Section("event", operation), types=types)


_OPENAI = "openai.types"
_CHAT = "/v1/chat/completions"
_COMPLETIONS = "/v1/completions"
_RESPONSES = "/v1/responses"
_EMBEDDINGS = "/v1/embeddings"
_MODERATIONS = "/v1/moderations"
_SPEECH = "/v1/audio/speech"
_TRANSCRIPTIONS = "/v1/audio/transcriptions"
_TRANSLATIONS = "/v1/audio/translations"
_GENERATIONS = "/v1/images/generations"
_EDITS = "/v1/images/edits"
_VARIATIONS = "/v1/images/variations"
_FILES = "/v1/files"
_OPENAI_BATCHES = "/v1/batches"
_MESSAGES = "/v1/messages"
_COUNT_TOKENS = "/v1/messages/count_tokens"
_BATCHES = "/v1/messages/batches"
_GEMINI = "/v1beta/models/gpt-5:generateContent"
_GEMINI_STREAM = "/v1beta/models/gpt-5:streamGenerateContent"


def _gemini() -> Fields:
    """The body of a request, which the SDK puts together from its parameters."""
    types = "google.genai.types"
    config = load(f"{types}:GenerateContentConfig")
    fields: Fields = config.model_fields  # type: ignore[attr-defined]
    beside = {
        "contents": list[load(f"{types}:Content")],  # type: ignore[misc]
        "systemInstruction": load(f"{types}:Content"),
        "tools": list[load(f"{types}:Tool")],  # type: ignore[misc]
        "generationConfig": load(f"{types}:GenerationConfig"),
    }
    return beside | {
        written: getattr(fields[name], "annotation")  # noqa: B009
        for name, written in {
            "tool_config": "toolConfig",
            "safety_settings": "safetySettings",
            "cached_content": "cachedContent",
            "labels": "labels",
            "model_armor_config": "modelArmorConfig",
            "service_tier": "serviceTier",
        }.items()
        if name in fields
    }


_gemini_answer = without(
    "google.genai.types:GenerateContentResponse",
    *"automaticFunctionCallingHistory parsed sdkHttpResponse".split(),
)


def _framed(**parts: _Type) -> Callable[[], Fields]:
    """A JSON-RPC message, which its SDK validates apart from what it carries."""

    def read() -> Fields:
        carried = {n: load(t) if isinstance(t, str) else t() for n, t in parts.items()}
        return {"jsonrpc": str, "id": str, **carried}

    return read


APIS: Mapping[str, tuple[str, tuple[Source, ...]]] = MappingProxyType(
    {
        # protocol: (the SDK's package, where its types are)
        "openai.chat": (
            "openai",
            (
                _request(
                    _CHAT,
                    f"{_OPENAI}.chat.completion_create_params:CompletionCreateParamsStreaming",
                ),
                _response(_CHAT, f"{_OPENAI}.chat:ChatCompletion"),
                _event(_CHAT, f"{_OPENAI}.chat:ChatCompletionChunk"),
            ),
        ),
        "openai.completions": (
            "openai",
            (
                _request(
                    _COMPLETIONS,
                    f"{_OPENAI}.completion_create_params:CompletionCreateParamsStreaming",
                ),
                _response(_COMPLETIONS, f"{_OPENAI}:Completion"),
                _event(_COMPLETIONS, f"{_OPENAI}:Completion"),
            ),
        ),
        "openai.responses": (
            "openai",
            (
                _request(
                    _RESPONSES,
                    f"{_OPENAI}.responses.response_create_params:ResponseCreateParamsStreaming",
                ),
                _response(_RESPONSES, f"{_OPENAI}.responses:Response"),
                _event(_RESPONSES, f"{_OPENAI}.responses:ResponseStreamEvent"),
            ),
        ),
        "openai.embeddings": (
            "openai",
            (
                _request(_EMBEDDINGS, f"{_OPENAI}:EmbeddingCreateParams"),
                _response(_EMBEDDINGS, f"{_OPENAI}:CreateEmbeddingResponse"),
            ),
        ),
        "openai.moderations": (
            "openai",
            (
                _request(_MODERATIONS, f"{_OPENAI}:ModerationCreateParams"),
                _response(_MODERATIONS, f"{_OPENAI}:ModerationCreateResponse"),
            ),
        ),
        "openai.audio": (
            "openai",
            (
                _request(_SPEECH, f"{_OPENAI}.audio:SpeechCreateParams"),
                _request(
                    _TRANSCRIPTIONS,
                    f"{_OPENAI}.audio.transcription_create_params:"
                    "TranscriptionCreateParamsStreaming",
                    form=True,
                ),
                _response(_TRANSCRIPTIONS, f"{_OPENAI}.audio:TranscriptionCreateResponse"),
                _event(_TRANSCRIPTIONS, f"{_OPENAI}.audio:TranscriptionStreamEvent"),
                _request(_TRANSLATIONS, f"{_OPENAI}.audio:TranslationCreateParams", form=True),
                _response(_TRANSLATIONS, f"{_OPENAI}.audio:TranslationCreateResponse"),
            ),
        ),
        "openai.images": (
            "openai",
            (
                _request(
                    _GENERATIONS, f"{_OPENAI}.image_generate_params:ImageGenerateParamsStreaming"
                ),
                _response(_GENERATIONS, f"{_OPENAI}:ImagesResponse"),
                _event(_GENERATIONS, f"{_OPENAI}:ImageGenStreamEvent"),
                _request(
                    _EDITS, f"{_OPENAI}.image_edit_params:ImageEditParamsStreaming", form=True
                ),
                _response(_EDITS, f"{_OPENAI}:ImagesResponse"),
                _event(_EDITS, f"{_OPENAI}:ImageEditStreamEvent"),
                _request(_VARIATIONS, f"{_OPENAI}:ImageCreateVariationParams", form=True),
                _response(_VARIATIONS, f"{_OPENAI}:ImagesResponse"),
            ),
        ),
        "openai.files": (
            "openai",
            (
                _request(_FILES, f"{_OPENAI}:FileCreateParams", form=True),
                _response(_FILES, f"{_OPENAI}:FileObject"),
            ),
        ),
        "openai.batches": (
            "openai",
            (
                _request(_OPENAI_BATCHES, f"{_OPENAI}:BatchCreateParams"),
                _response(_OPENAI_BATCHES, f"{_OPENAI}:Batch"),
            ),
        ),
        "anthropic.messages": (
            "anthropic",
            (
                _request(
                    _MESSAGES,
                    "anthropic.types.message_create_params:MessageCreateParamsStreaming",
                    "anthropic.types.beta.message_create_params:MessageCreateParamsStreaming",
                ),
                _response(_MESSAGES, "anthropic.types:Message", "anthropic.types.beta:BetaMessage"),
                _event(
                    _MESSAGES,
                    "anthropic.types:RawMessageStreamEvent",
                    "anthropic.types.beta:BetaRawMessageStreamEvent",
                ),
            ),
        ),
        "anthropic.count_tokens": (
            "anthropic",
            (
                _request(
                    _COUNT_TOKENS,
                    "anthropic.types:MessageCountTokensParams",
                    "anthropic.types.beta:MessageCountTokensParams",
                ),
                _response(
                    _COUNT_TOKENS,
                    "anthropic.types:MessageTokensCount",
                    "anthropic.types.beta:BetaMessageTokensCount",
                ),
            ),
        ),
        "anthropic.batches": (
            "anthropic",
            (
                _request(
                    _BATCHES,
                    "anthropic.types.messages:BatchCreateParams",
                    "anthropic.types.beta.messages:BatchCreateParams",
                ),
                _response(
                    _BATCHES,
                    "anthropic.types.messages:MessageBatch",
                    "anthropic.types.beta.messages:BetaMessageBatch",
                ),
                _event(
                    f"{_BATCHES}/msgbatch_1/results",
                    "anthropic.types.messages:MessageBatchIndividualResponse",
                    "anthropic.types.beta.messages:BetaMessageBatchIndividualResponse",
                ),
            ),
        ),
        "gemini.generate": (
            "google.genai",
            (
                _request(_GEMINI, _gemini),
                _response(_GEMINI, _gemini_answer),
                _event(_GEMINI_STREAM, _gemini_answer),
            ),
        ),
        "ollama.chat": (
            "ollama",
            (
                _request("/api/chat", "ollama._types:ChatRequest"),
                _response("/api/chat", "ollama:ChatResponse"),
                _event("/api/chat", "ollama:ChatResponse"),
            ),
        ),
        "ollama.generate": (
            "ollama",
            (
                _request("/api/generate", "ollama._types:GenerateRequest"),
                _response("/api/generate", "ollama:GenerateResponse"),
                _event("/api/generate", "ollama:GenerateResponse"),
            ),
        ),
        "ollama.embed": (
            "ollama",
            (
                _request("/api/embed", "ollama._types:EmbedRequest"),
                _response("/api/embed", "ollama:EmbedResponse"),
                _request("/api/embeddings", "ollama._types:EmbeddingsRequest"),
                _response("/api/embeddings", "ollama:EmbeddingsResponse"),
            ),
        ),
        "cohere.chat": (
            "cohere",
            (
                _request("/v2/chat", parameters("cohere.v2.client:V2Client.chat")),
                _response("/v2/chat", "cohere:V2ChatResponse"),
                _event("/v2/chat", "cohere:V2ChatStreamResponse"),
            ),
        ),
        "cohere.embed": (
            "cohere",
            (
                _request("/v2/embed", parameters("cohere.v2.client:V2Client.embed")),
                _response("/v2/embed", "cohere:EmbedByTypeResponse"),
            ),
        ),
        "cohere.rerank": (
            "cohere",
            (
                _request("/v2/rerank", parameters("cohere.v2.client:V2Client.rerank")),
                _response("/v2/rerank", "cohere:V2RerankResponse"),
            ),
        ),
        "mcp": (
            "mcp_types",
            (
                _request(
                    "/mcp",
                    "mcp_types:ClientRequest",
                    "mcp_types:ClientNotification",
                    _framed(result="mcp_types:ClientResult"),
                    _framed(error="mcp_types:ErrorData"),
                ),
                _response(
                    "/mcp",
                    _framed(result="mcp_types:ServerResult"),
                    _framed(error="mcp_types:ErrorData"),
                ),
                _event(
                    "/mcp",
                    "mcp_types:ServerRequest",
                    "mcp_types:ServerNotification",
                    _framed(result="mcp_types:ServerResult"),
                    _framed(error="mcp_types:ErrorData"),
                ),
            ),
        ),
    }
)


def is_known(protocol: str) -> bool:
    """Whether the SDK of a protocol is installed."""
    return is_installed(APIS[protocol][0])


def found(protocol: str) -> Protocol:
    """Gives the places that the installed SDK of a protocol knows."""
    return walk(APIS[protocol][1])
