"""What carries credentials: one list for what mirrors lose, what recordings never keep, and what rules look for."""

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
    "*access_token",
    "*api_key",
    "*api_token",
    "*auth_token",
    "*authorization",
    "*bearer_token",
    "*client_secret",
    "*csrf_token",
    "*passphrase",
    "*passwd",
    "*password",
    "*private_key",
    "*refresh_token",
    "*secret",
    "*secret_access_key",
    "*security_token",
    "*session_token",
    "*xsrf_token",
    "assertion",
    "authenticity_token",
    "client_assertion",
    "code_verifier",
    "cookie",
    "id_token",
    "id_token_hint",
    "password_confirmation",
    "saml_response",
    "set_cookie",
    "token",
)
"""Names of credentials wherever names are: headers, members of JSON objects, form fields, parameters of queries; see
:class:`CredentialNames`. Source: OAuth 2.0 (RFC 6749, RFC 7521, RFC 7636), SAML 2.0's bindings and common use."""

CREDENTIAL_PARAMETERS: Final = (
    *CREDENTIAL_FIELDS,
    "auth",
    "awsaccesskeyid",
    "jsessionid",
    "jwt",
    "key",
    "phpsessid",
    "pwd",
    "sig",
    "signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
)
"""Parameters of paths and queries and fields of forms that carry credentials; in JSON, ``key`` and the like mean many
things. Source: the signed URLs of Amazon S3, Google Cloud Storage and Azure Blob Storage, API keys of Google, and the
sessions that servers of Java and PHP keep in URLs."""


class CredentialNames:
    """A list of names, compared without regard to case, hyphens and underscores: ``accessToken`` is ``access_token``.

    One that begins with ``*`` stands for all that end so.
    """

    def __init__(self, names: Iterable[str]) -> None:
        plain = {plain_name(name) for name in names}
        self._exact = frozenset(name for name in plain if not name.startswith("*"))
        self._ends = tuple(name.removeprefix("*") for name in plain - self._exact)

    def __contains__(self, name: str) -> bool:
        plain = plain_name(name)
        return plain in self._exact or plain.endswith(self._ends)


def plain_name(name: str) -> str:
    """Return a name, or a text with names in it, without what names are compared without."""
    return name.lower().replace("-", "").replace("_", "")


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
