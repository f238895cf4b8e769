"""Documentation is tested: every setting has its row, every default is the real one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from guardrail import config

TEXT = Path(__file__).parent.parent.joinpath("docs/configuration.md").read_text("utf-8")
TABLES: dict[str, type[BaseModel]] = {
    "apps.<id>": config.AppConfig,
    "apps.<id>.detection": config.AppDetectionConfig,
    "endpoints.<id>": config.EndpointConfig,
    "policies": config.PoliciesConfig,
    "regions": config.RegionsConfig,
    "detection": config.DetectionConfig,
    "output": config.OutputConfig,
    "pseudonyms": config.PseudonymsConfig,
    "vaults": config.VaultsConfig,
    "media": config.MediaConfig,
    "audit": config.AuditConfig,
    "limits": config.LimitsConfig,
    "middleware": config.MiddlewareConfig,
    "gateway": config.GatewayConfig,
}


def section(table: str) -> str:
    heading = re.search(rf"^## .*`\[{re.escape(table)}\]`.*$", TEXT, re.MULTILINE)
    assert heading, f"docs/configuration.md has no section for [{table}]"
    return TEXT[heading.end() :].split("\n## ", 1)[0]


def documented(table: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section(table), re.MULTILINE))


def test_every_table_of_the_configuration_has_a_section() -> None:
    assert {name.split(".")[0] for name in TABLES} == set(config.Config.model_fields)


@pytest.mark.parametrize("table", TABLES)
def test_every_setting_is_documented_and_no_other(table: str) -> None:
    assert set(documented(table)) == set(TABLES[table].model_fields)


@pytest.mark.parametrize("table", TABLES)
def test_documented_defaults_are_the_real_ones(table: str) -> None:
    rows = documented(table)
    for name, field in TABLES[table].model_fields.items():
        default = field.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            assert rows[name] == "required", name
        elif rows[name].startswith("`"):
            shown = rows[name].strip("`")
            if isinstance(default, bool):
                assert shown == str(default).lower(), name
            elif isinstance(default, frozenset | tuple):
                assert shown == json.dumps(sorted(default)), name
            else:
                assert shown == str(default), name
        else:
            assert default in (None, "", config.AppDetectionConfig()), name
