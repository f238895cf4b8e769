"""What services issue: a row per format, with where its issuer describes it.

A row is found where its beginning stands alone as a word, so that a text without that word costs
one look into a set. Where a format has no beginning of its own, its service must be named, and what
it is (`DATADOG_API_KEY=…`, `the Datadog key: …`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from guardrail.detection.patterns import Rule, Scope, Validator

BEFORE = r"(?<![^\W_])"
"""A token begins where a word does; `_` separates words."""
AT_WORD = r"(?<![^\W_].)"
"""`BEFORE`, said after the first character: the engine finds a character sooner than a look."""
_AT_RUN = r"(?<![A-Za-z0-9].)"
AFTER = r"(?![A-Za-z0-9])"
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts that put no space before a token, as members of a set."""

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


def entropy(value: str) -> float:
    """Shannon entropy in bits per code point."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


_EXAMPLE = re.compile(r"EXAMPLE|(?i:your)[_-]|[_-](?i:your)[_-]|(.)\1{9}|[xX]{6}|\*{4}")
"""What documentation writes in a token that has a format of its own.

AWS documents keys that end in EXAMPLE and open nothing. Everything narrower than this is found.
"""
_MIXED = re.compile(r"\d|[a-z][A-Z]|[A-Z][a-z]+[A-Z]")


def looks_issued(value: str) -> bool | None:
    """False for what documentation writes in place of a token, and for hyphenated words."""
    if _EXAMPLE.search(value.lstrip("A")) or not _MIXED.search(value[4:]):
        return False
    return None if entropy(value) >= 2.5 else False


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One kind of credential: what finds it, and the page on which it is described.

    `service` is who issues it, empty where people and programs write it down. `words` are
    lower-case words of which a text must hold one, `requires` strings of which it must hold one;
    `group` is the part of a match that is the credential.
    """

    entity: str
    name: str
    pattern: str
    source: str
    service: str = ""
    words: str = ""
    requires: tuple[str, ...] = ()
    group: int = 0
    score: float = 0.95
    scope: Scope = Scope.ANYWHERE
    validate: Validator | None = looks_issued

    def rule(self) -> Rule:
        """Gives the rule that finds it; each match is certain enough to stand alone."""
        return Rule(
            entity=self.entity,
            name=self.name,
            pattern=self.pattern,
            score=self.score,
            group=self.group,
            words=frozenset(self.words.split()),
            requires=self.requires,
            scope=self.scope,
            validate=self.validate,
        )


_Rows = tuple[tuple[str, str, str, str, str, str], ...]

_PREFIXED: _Rows = (
    # entity, service, name, words, pattern, source
    # ── models ───────────────────────────────────────────────────────────────────────────────────
    (
        "API_KEY",
        "OpenAI",
        "openai-key",
        "sk",
        r"sk-(?!ant-|or-v1-|lf-)(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,4096}",
        "https://platform.openai.com/docs/api-reference/authentication",
    ),
    (
        "API_KEY",
        "Anthropic",
        "anthropic-key",
        "sk",
        r"sk-ant-[A-Za-z0-9_-]{20,4096}",
        "https://docs.anthropic.com/en/api/getting-started",
    ),
    (
        "API_KEY",
        "OpenRouter",
        "openrouter-key",
        "sk",
        r"sk-or-v1-[0-9a-f]{64}",
        "https://openrouter.ai/docs/api-reference/authentication",
    ),
    (
        "API_KEY",
        "Langfuse",
        "langfuse-key",
        "sk",
        rf"sk-lf-{_UUID}",
        "https://langfuse.com/docs/api-and-data-platform/features/public-api",
    ),
    (
        "API_KEY",
        "LangSmith",
        "langsmith-key",
        "lsv2",
        r"lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}",
        "https://docs.smith.langchain.com/administration/how_to_guides/organization_management/create_account_api_key",
    ),
    (
        "API_KEY",
        "Hugging Face",
        "hugging-face-token",
        "hf",
        r"hf_[A-Za-z0-9]{34,60}",
        "https://huggingface.co/docs/hub/security-tokens",
    ),
    (
        "API_KEY",
        "Hugging Face",
        "hugging-face-organisation-token",
        "api",
        r"api_org_[A-Za-z]{34}",
        "https://huggingface.co/docs/hub/security-tokens",
    ),
    (
        "API_KEY",
        "Groq",
        "groq-key",
        "gsk",
        r"gsk_[A-Za-z0-9]{52}",
        "https://console.groq.com/docs/quickstart",
    ),
    (
        "API_KEY",
        "Perplexity",
        "perplexity-key",
        "pplx",
        r"pplx-[A-Za-z0-9]{48,56}",
        "https://docs.perplexity.ai/guides/api-key-management",
    ),
    (
        "API_KEY",
        "Replicate",
        "replicate-token",
        "r8",
        r"r8_[A-Za-z0-9]{37}",
        "https://replicate.com/docs/topics/security/api-tokens",
    ),
    (
        "API_KEY",
        "xAI",
        "xai-key",
        "xai",
        r"xai-[A-Za-z0-9]{80}",
        "https://docs.x.ai/docs/tutorial",
    ),
    (
        "API_KEY",
        "NVIDIA",
        "nvidia-key",
        "nvapi",
        r"nvapi-[A-Za-z0-9_-]{60,72}",
        "https://docs.api.nvidia.com/nim/docs/api-quickstart",
    ),
    (
        "API_KEY",
        "Cerebras",
        "cerebras-key",
        "csk",
        r"csk-[a-z0-9]{48}",
        "https://inference-docs.cerebras.ai/quickstart",
    ),
    (
        "API_KEY",
        "Fireworks",
        "fireworks-key",
        "fw",
        r"fw_[A-Za-z0-9]{22,24}",
        "https://docs.fireworks.ai/getting-started/quickstart",
    ),
    (
        "API_KEY",
        "Pinecone",
        "pinecone-key",
        "pcsk",
        r"pcsk_[A-Za-z0-9]{5,6}_[A-Za-z0-9]{60,64}",
        "https://docs.pinecone.io/guides/projects/manage-api-keys",
    ),
    (
        "API_KEY",
        "Tavily",
        "tavily-key",
        "tvly",
        r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{32}",
        "https://docs.tavily.com/documentation/quickstart",
    ),
    (
        "API_KEY",
        "ElevenLabs",
        "elevenlabs-key",
        "sk",
        r"sk_[0-9a-f]{48}",
        "https://elevenlabs.io/docs/api-reference/authentication",
    ),
    # ── clouds and hosting ───────────────────────────────────────────────────────────────────────
    (
        "API_KEY",
        "Google Cloud",
        "google-oauth-client-secret",
        "gocspx",
        r"GOCSPX-[A-Za-z0-9_-]{28}",
        "https://cloud.google.com/docs/authentication/client-secrets",
    ),
    (
        "ACCESS_TOKEN",
        "Google Cloud",
        "google-access-token",
        "ya29",
        r"ya29\.[A-Za-z0-9_-]{30,2048}",
        "https://cloud.google.com/docs/authentication/token-types",
    ),
    (
        "ACCESS_TOKEN",
        "DigitalOcean",
        "digitalocean-token",
        "dop doo dor",
        r"do[opr]_v1_[0-9a-f]{64}",
        "https://docs.digitalocean.com/reference/api/create-personal-access-token/",
    ),
    (
        "ACCESS_TOKEN",
        "Heroku",
        "heroku-token",
        "hrku",
        r"HRKU-(?:AA[A-Za-z0-9_-]{58}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
        "https://devcenter.heroku.com/articles/authentication",
    ),
    (
        "ACCESS_TOKEN",
        "Netlify",
        "netlify-token",
        "nfp nfo nfc nfu",
        r"nf[pocu]_[A-Za-z0-9]{36}",
        "https://docs.netlify.com/api/get-started/",
    ),
    (
        "ACCESS_TOKEN",
        "Vercel",
        "vercel-token",
        "vcp vci vca vcr vck",
        r"vc[piark]_[A-Za-z0-9]{24,64}",
        "https://vercel.com/docs/rest-api",
    ),
    (
        "ACCESS_TOKEN",
        "Fly.io",
        "fly-token",
        "fm2 fo1",
        r"f(?:m2_[A-Za-z0-9+/=]{100,2048}|o1_[A-Za-z0-9_-]{43})",
        "https://fly.io/docs/security/tokens/",
    ),
    (
        "API_KEY",
        "Render",
        "render-key",
        "rnd",
        r"rnd_[A-Za-z0-9]{28,32}",
        "https://render.com/docs/api",
    ),
    (
        "ACCESS_TOKEN",
        "Tailscale",
        "tailscale-key",
        "tskey",
        r"tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]{10,24}-[A-Za-z0-9]{24,64}",
        "https://tailscale.com/kb/1085/auth-keys",
    ),
    (
        "ACCESS_TOKEN",
        "HashiCorp Vault",
        "vault-token",
        "hvs hvb hvr",
        r"hv[sbr]\.[A-Za-z0-9_-]{24,300}",
        "https://developer.hashicorp.com/vault/docs/concepts/tokens",
    ),
    (
        "ACCESS_TOKEN",
        "Pulumi",
        "pulumi-token",
        "pul",
        r"pul-[0-9a-f]{40}",
        "https://www.pulumi.com/docs/pulumi-cloud/access-management/access-tokens/",
    ),
    (
        "ACCESS_TOKEN",
        "Doppler",
        "doppler-token",
        "dp",
        r"dp\.(?:pt|st|ct|sa|said|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?[A-Za-z0-9]{40,44}",
        "https://docs.doppler.com/docs/service-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "1Password",
        "1password-service-account",
        "ops",
        r"ops_eyJ[A-Za-z0-9_=-]{100,4096}",
        "https://developer.1password.com/docs/service-accounts/",
    ),
    (
        "SECRET",
        "1Password",
        "1password-secret-key",
        "a3",
        r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}",
        "https://support.1password.com/secret-key-security/",
    ),
    (
        "PRIVATE_KEY",
        "age",
        "age-secret-key",
        "age",
        r"AGE-SECRET-KEY-1[0-9A-Z]{58}",
        "https://github.com/C2SP/C2SP/blob/main/age.md",
    ),
    # ── source code and packages ─────────────────────────────────────────────────────────────────
    (
        "ACCESS_TOKEN",
        "GitHub",
        "github-token",
        "ghp gho ghu ghs ghr",
        r"gh[pousr]_[A-Za-z0-9]{36,255}",
        "https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github",
    ),
    (
        "ACCESS_TOKEN",
        "GitHub",
        "github-fine-grained",
        "github",
        r"github_pat_[A-Za-z0-9_]{40,120}",
        "https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/managing-your-personal-access-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "GitLab",
        "gitlab-token",
        "glpat",
        r"glpat-(?:t\d_)?[A-Za-z0-9_.-]{20,320}",
        "https://docs.gitlab.com/security/tokens/#token-prefixes",
    ),
    (
        "ACCESS_TOKEN",
        "GitLab",
        "gitlab-other-token",
        "gldt glrt glrtr glcbt glptt glft glimt glagent gloas glsoat glffct glwt",
        r"gl(?:dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct|wt)-(?:t\d_)?[A-Za-z0-9_.-]{20,320}",
        "https://docs.gitlab.com/security/tokens/#token-prefixes",
    ),
    (
        "ACCESS_TOKEN",
        "Bitbucket",
        "bitbucket-data-center-token",
        "bbdc",
        r"BBDC-[A-Za-z0-9+/@_-]{40,50}",
        "https://confluence.atlassian.com/bitbucketserver/http-access-tokens-939515499.html",
    ),
    (
        "ACCESS_TOKEN",
        "Buildkite",
        "buildkite-token",
        "bkua",
        r"bkua_[0-9a-f]{40}",
        "https://buildkite.com/docs/apis/managing-api-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "CircleCI",
        "circleci-token",
        "ccipat cciprj",
        r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{22}_[0-9a-f]{40}",
        "https://circleci.com/docs/managing-api-tokens/",
    ),
    (
        "ACCESS_TOKEN",
        "SonarQube",
        "sonarqube-token",
        "squ sqp sqa",
        r"sq[upa]_[0-9a-f]{40}",
        "https://docs.sonarsource.com/sonarqube-server/latest/user-guide/managing-tokens/",
    ),
    (
        "API_KEY",
        "npm",
        "npm-token",
        "npm",
        r"npm_[A-Za-z0-9]{36}",
        "https://docs.npmjs.com/about-access-tokens",
    ),
    (
        "API_KEY",
        "PyPI",
        "pypi-token",
        "pypi",
        r"pypi-[A-Za-z0-9_-]{40,256}",
        "https://pypi.org/help/#apitoken",
    ),
    (
        "API_KEY",
        "RubyGems",
        "rubygems-key",
        "rubygems",
        r"rubygems_[0-9a-f]{48}",
        "https://guides.rubygems.org/api-key-scopes/",
    ),
    (
        "ACCESS_TOKEN",
        "Docker Hub",
        "docker-token",
        "dckr",
        r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{27,36}",
        "https://docs.docker.com/security/access-tokens/",
    ),
    (
        "ACCESS_TOKEN",
        "Clojars",
        "clojars-token",
        "clojars",
        r"CLOJARS_[0-9a-z]{60}",
        "https://github.com/clojars/clojars-web/wiki/Deploy-Tokens",
    ),
    # ── talk and mail ────────────────────────────────────────────────────────────────────────────
    (
        "ACCESS_TOKEN",
        "Slack",
        "slack-token",
        "xoxa xoxb xoxe xoxo xoxp xoxr xoxs xoxc xoxd",
        r"xox[abceoprsd](?:\.xox[bp])?-[A-Za-z0-9%-]{10,250}",
        "https://api.slack.com/concepts/token-types",
    ),
    (
        "ACCESS_TOKEN",
        "Slack",
        "slack-app-token",
        "xapp",
        r"xapp-\d-[A-Z0-9]{8,16}-\d{8,16}-[0-9a-f]{64}",
        "https://api.slack.com/concepts/token-types",
    ),
    (
        "ACCESS_TOKEN",
        "Slack",
        "slack-webhook",
        "hooks",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9]{6,16}/[A-Za-z0-9]{6,24}/"
        r"[A-Za-z0-9]{16,64}(?:/[A-Za-z0-9]{16,32})?",
        "https://api.slack.com/messaging/webhooks",
    ),
    (
        "ACCESS_TOKEN",
        "Microsoft Teams",
        "teams-webhook",
        "webhook",
        rf"webhook\.office\.com/webhookb2/{_UUID}@{_UUID}/IncomingWebhook/[0-9a-f]{{32}}/{_UUID}",
        "https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook",
    ),
    (
        "ACCESS_TOKEN",
        "Discord",
        "discord-webhook",
        "discord discordapp",
        r"discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{17,20}/[A-Za-z0-9_-]{60,72}",
        "https://discord.com/developers/docs/resources/webhook",
    ),
    (
        "API_KEY",
        "SendGrid",
        "sendgrid-key",
        "sg",
        r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}",
        "https://www.twilio.com/docs/sendgrid/ui/account-and-settings/api-keys",
    ),
    (
        "API_KEY",
        "Mailgun",
        "mailgun-key",
        "key",
        r"key-[0-9a-f]{32}",
        "https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth",
    ),
    (
        "API_KEY",
        "Mailgun",
        "mailgun-public-key",
        "pubkey",
        r"pubkey-[0-9a-f]{32}",
        "https://documentation.mailgun.com/docs/mailgun/api-reference/mg-auth",
    ),
    (
        "API_KEY",
        "Brevo",
        "brevo-key",
        "xkeysib xsmtpsib",
        r"x(?:keysib|smtpsib)-[0-9a-f]{64}-[A-Za-z0-9]{16}",
        "https://developers.brevo.com/docs/getting-started",
    ),
    (
        "API_KEY",
        "Resend",
        "resend-key",
        "re",
        r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}",
        "https://resend.com/docs/dashboard/api-keys/introduction",
    ),
    # ── money and shops ──────────────────────────────────────────────────────────────────────────
    (
        "API_KEY",
        "Stripe",
        "stripe-key",
        "sk rk pk",
        r"[srp]k_(?:live|test)_[A-Za-z0-9]{16,250}",
        "https://docs.stripe.com/keys",
    ),
    (
        "SECRET",
        "Stripe",
        "stripe-webhook-secret",
        "whsec",
        r"whsec_[A-Za-z0-9+/]{32,64}={0,2}",
        "https://docs.stripe.com/webhooks",
    ),
    (
        "ACCESS_TOKEN",
        "Square",
        "square-token",
        "sq0atp sq0csp sq0idp",
        r"sq0(?:atp-[A-Za-z0-9_-]{22}|csp-[A-Za-z0-9_-]{43})",
        "https://developer.squareup.com/docs/build-basics/access-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "Braintree",
        "braintree-token",
        "access",
        r"access_token\$(?:production|sandbox)\$[0-9a-z]{16}\$[0-9a-f]{32}",
        "https://developer.paypal.com/braintree/docs/guides/extend/oauth/access-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "Shopify",
        "shopify-token",
        "shpat shpca shppa shpss",
        r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}",
        "https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "Plaid",
        "plaid-token",
        "access",
        rf"access-(?:sandbox|development|production)-{_UUID}",
        "https://plaid.com/docs/api/items/",
    ),
    (
        "API_KEY",
        "Razorpay",
        "razorpay-key",
        "rzp",
        r"rzp_(?:live|test)_[A-Za-z0-9]{14}",
        "https://razorpay.com/docs/payments/dashboard/account-settings/api-keys/",
    ),
    (
        "API_KEY",
        "Flutterwave",
        "flutterwave-key",
        "flwseck",
        r"FLWSECK(?:_TEST)?-[0-9a-zA-Z]{12,40}-X",
        "https://developer.flutterwave.com/docs/authentication",
    ),
    # ── what watches over systems ────────────────────────────────────────────────────────────────
    (
        "API_KEY",
        "New Relic",
        "new-relic-key",
        "nrak nrii nrra",
        r"NR(?:AK-[A-Z0-9]{27}|II-[A-Za-z0-9_-]{32}|RA-[0-9a-f]{42})",
        "https://docs.newrelic.com/docs/apis/intro-apis/new-relic-api-keys/",
    ),
    (
        "ACCESS_TOKEN",
        "Sentry",
        "sentry-token",
        "sntrys sntryu",
        r"sntry(?:s_eyJ[A-Za-z0-9+/=_-]{60,1024}|u_[0-9a-f]{64})",
        "https://docs.sentry.io/account/auth-tokens/",
    ),
    (
        "ACCESS_TOKEN",
        "Grafana",
        "grafana-token",
        "glc glsa",
        r"gl(?:c_eyJ[A-Za-z0-9+/=]{32,512}|sa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8})",
        "https://grafana.com/docs/grafana/latest/administration/service-accounts/",
    ),
    (
        "ACCESS_TOKEN",
        "Dynatrace",
        "dynatrace-token",
        "dt0c01 dt0s01 dt0s02 dt0s16",
        r"dt0(?:c01|s01|s02|s16)\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}",
        "https://docs.dynatrace.com/docs/dynatrace-api/basics/dynatrace-api-authentication",
    ),
    (
        "API_KEY",
        "Honeycomb",
        "honeycomb-key",
        "hcaik hcxik hcbik hcamk hcxmk hcbmk",
        r"hc[axb][im]k_[a-z0-9]{58}",
        "https://docs.honeycomb.io/configure/environments/manage-api-keys/",
    ),
    (
        "API_KEY",
        "LaunchDarkly",
        "launchdarkly-key",
        "sdk api mob",
        rf"[sam](?:(?<=s)dk|(?<=a)pi|(?<=m)ob)-{_UUID}",
        "https://launchdarkly.com/docs/home/account/environment/keys",
    ),
    (
        "API_KEY",
        "Postman",
        "postman-key",
        "pmak",
        r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}",
        "https://learning.postman.com/docs/developer/postman-api/authentication/",
    ),
    # ── work ─────────────────────────────────────────────────────────────────────────────────────
    (
        "ACCESS_TOKEN",
        "Dropbox",
        "dropbox-token",
        "sl",
        r"sl\.(?:u\.)?[A-Za-z0-9_-]{100,2048}",
        "https://developers.dropbox.com/oauth-guide",
    ),
    (
        "API_KEY",
        "Notion",
        "notion-key",
        "secret",
        r"secret_[A-Za-z0-9]{43}",
        "https://developers.notion.com/docs/authorization",
    ),
    (
        "API_KEY",
        "Notion",
        "notion-token",
        "ntn",
        r"ntn_[0-9]{11}[A-Za-z0-9]{32,36}",
        "https://developers.notion.com/docs/authorization",
    ),
    (
        "API_KEY",
        "Linear",
        "linear-key",
        "lin",
        r"lin_(?:api|oauth|wh)_[A-Za-z0-9]{32,64}",
        "https://linear.app/developers/graphql",
    ),
    (
        "ACCESS_TOKEN",
        "Figma",
        "figma-token",
        "figd figo figu figoh figuh",
        r"fig[dou]h?_[A-Za-z0-9_-]{40,64}",
        "https://www.figma.com/developers/api#authentication",
    ),
    (
        "ACCESS_TOKEN",
        "HubSpot",
        "hubspot-token",
        "pat",
        rf"pat-(?:na|eu|ap)\d-{_UUID}",
        "https://developers.hubspot.com/docs/api/private-apps",
    ),
    (
        "API_KEY",
        "ClickUp",
        "clickup-token",
        "pk",
        r"pk_\d{5,12}_[A-Z0-9]{32}",
        "https://developer.clickup.com/docs/authentication",
    ),
    (
        "ACCESS_TOKEN",
        "Typeform",
        "typeform-token",
        "tfp",
        r"tfp_[A-Za-z0-9_.-]{40,64}",
        "https://www.typeform.com/developers/get-started/personal-access-token/",
    ),
    (
        "ACCESS_TOKEN",
        "Contentful",
        "contentful-token",
        "cfpat",
        r"CFPAT-[A-Za-z0-9_-]{43}",
        "https://www.contentful.com/developers/docs/references/authentication/",
    ),
    (
        "ACCESS_TOKEN",
        "Mapbox",
        "mapbox-token",
        "sk pk tk",
        r"[spt]k\.eyJ[A-Za-z0-9_-]{20,512}\.[A-Za-z0-9_-]{20,64}",
        "https://docs.mapbox.com/help/dive-deeper/access-tokens/",
    ),
    (
        "API_KEY",
        "Supabase",
        "supabase-key",
        "sbp sb",
        r"sb(?:p_[0-9a-f]{40}|_secret_[A-Za-z0-9_-]{22,64})",
        "https://supabase.com/docs/guides/api/api-keys",
    ),
    (
        "ACCESS_TOKEN",
        "PlanetScale",
        "planetscale-token",
        "pscale",
        r"pscale_(?:tkn|pw|oauth)_[A-Za-z0-9_.=-]{32,64}",
        "https://planetscale.com/docs/api/reference/service-tokens",
    ),
    (
        "API_KEY",
        "Neon",
        "neon-key",
        "napi",
        r"napi_[a-z0-9]{60,72}",
        "https://neon.com/docs/manage/api-keys",
    ),
    (
        "ACCESS_TOKEN",
        "LinkedIn",
        "linkedin-client-secret",
        "wpl",
        r"WPL_AP1\.[A-Za-z0-9]{16}\.[A-Za-z0-9+/]{6,8}={0,2}",
        "https://learn.microsoft.com/en-us/linkedin/shared/authentication/client-credentials-flow",
    ),
    (
        "ACCESS_TOKEN",
        "Prefect",
        "prefect-key",
        "pnu pnb",
        r"pn[ub]_[A-Za-z0-9]{36}",
        "https://docs.prefect.io/v3/how-to-guides/cloud/manage-users/api-keys",
    ),
)

_BARE: _Rows = (
    # entity, service, name, strings of which a text must hold one, pattern, source
    (
        "API_KEY",
        "Amazon Web Services",
        "aws-access-key-id",
        "akia asia abia acca",
        r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
    ),
    (
        "API_KEY",
        "Google Cloud",
        "google-api-key",
        "aiza",
        r"AIza[A-Za-z0-9_-]{35}",
        "https://cloud.google.com/docs/authentication/api-keys",
    ),
    (
        "ACCESS_TOKEN",
        "Databricks",
        "databricks-oauth-secret",
        "dose",
        r"dose[0-9a-f]{32}",
        "https://docs.databricks.com/en/dev-tools/auth/oauth-m2m.html",
    ),
    (
        "ACCESS_TOKEN",
        "Databricks",
        "databricks-token",
        "dapi",
        r"dapi[0-9a-f]{32}(?:-\d)?",
        "https://docs.databricks.com/en/dev-tools/auth/pat.html",
    ),
    (
        "ACCESS_TOKEN",
        "Atlassian",
        "atlassian-token",
        "atatt3 atctt3",
        r"AT[AC]TT3[A-Za-z0-9_=-]{180,400}",
        "https://support.atlassian.com/atlassian-account/docs/manage-api-tokens-for-your-atlassian-account/",
    ),
    (
        "ACCESS_TOKEN",
        "Bitbucket",
        "bitbucket-app-password",
        "atbb",
        r"ATBB[A-Za-z0-9]{32}",
        "https://support.atlassian.com/bitbucket-cloud/docs/app-passwords/",
    ),
    (
        "API_KEY",
        "Twilio",
        "twilio-key",
        "sk",
        r"SK[0-9a-f]{32}",
        "https://www.twilio.com/docs/iam/api-keys",
    ),
    (
        "ACCESS_TOKEN",
        "Airtable",
        "airtable-token",
        "pat",
        r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",
        "https://airtable.com/developers/web/guides/personal-access-tokens",
    ),
    (
        "API_KEY",
        "crates.io",
        "crates-io-token",
        "cio",
        r"cio[A-Za-z0-9]{32}",
        "https://doc.rust-lang.org/cargo/reference/publishing.html",
    ),
    (
        "API_KEY",
        "NuGet",
        "nuget-key",
        "oy2",
        r"oy2[a-z0-9]{43}",
        "https://learn.microsoft.com/en-us/nuget/nuget-org/publish-a-package",
    ),
    (
        "ACCESS_TOKEN",
        "Meta",
        "facebook-token",
        "eaa",
        r"EAA[A-Za-z][A-Za-z0-9]{80,300}",
        "https://developers.facebook.com/docs/facebook-login/guides/access-tokens/",
    ),
    (
        "ACCESS_TOKEN",
        "Square",
        "square-access-token",
        "eaaa",
        r"EAAA[A-Za-z0-9_-]{60}",
        "https://developer.squareup.com/docs/build-basics/access-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "X",
        "x-bearer-token",
        "aaaaaaaaaaaaaaaaaaaa",
        r"A{20,24}[A-Za-z0-9%]{50,120}",
        "https://docs.x.com/resources/fundamentals/authentication/oauth-2-0/application-only",
    ),
    (
        "API_KEY",
        "Firebase",
        "firebase-server-key",
        ":apa91b",
        r"AAAA[A-Za-z0-9_-]{7}:APA91b[A-Za-z0-9_-]{130,180}",
        "https://firebase.google.com/docs/cloud-messaging/auth-server",
    ),
    (
        "ACCESS_TOKEN",
        "Telegram",
        "telegram-bot-token",
        ":aa",
        r"\d{8,10}:AA[A-Za-z0-9_-]{33}",
        "https://core.telegram.org/bots/api#authorizing-your-bot",
    ),
    (
        "SECRET",
        "Microsoft Entra ID",
        "entra-client-secret",
        "q~",
        r"[A-Za-z0-9_~.]{3}\dQ~[A-Za-z0-9_~.-]{31,34}",
        "https://learn.microsoft.com/en-us/entra/identity-platform/quickstart-register-app",
    ),
    (
        "ACCESS_TOKEN",
        "Azure DevOps",
        "azure-devops-token",
        "azdo",
        r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}",
        "https://learn.microsoft.com/en-us/azure/devops/organizations/accounts/use-personal-access-tokens-to-authenticate",
    ),
    (
        "ACCESS_TOKEN",
        "HCP Terraform",
        "terraform-token",
        ".atlasv1.",
        r"[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_-]{60,72}",
        "https://developer.hashicorp.com/terraform/cloud-docs/users-teams-organizations/api-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "Artifactory",
        "artifactory-token",
        "akcp",
        r"AKCp[A-Za-z0-9]{69}",
        "https://jfrog.com/help/r/jfrog-platform-administration-documentation/access-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "Artifactory",
        "artifactory-reference-token",
        "cmvmd",
        r"cmVmd[A-Za-z0-9]{59}",
        "https://jfrog.com/help/r/jfrog-platform-administration-documentation/access-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "Intercom",
        "intercom-token",
        "dg9ro",
        r"dG9rO[A-Za-z0-9+/_-]{50,64}={0,2}",
        "https://developers.intercom.com/docs/build-an-integration/learn-more/authentication",
    ),
    (
        "API_KEY",
        "Alibaba Cloud",
        "alibaba-access-key-id",
        "ltai",
        r"LTAI[A-Za-z0-9]{20}",
        "https://www.alibabacloud.com/help/en/ram/user-guide/create-an-accesskey-pair",
    ),
    (
        "API_KEY",
        "Tencent Cloud",
        "tencent-secret-id",
        "akid",
        r"AKID[A-Za-z0-9]{32}",
        "https://www.tencentcloud.com/document/product/598/34228",
    ),
    (
        "API_KEY",
        "Adyen",
        "adyen-key",
        "aqe",
        r"AQE[A-Za-z0-9+/]{80,400}={0,2}(?:-[A-Za-z0-9+/]{40,48}={0,2}-[!-~]{16})?",
        "https://docs.adyen.com/development-resources/api-credentials/",
    ),
)

_NAMED: _Rows = (
    # entity, service, name, words that name it, shape of the value, source
    (
        "API_KEY",
        "Mistral AI",
        "mistral-key",
        "mistral",
        r"[A-Za-z0-9]{32}",
        "https://docs.mistral.ai/getting-started/quickstart/",
    ),
    (
        "API_KEY",
        "Cohere",
        "cohere-key",
        "cohere",
        r"[A-Za-z0-9]{40}",
        "https://docs.cohere.com/reference/about",
    ),
    (
        "API_KEY",
        "Weights & Biases",
        "wandb-key",
        "wandb",
        r"[0-9a-f]{40}",
        "https://docs.wandb.ai/quickstart/",
    ),
    (
        "API_KEY",
        "Deepgram",
        "deepgram-key",
        "deepgram",
        r"[0-9a-f]{40}",
        "https://developers.deepgram.com/docs/create-additional-api-keys",
    ),
    (
        "API_KEY",
        "Cloudflare",
        "cloudflare-token",
        "cloudflare cf",
        r"(?:[A-Za-z0-9_-]{40}|[0-9a-f]{37})",
        "https://developers.cloudflare.com/fundamentals/api/get-started/create-token/",
    ),
    (
        "API_KEY",
        "Fastly",
        "fastly-token",
        "fastly",
        r"[A-Za-z0-9_-]{32}",
        "https://www.fastly.com/documentation/reference/api/#authentication",
    ),
    (
        "API_KEY",
        "Datadog",
        "datadog-key",
        "datadog dd",
        r"(?:[0-9a-f]{32}|[0-9a-f]{40})",
        "https://docs.datadoghq.com/account_management/api-app-keys/",
    ),
    (
        "API_KEY",
        "PagerDuty",
        "pagerduty-key",
        "pagerduty",
        r"[A-Za-z0-9_+-]{20}",
        "https://support.pagerduty.com/main/docs/api-access-keys",
    ),
    (
        "API_KEY",
        "Okta",
        "okta-token",
        "okta ssws",
        r"00[A-Za-z0-9_-]{40}",
        "https://developer.okta.com/docs/guides/create-an-api-token/",
    ),
    (
        "SECRET",
        "Auth0",
        "auth0-client-secret",
        "auth0",
        r"[A-Za-z0-9_-]{64}",
        "https://auth0.com/docs/get-started/applications/application-settings",
    ),
    (
        "API_KEY",
        "Heroku",
        "heroku-key",
        "heroku",
        _UUID,
        "https://devcenter.heroku.com/articles/authentication",
    ),
    (
        "API_KEY",
        "Postmark",
        "postmark-token",
        "postmark",
        _UUID,
        "https://postmarkapp.com/developer/api/overview",
    ),
    (
        "API_KEY",
        "Snyk",
        "snyk-token",
        "snyk",
        _UUID,
        "https://docs.snyk.io/snyk-api/authentication-for-api",
    ),
    (
        "API_KEY",
        "Codecov",
        "codecov-token",
        "codecov",
        _UUID,
        "https://docs.codecov.com/docs/codecov-tokens",
    ),
    (
        "ACCESS_TOKEN",
        "Vercel",
        "vercel-named-token",
        "vercel",
        r"[A-Za-z0-9]{24}",
        "https://vercel.com/docs/rest-api",
    ),
    (
        "ACCESS_TOKEN",
        "Hetzner",
        "hetzner-token",
        "hetzner hcloud",
        r"[A-Za-z0-9]{64}",
        "https://docs.hetzner.cloud/#authentication",
    ),
    (
        "ACCESS_TOKEN",
        "Linode",
        "linode-token",
        "linode",
        r"[0-9a-f]{64}",
        "https://techdocs.akamai.com/linode-api/reference/get-started",
    ),
    (
        "SECRET",
        "Twilio",
        "twilio-auth-token",
        "twilio",
        r"[0-9a-f]{32}",
        "https://www.twilio.com/docs/iam/api",
    ),
    (
        "SECRET",
        "Plaid",
        "plaid-secret",
        "plaid",
        r"[0-9a-f]{30}",
        "https://plaid.com/docs/quickstart/",
    ),
    (
        "SECRET",
        "PayPal",
        "paypal-client-secret",
        "paypal",
        r"E[A-Za-z0-9_-]{79}",
        "https://developer.paypal.com/api/rest/",
    ),
    (
        "API_KEY",
        "Coinbase",
        "coinbase-key",
        "coinbase",
        r"[A-Za-z0-9]{32,64}",
        "https://docs.cdp.coinbase.com/get-started/docs/cdp-api-keys",
    ),
    (
        "ACCESS_TOKEN",
        "Asana",
        "asana-token",
        "asana",
        r"[0-2]/\d{16}(?:/\d{16})?:[0-9a-f]{32}",
        "https://developers.asana.com/docs/personal-access-token",
    ),
    (
        "API_KEY",
        "Zendesk",
        "zendesk-token",
        "zendesk",
        r"[A-Za-z0-9]{40}",
        "https://developer.zendesk.com/api-reference/introduction/security-and-auth/",
    ),
    (
        "API_KEY",
        "Algolia",
        "algolia-key",
        "algolia",
        r"[0-9a-f]{32}",
        "https://www.algolia.com/doc/guides/security/api-keys/",
    ),
    (
        "SECRET",
        "LinkedIn",
        "linkedin-secret",
        "linkedin",
        r"[A-Za-z0-9]{16}",
        "https://learn.microsoft.com/en-us/linkedin/shared/authentication/client-credentials-flow",
    ),
    (
        "SECRET",
        "X",
        "x-api-secret",
        "twitter",
        r"(?:[A-Za-z0-9]{50}|[A-Za-z0-9]{45}|[A-Za-z0-9]{25})",
        "https://docs.x.com/resources/fundamentals/authentication/oauth-1-0a/api-key-and-secret",
    ),
    (
        "ACCESS_TOKEN",
        "HashiCorp Vault",
        "vault-legacy-token",
        "vault",
        r"s\.[A-Za-z0-9]{24}",
        "https://developer.hashicorp.com/vault/docs/concepts/tokens",
    ),
    (
        "SECRET",
        "Amazon Web Services",
        "aws-secret-access-key",
        "aws secret secretaccesskey",
        r"[A-Za-z0-9/+]{40}",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html",
    ),
    (
        "ACCESS_TOKEN",
        "Google Cloud",
        "google-refresh-token",
        "refresh",
        r"1//0[A-Za-z0-9_-]{40,256}",
        "https://developers.google.com/identity/protocols/oauth2",
    ),
)

_THING = r"(?i:key|token|secret|password|passwd|pwd|auth|credential|dsn)"


def _led(pattern: str, look: str) -> str:
    """Puts a look at what stands before the first character behind that character."""
    end = pattern.index("]") + 1 if pattern.startswith("[") else 2 if pattern[0] == "\\" else 1
    if pattern[end : end + 1] == "{":
        return look.replace(".", "") + pattern
    return pattern[:end] + look + pattern[end:]


def _named_pattern(words: str, shape: str) -> str:
    """`DATADOG_API_KEY=…`, `{"datadog": {"apiKey": "…"}}`, `the Datadog key is …`."""
    first = "".join(
        sorted({letter for word in words.split() for letter in (word[0], word[0].upper())})
    )
    rest = "|".join(rf"(?<=[{w[0]}{w[0].upper()}])(?i:{w[1:]})" for w in words.split())
    return (
        rf"[{first}]{AT_WORD}(?:{rest})(?![^\W_])"
        rf"(?:[\s_.\"'`:={{(,-]|[A-Za-z0-9]){{0,32}}?{_THING}[A-Za-z]?"
        rf"(?:[\s_\"'`:=>|-]|(?i:id|is|for|value|key|token|production|prod|env|ist)(?![^\W_])){{1,16}}?"
        rf"(?<![A-Za-z0-9_/+~.-])({shape})(?![A-Za-z0-9_/+=~-])"
    )


_TABLES: tuple[tuple[_Rows, Callable[[str, str], str], bool, int], ...] = (
    # rows, pattern of clues and shape, whether the clues are words, group
    (_PREFIXED, lambda clues, shape: f"{_led(shape, AT_WORD)}{AFTER}", True, 0),
    (_BARE, lambda clues, shape: f"{_led(shape, _AT_RUN)}{AFTER}", False, 0),
    (_NAMED, _named_pattern, True, 1),
)


def issued_credentials() -> tuple[Credential, ...]:
    """Gives every format that a service issues, each with the page that describes it."""
    return tuple(
        Credential(
            entity=entity,
            service=service,
            name=name,
            pattern=pattern(clues, shape),
            source=source,
            words=clues if are_words else "",
            requires=() if are_words else tuple(clues.split()),
            group=group,
        )
        for rows, pattern, are_words, group in _TABLES
        for entity, service, name, clues, shape, source in rows
    )


_UNSPACED = {
    "API_KEY": (
        "openai-key anthropic-key stripe-key sendgrid-key hugging-face-token npm-token pypi-token",
        "sk-|sk live|sk test|rk live|rk test|pk live|pk test|sg.|hf |api org|npm |pypi-",
    ),
    "ACCESS_TOKEN": (
        "github-token github-fine-grained gitlab-token slack-token",
        "ghp |gho |ghu |ghs |ghr |github pat |glpat-|xox",
    ),
}
"""Of each entity the formats that are also looked for right after a script without spaces, and
strings of which a text must hold one."""


def unspaced_credentials() -> Iterator[Credential]:
    """Gives known formats anew, as they stand right after a script without spaces."""
    for entity, (names, requires) in _UNSPACED.items():
        known = names.split()
        formats = "|".join(shape for _, _, name, _, shape, _ in _PREFIXED if name in known)
        yield Credential(
            entity=entity,
            name=f"unspaced-{entity.lower().replace('_', '-')}",
            pattern=rf"[{_SPACELESS}]((?:{formats}){AFTER})",
            source="",  # each format has its own
            requires=tuple(requires.split("|")),
            group=1,
        )
