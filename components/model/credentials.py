"""What carries credentials: one list for what mirrors lose, what recordings never keep, and what rules look for."""

import re
from collections.abc import Iterable
from typing import Final

LEAST_CREDENTIAL_HEADERS: Final = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-forwarded-client-cert",
)
"""What anybody's mirror must lose, whatever it is made with."""

CREDENTIAL_HEADERS: Final = (
    *LEAST_CREDENTIAL_HEADERS,
    # In use with many frameworks and proxies.
    "api-key",
    "x-access-token",
    "x-auth-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-session-token",
    "x-vault-token",
    "private-token",
    # OAuth 2.0 Proxy. Source: its documentation, "set_xauthrequest" and "pass_access_token".
    "x-auth-request-access-token",
    "x-forwarded-access-token",
    # Google Cloud: Identity-Aware Proxy, API keys, Cloud Run's second authorization.
    "x-goog-iap-jwt-assertion",
    "x-goog-api-key",
    "x-serverless-authorization",
    # Amazon: temporary credentials; what its load balancer says of a user.
    "x-amz-security-token",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    # Azure: API Management, Functions, App Service's tokens.
    "ocp-apim-subscription-key",
    "x-functions-key",
    "x-ms-client-principal",
    "x-ms-token-aad-access-token",
    "x-ms-token-aad-id-token",
    "x-ms-token-aad-refresh-token",
    # Cloudflare Access.
    "cf-access-client-secret",
    "cf-access-jwt-assertion",
)
"""Request headers that carry credentials of callers. They never reach a mirror unless the scrub is waived, and never a
recording. Each is of one product or in use with several; a team's own are added beside them."""

CREDENTIAL_FIELDS: Final = (
    "access_token",
    "api_key",
    "auth_token",
    "client_assertion",
    "client_secret",
    "id_token",
    "passwd",
    "password",
    "private_key",
    "refresh_token",
    "secret",
    "secret_access_key",
    "security_token",
    "session_token",
    "token",
)
"""Names of credentials wherever names are: members of JSON objects, form fields, parameters of queries. Compared
without regard to case, hyphens and underscores, so that ``accessToken`` is one. Source: OAuth 2.0 (RFC 6749, RFC 7521)
and common use."""

CREDENTIAL_PARAMETERS: Final = (
    *CREDENTIAL_FIELDS,
    "auth",
    "awsaccesskeyid",
    "jwt",
    "key",
    "pwd",
    "sig",
    "signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
)
"""Parameters of queries and fields of forms that carry credentials; in JSON, ``key`` and the like mean many things.
Source: the signed URLs of Amazon S3, Google Cloud Storage and Azure Blob Storage, and API keys of Google."""


def plain_name(name: str) -> str:
    """Return a name in lower case without hyphens and underscores, by which :data:`CREDENTIAL_FIELDS` are compared."""
    return name.lower().replace("-", "").replace("_", "")


def names_pattern(names: Iterable[str]) -> str:
    """Return a regular expression for any of the names, with hyphens, underscores or nothing between their words."""
    return "|".join("[-_]?".join(map(re.escape, re.split("[-_]", name))) for name in names)


def without_credentials(url: str) -> str:
    """Return a path as it is, and a URL as it may be shown: without user and query, except a container's name."""
    if "://" not in url:
        return url
    address, mark, _ = url.partition("?")
    scheme, separator, rest = address.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if at and (":" in user or not scheme.startswith("abfs")):
        address = f"{scheme}{separator}(credentials)@{rest[len(user) + len(at) :]}"
    return f"{address}?(options)" if mark else address
