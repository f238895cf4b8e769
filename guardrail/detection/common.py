"""Words that a model mistakes for names: parts of programs, and orders to an assistant."""

from __future__ import annotations

import builtins
import keyword
import sys
import typing

PROGRAMMING = frozenset(
    {
        *dir(builtins),
        *keyword.kwlist,
        *typing.__all__,
        *sys.stdlib_module_names,
        *(
            "TODO FIXME NOTE XXX API SDK CLI Context Scope Tuple Enum Deque Mixin Validator "
            "Serializer Decorator Iterator Generator Coroutine Callback Middleware Endpoint Router "
            "Request Response Session Client Server Handler Logger Parser Lexer Token Tokenizer "
            "Schema Model Query Cursor Transaction Migration Alias Unpack Normalize Var Struct "
            "Trait Impl Vec Arc Mutex Promise Observable Component Props State Reducer "
            "Container Pod Node Cluster Namespace Ingress Docker Kubernetes Git GitHub GitLab "
            "Bash Zsh PowerShell Ruff Mypy Pytest Tox Poetry Conda Jupyter NumPy SciPy "
            "Pandas PyTorch TensorFlow Keras Scikit Django Flask FastAPI Starlette Pydantic "
            "Uvicorn Gunicorn Redis Kafka Postgres MySQL SQLite Mongo Nginx Apache Cython "
            "Changelog Readme Roadmap Timezone Helpers Bump Deps Foo Bar Baz Qux Lorem Ipsum "
            "ANSI ASCII JSON YAML TOML HTML HTTP REST gRPC OAuth JWT UUID UTC ETA README LICENSE "
            "ASGI WSGI CI GPG IANA URIs URLs DOI HDFS Docs Shell Syntax Spinner "
            "Sphinx Usage Setuptools Quickstart Prerequisites Acknowledgements Builds "
            "Revert Specifiers Decorators Tables Emoji Chunked Precommit Lockfiles "
            "Submodules Colab Chardet "
            "pip ruff uv npm yarn cargo kubectl terraform ansible curl wget grep sed awk"
        ).split(),
    }
)
"""Written exactly so, none of these is a person or a place."""

ORDERS = frozenset(
    (
        # English
        "summarise summarize translate explain write rewrite draft list describe compare give tell "
        "show make create generate fix improve correct suggest convert calculate find plan analyse "
        "analyze outline review help ask check answer please thanks "
        # German
        "schreibe schreib erkläre übersetze fasse erstelle nenne gib zeige formuliere korrigiere "
        "verbessere vergleiche liste beschreibe berechne finde plane hilf sag mach antworte bitte "
        # Spanish, Portuguese
        "dame escribe traduce resume explica haz crea corrige busca enumera describe compara "
        "redacta genera calcula mejora dime ayúdame planifica escreva traduza resuma explique crie "
        "faça liste corrija gere calcule melhore sugira compare "
        # French
        "écris écrivez traduis traduisez résume résumez explique expliquez donne donnez rédige "
        "rédigez fais faites crée créez corrige corrigez propose proposez compare décris aide "
        # Italian
        "dammi scrivi traduci riassumi spiega trova crea correggi proponi elenca descrivi "
        "genera calcola migliora dimmi aiutami pianifica grazie "
        # Dutch
        "schrijf vertaal geef maak vat noem beschrijf vergelijk verbeter corrigeer bereken "
        "vertel help plan bedankt "
        # Swedish, Danish, Norwegian
        "skriv översätt förklara ge gör sammanfatta lista beskriv jämför förbättra hitta planera "
        "hjälp oversæt forklar giv lav opsummer sammenlign find hjælp oversett forklar gi lag "
        "oppsummer sammenlign hjelp takk tack tak "
        # Polish, Czech
        "napisz przetłumacz wyjaśnij podaj zrób streść wymień opisz porównaj popraw znajdź "
        "wymyśl stwórz pomóż dzięki napiš přelož vysvětli uveď shrň popiš porovnej oprav najdi "
        # Finnish, Hungarian, Romanian, Turkish
        "kirjoita käännä selitä tiivistä kuvaile vertaa korjaa írj írd fordítsd magyarázd "
        "adj készíts foglald sorold javítsd scrie tradu explică dă fă rezumă compară corectează "
        "yaz çevir açıkla ver yap özetle listele karşılaştır düzelt bul"
    ).split()
)
"""Verbs with which people begin what they ask of an assistant, in lower case."""
