"""One credential of each service, drawn from a seed: no real one stands in this file."""

from __future__ import annotations

import random
import re
from pathlib import Path
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits
from urllib.parse import urlsplit

import pytest

from guardrail.detection.credentials import issued_credentials
from guardrail.detection.patterns import find
from guardrail.detection.secrets import secret_catalogue, secret_rules
from guardrail.transform.stream import StreamRule, compile_rules
from guardrail.types import Finding

RULES = secret_rules()
ALPHABETS = {
    "w": ascii_letters + digits,
    "h": digits + "abcdef",
    "d": digits,
    "A": ascii_uppercase + digits,
    "l": ascii_lowercase + digits,
    "2": ascii_uppercase + "234567",
    "a": ascii_letters,
}
_DRAWN = re.compile(r"<(\d+)(\w)>")

SAMPLES = {
    # name of the rule: how it is written; <36w> stands for 36 letters and digits
    "openai-key": "sk-proj-<48w>",
    "anthropic-key": "sk-ant-api03-<95w>",
    "openrouter-key": "sk-or-v1-<64h>",
    "langfuse-key": "sk-lf-<8h>-<4h>-<4h>-<4h>-<12h>",
    "langsmith-key": "lsv2_pt_<32h>_<10h>",
    "hugging-face-token": "hf_<34w>",
    "hugging-face-organisation-token": "api_org_<34a>",
    "groq-key": "gsk_<52w>",
    "perplexity-key": "pplx-<48w>",
    "replicate-token": "r8_<37w>",
    "xai-key": "xai-<80w>",
    "nvidia-key": "nvapi-<64w>",
    "cerebras-key": "csk-<48l>",
    "fireworks-key": "fw_<24w>",
    "pinecone-key": "pcsk_<5w>_<63w>",
    "tavily-key": "tvly-dev-<32w>",
    "elevenlabs-key": "sk_<48h>",
    "google-oauth-client-secret": "GOCSPX-<28w>",
    "google-access-token": "ya29.<120w>",
    "digitalocean-token": "dop_v1_<64h>",
    "heroku-token": "HRKU-AA<58w>",
    "netlify-token": "nfp_<36w>",
    "vercel-token": "vcp_<56w>",
    "fly-token": "fm2_<200w>",
    "render-key": "rnd_<28w>",
    "tailscale-key": "tskey-auth-<16w>-<32w>",
    "databricks-oauth-secret": "dose<32h>",
    "vault-token": "hvs.<90w>",
    "pulumi-token": "pul-<40h>",
    "doppler-token": "dp.st.prd.<43w>",
    "1password-service-account": "ops_eyJ<250w>",
    "1password-secret-key": "A3-<6A>-<6A>-<5A>-<5A>-<5A>-<5A>",
    "age-secret-key": "AGE-SECRET-KEY-1<58A>",
    "github-token": "ghp_<36w>",
    "github-fine-grained": "github_pat_<22w>_<59w>",
    "gitlab-token": "glpat-<20w>",
    "gitlab-other-token": "glrt-<20w>",
    "bitbucket-data-center-token": "BBDC-<44w>",
    "buildkite-token": "bkua_<40h>",
    "circleci-token": "CCIPAT_<22w>_<40h>",
    "sonarqube-token": "squ_<40h>",
    "npm-token": "npm_<36w>",
    "pypi-token": "pypi-AgEIcHlwaS5vcmc<160w>",
    "rubygems-key": "rubygems_<48h>",
    "docker-token": "dckr_pat_<27w>",
    "clojars-token": "CLOJARS_<60l>",
    "slack-token": "xoxb-<12d>-<13d>-<24w>",
    "slack-app-token": "xapp-1-A<10A>-<13d>-<64h>",
    "slack-webhook": "hooks.slack.com/services/T<8A>/B<10A>/<24w>",
    "teams-webhook": "webhook.office.com/webhookb2/<8h>-<4h>-<4h>-<4h>-<12h>@"
    "<8h>-<4h>-<4h>-<4h>-<12h>/IncomingWebhook/<32h>/<8h>-<4h>-<4h>-<4h>-<12h>",
    "discord-webhook": "discord.com/api/webhooks/<18d>/<68w>",
    "sendgrid-key": "SG.<22w>.<43w>",
    "mailgun-key": "key-<32h>",
    "mailgun-public-key": "pubkey-<32h>",
    "brevo-key": "xkeysib-<64h>-<16w>",
    "resend-key": "re_<8w>_<24w>",
    "stripe-key": "sk_live_<24w>",
    "stripe-webhook-secret": "whsec_<32w>",
    "square-token": "sq0csp-<43w>",
    "braintree-token": "access_token$production$<16l>$<32h>",
    "shopify-token": "shpat_<32h>",
    "plaid-token": "access-production-<8h>-<4h>-<4h>-<4h>-<12h>",
    "razorpay-key": "rzp_live_<14w>",
    "flutterwave-key": "FLWSECK-<32h>-X",
    "new-relic-key": "NRAK-<27A>",
    "sentry-token": "sntrys_eyJ<120w>",
    "grafana-token": "glsa_<32w>_<8h>",
    "dynatrace-token": "dt0c01.<24A>.<64A>",
    "honeycomb-key": "hcaik_<58l>",
    "launchdarkly-key": "sdk-<8h>-<4h>-<4h>-<4h>-<12h>",
    "postman-key": "PMAK-<24h>-<34h>",
    "dropbox-token": "sl.u.<140w>",
    "notion-key": "secret_<43w>",
    "notion-token": "ntn_<11d><35w>",
    "linear-key": "lin_api_<40w>",
    "figma-token": "figd_<40w>",
    "hubspot-token": "pat-na1-<8h>-<4h>-<4h>-<4h>-<12h>",
    "clickup-token": "pk_<8d>_<32A>",
    "typeform-token": "tfp_<44w>",
    "contentful-token": "CFPAT-<43w>",
    "mapbox-token": "sk.eyJ<80w>.<22w>",
    "supabase-key": "sbp_<40h>",
    "planetscale-token": "pscale_tkn_<43w>",
    "neon-key": "napi_<64l>",
    "linkedin-client-secret": "WPL_AP1.<16w>.<6w>==",
    "prefect-key": "pnu_<36w>",
    "aws-access-key-id": "AKIA<16" + "2>",
    "google-api-key": "AIza<35w>",
    "databricks-token": "dapi<32h>",
    "atlassian-token": "ATATT3<186w>",
    "bitbucket-app-password": "ATBB<32w>",
    "twilio-key": "SK<32h>",
    "airtable-token": "pat<14w>.<64h>",
    "crates-io-token": "cio<32w>",
    "nuget-key": "oy2<43l>",
    "facebook-token": "EAAC<160w>",
    "square-access-token": "EAAA<60w>",
    "x-bearer-token": "AAAAAAAAAAAAAAAAAAAAAA<80w>",
    "firebase-server-key": "AAAA<7w>:APA91b<134w>",
    "telegram-bot-token": "<10d>:AA<33w>",
    "entra-client-secret": "<3w>8Q~<34w>",
    "azure-devops-token": "<76w>AZDO<4w>",
    "terraform-token": "<14w>.atlasv1.<67w>",
    "artifactory-token": "AKCp<69w>",
    "artifactory-reference-token": "cmVmd<59w>",
    "intercom-token": "dG9rO<55w>=",
    "alibaba-access-key-id": "LTAI<20w>",
    "tencent-secret-id": "AKID<32w>",
    "adyen-key": "AQE<100w>",
    "discord-bot-token": "MTk4NjIyNDgzNDcxOTI1MjQ4.<6w>.<38w>",
    "mailchimp-key": "<32h>-us12",
}
NAMED = {
    # what is only found where its service is named
    "mistral-key": ("MISTRAL_API_KEY={}", "<32w>"),
    "cohere-key": ('cohere = {{"api_key": "{}"}}', "<40w>"),
    "wandb-key": ("export WANDB_API_KEY={}", "<40h>"),
    "deepgram-key": ("DEEPGRAM_API_KEY: {}", "<40h>"),
    "cloudflare-token": ("CLOUDFLARE_API_TOKEN={}", "<40w>"),
    "fastly-token": ("Fastly-Key: {}", "<32w>"),
    "datadog-key": ("datadog:\n  api_key: {}", "<32h>"),
    "pagerduty-key": ("the PagerDuty API key is {}", "<20w>"),
    "okta-token": ("OKTA_API_TOKEN='{}'", "00<40w>"),
    "auth0-client-secret": ("AUTH0_CLIENT_SECRET={}", "<64w>"),
    "heroku-key": ("HEROKU_API_KEY={}", "<8h>-<4h>-<4h>-<4h>-<12h>"),
    "postmark-token": ("X-Postmark-Server-Token: {}", "<8h>-<4h>-<4h>-<4h>-<12h>"),
    "snyk-token": ("SNYK_TOKEN={}", "<8h>-<4h>-<4h>-<4h>-<12h>"),
    "codecov-token": ("CODECOV_TOKEN={}", "<8h>-<4h>-<4h>-<4h>-<12h>"),
    "vercel-named-token": ("VERCEL_TOKEN={}", "<24w>"),
    "hetzner-token": ("HCLOUD_TOKEN={}", "<64w>"),
    "linode-token": ("LINODE_TOKEN={}", "<64h>"),
    "twilio-auth-token": ("TWILIO_AUTH_TOKEN={}", "<32h>"),
    "plaid-secret": ("PLAID_SECRET={}", "<30h>"),
    "paypal-client-secret": ("PAYPAL_CLIENT_SECRET={}", "E<79w>"),
    "coinbase-key": ("COINBASE_API_SECRET={}", "<32w>"),
    "asana-token": ("ASANA_TOKEN={}", "1/<16d>:<32h>"),
    "zendesk-token": ("ZENDESK_API_TOKEN={}", "<40w>"),
    "algolia-key": ("ALGOLIA_ADMIN_KEY={}", "<32h>"),
    "linkedin-secret": ("LINKEDIN_CLIENT_SECRET={}", "<16w>"),
    "x-api-secret": ("TWITTER_API_SECRET={}", "<50w>"),
    "vault-legacy-token": ("VAULT_TOKEN={}", "s.<24w>"),
    "aws-secret-access-key": ("aws_secret_access_key = {}", "<40w>"),
    "google-refresh-token": ("GOOGLE_REFRESH_TOKEN={}", "1//0<60w>"),
    "azure-account-key": ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};", "<86w>=="),
    "azure-sas-signature": ("https://a.blob.core.windows.net/c?sv=2022-11-02&sig={}", "<43w>%3D"),
    "sentry-dsn": ("https://{}@o123456.ingest.sentry.io/4501", "<32h>"),
    "google-service-account": ('"private_key_id": "{}",', "<40h>"),
    "mailgun-private-key": ("MAILGUN_API_KEY={}", "<32h>-<8h>-<8h>"),
}
AROUND = {
    "alone": "{}",
    "prose": "Please use {} for the deployment, it works.",
    "json": '{{"id": 7, "value": "{}"}}',
    "dotenv": "DEBUG=1\nSERVICE_VALUE={}\nPORT=80\n",
    "yaml": "service:\n  value: {}\n  port: 80\n",
    "code": "client = Client('{}', retries=3)",
    "markdown": "Run it with `{}`:\n\n* or not",
    "address": "https://example.org/?v={}&page=2",
    "after a bracket": "({})",
}


def draw(template: str, *, seed: int = 7) -> str:
    """A value of the form, the same on every run; mixed, as a random one nearly always is."""
    chance = random.Random(f"{template}{seed}")

    def letters(match: re.Match[str]) -> str:
        return "".join(chance.choices(ALPHABETS[match[2]], k=int(match[1])))

    while True:
        value = _DRAWN.sub(letters, template)
        if re.search(r"\d|[a-z][A-Z]", value[4:]) and re.search(r"[A-Za-z]", value):
            return value


def search(text: str) -> list[Finding]:
    return find(RULES, text, threshold=0.4, timeout=30)


def values(text: str, rule: str) -> set[tuple[str, str]]:
    return {
        (f.entity, text[f.span.start : f.span.end]) for f in search(text) if f.recognizer == rule
    }


ENTITIES = {rule.name: rule.entity for rule in RULES}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND.keys())
@pytest.mark.parametrize("name", SAMPLES)
def test_a_credential_is_found_whole(name: str, around: str) -> None:
    value = draw(SAMPLES[name])
    text = around.format(value)
    assert (ENTITIES[name], value) in values(text, name)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", NAMED)
def test_a_credential_is_found_where_its_service_is_named(name: str, seed: int) -> None:
    around, template = NAMED[name]
    value = draw(template, seed=seed)
    assert values(around.format(value), name) == {(ENTITIES[name], value)}


@pytest.mark.parametrize("name", NAMED)
def test_what_has_no_form_of_its_own_is_not_found_without_its_service(name: str) -> None:
    value = draw(NAMED[name][1])
    assert values(f"the build {value} is done", name) == set() or name == "mailgun-private-key"


FIXED = sorted(
    row.name
    for row in issued_credentials()
    if row.name in SAMPLES and re.fullmatch(r"(?:[^{]|\{\d+\})*", row.pattern)
)


@pytest.mark.parametrize("name", FIXED)
def test_one_character_short_is_not_one(name: str) -> None:
    value = draw(SAMPLES[name])
    assert values(f"see {value}", name) != set()
    assert values(f"see {value[:-1]}", name) == set()
    assert values(f"see {value}q", name) == set()


@pytest.mark.parametrize("name", SAMPLES)
def test_another_beginning_is_not_one(name: str) -> None:
    template = SAMPLES[name]
    changed = re.sub(r"(?<![<\w])[A-Za-z0-9]", "q", template, count=1)
    changed = changed.replace("AZDO", "AZDQ").replace("atlasv1", "atlasv2").replace("Q~", "Q-")
    changed = changed.replace(":AA", ":QQ").replace("-us12", "-as12")
    assert values(draw(changed), name) == set()


def test_every_row_has_a_sample() -> None:
    rows = {row.name for row in issued_credentials()}
    assert rows <= SAMPLES.keys() | NAMED.keys()
    assert len({row.service for row in issued_credentials()}) >= 60


def test_every_row_says_where_its_format_is_described() -> None:
    for _, service, source in secret_catalogue():
        assert urlsplit(source).scheme == "https", service
        assert "." in urlsplit(source).netloc, service


def test_names_are_unique() -> None:
    assert len(ENTITIES) == len(RULES)


def test_every_rule_holds_on_a_stream() -> None:
    compile_rules(
        StreamRule(name=rule.name, pattern=rule.pattern, rewrite=lambda text, left: None)
        for rule in RULES
    )


@pytest.mark.parametrize("name", ["openai-key", "github-token", "stripe-key", "gitlab-token"])
def test_a_credential_is_found_right_after_a_script_without_spaces(name: str) -> None:
    value = draw(SAMPLES[name])
    text = f"密钥{value}。"
    assert value in {text[f.span.start : f.span.end] for f in search(text)}


@pytest.mark.parametrize(
    "value",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-your-api-key-goes-here-1234",
        "sk-proj-XXXXXXXXXXXXXXXXXXXXXXXX",
        "hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        "glpat-********************",
        "sk-learn-like-names-with-hyphens-only",
    ],
)
def test_what_documentation_writes_is_not_one(value: str) -> None:
    assert search(f"use {value} here") == []


def test_nothing_is_found_in_the_source_of_the_package() -> None:
    package = Path(__file__).parents[2] / "guardrail"
    alarms = [
        (str(path.relative_to(package)), finding.recognizer)
        for path in sorted(package.rglob("*.py"))
        if path.parent.name != "demo"  # what it plants is there to be found
        for finding in search(path.read_text("utf-8"))
    ]
    assert alarms == []
