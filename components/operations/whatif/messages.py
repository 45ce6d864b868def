"""Envoy's messages, as istiod renders them."""

from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A message of Envoy's API as JSON, with the names of its fields."""

MANAGER: Final = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
