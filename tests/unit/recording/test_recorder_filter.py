"""The rendered filter: bounded, never waiting, and only where it was asked for."""

from typing import Any

import pytest

from pulumi_traffic_mirror.model import ValidationError
from pulumi_traffic_mirror.model.recorder_filter import (
    BODIES_KEY,
    NO_BODIES,
    SIDE_KEY,
    SOURCE_KEY,
    RecordingPoint,
    collector_cluster,
    recorder_access_log,
    recorder_http_filter,
    render_recorder_filter,
)
from pulumi_traffic_mirror.model.request_sampling import sample_regex, sample_threshold
from pulumi_traffic_mirror.operations.recording import protocol
from tests.support.loopback_envoy import recorder_filter


def _processor(**changes: Any) -> Any:
    return recorder_http_filter(recorder_filter(**changes))["typed_config"]


def test_the_object_is_the_snapshot() -> None:
    rendered: Any = render_recorder_filter(recorder_filter(workload_labels={"b": "2", "a": "1"}))
    assert (rendered["apiVersion"], rendered["kind"]) == ("networking.istio.io/v1alpha3", "EnvoyFilter")
    assert rendered["metadata"] == {"name": "recorder", "namespace": "istio-system"}
    assert list(rendered["spec"]["workloadSelector"]["labels"].items()) == [("a", "1"), ("b", "2")]
    patches = rendered["spec"]["configPatches"]
    assert [(p["applyTo"], p["patch"]["operation"]) for p in patches] == [
        ("CLUSTER", "ADD"),
        ("HTTP_FILTER", "INSERT_BEFORE"),
    ]
    anchor = patches[1]["match"]["listener"]["filterChain"]["filter"]
    assert anchor["subFilter"] == {"name": "envoy.filters.http.router"}


@pytest.mark.parametrize("point", RecordingPoint)
def test_both_patches_apply_at_the_chosen_point(point: RecordingPoint) -> None:
    rendered: Any = render_recorder_filter(recorder_filter(point=point))
    assert {p["match"]["context"] for p in rendered["spec"]["configPatches"]} == {point.value}


def test_traffic_never_waits_for_an_answer() -> None:
    processor = _processor()
    assert processor["observability_mode"] is True
    assert processor["failure_mode_allow"] is True
    assert set(processor["processing_mode"].values()) == {"SEND", "STREAMED"}


def test_what_the_collector_holds_in_the_proxy_is_bounded() -> None:
    cluster: Any = collector_cluster(recorder_filter(max_streams=10, max_exchange_seconds=7))
    (threshold,) = cluster["circuit_breakers"]["thresholds"]
    assert threshold["max_requests"] == 10
    (options,) = cluster["typed_extension_protocol_options"].values()
    assert options["common_http_protocol_options"] == {"max_stream_duration": "7s"}
    assert options["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"]


def test_filter_and_cluster_name_each_other_and_two_filters_do_not_collide() -> None:
    cluster = collector_cluster(recorder_filter())
    assert _processor()["grpc_service"]["envoy_grpc"]["cluster_name"] == cluster["name"]
    assert collector_cluster(recorder_filter(name="other"))["name"] != cluster["name"]


def test_the_filter_tells_the_collector_its_place_under_the_keys_that_the_collector_reads() -> None:
    metadata = _processor(side="mirror", source="gateway b")["grpc_service"]["initial_metadata"]
    assert metadata == [
        {"key": protocol.SIDE_KEY, "value": "mirror"},
        {"key": protocol.SOURCE_KEY, "value": "gateway b"},
    ]
    assert (protocol.SIDE_KEY, protocol.SOURCE_KEY) == (SIDE_KEY, SOURCE_KEY)
    assert (protocol.BODIES_KEY, protocol.NO_BODIES) == (BODIES_KEY, NO_BODIES)
    assert [one["key"] for one in _processor()["grpc_service"]["initial_metadata"]] == [SOURCE_KEY]


def test_without_bodies_the_proxy_sends_heads_and_what_ends_a_grpc_call() -> None:
    processor = _processor(bodies=False)
    assert processor["processing_mode"] == {
        "request_header_mode": "SEND",
        "response_header_mode": "SEND",
        "request_body_mode": "NONE",
        "response_body_mode": "NONE",
        "request_trailer_mode": "SKIP",
        "response_trailer_mode": "SEND",
    }
    assert {"key": BODIES_KEY, "value": NO_BODIES} in processor["grpc_service"]["initial_metadata"]


def test_request_identifiers_are_kept_only_where_it_is_asked_for() -> None:
    def manager(**changes: Any) -> list[Any]:
        rendered: Any = render_recorder_filter(recorder_filter(**changes))
        patches = rendered["spec"]["configPatches"]
        return [patch["patch"] for patch in patches if patch["applyTo"] == "NETWORK_FILTER"]

    assert manager() == []
    (patch,) = manager(keep_request_ids=True)
    assert patch["operation"] == "MERGE"
    config = patch["value"]["typed_config"]
    assert config.pop("@type").endswith(".network.http_connection_manager.v3.HttpConnectionManager")
    assert config == {"preserve_external_request_id": True}


def test_an_access_log_stands_in_for_the_filter_and_goes_beside_other_logs() -> None:
    changes: Any = {"logged_headers": ["accept", "x-user"], "withheld_headers": ["x-user"], "bodies": False}
    rendered: Any = render_recorder_filter(recorder_filter(**changes, keep_request_ids=True))
    kinds = {patch["applyTo"]: patch["patch"] for patch in rendered["spec"]["configPatches"]}
    assert set(kinds) == {"CLUSTER", "NETWORK_FILTER"}
    assert kinds["NETWORK_FILTER"]["operation"] == "MERGE"
    manager = kinds["NETWORK_FILTER"]["value"]["typed_config"]
    assert manager["preserve_external_request_id"] is True
    (log,) = manager["access_log"]
    assert "filter" not in log
    told = [log["typed_config"][f"additional_{part}_to_log"] for part in ("request_headers", "response_trailers")]
    assert told == [[":method", "accept"], ["accept"]]
    options = kinds["CLUSTER"]["value"]["typed_extension_protocol_options"]
    assert all("common_http_protocol_options" not in each for each in options.values()), "the log's stream lasts"
    sampled: Any = recorder_access_log(recorder_filter(**changes, sample_percent=25), ["accept"])
    assert sampled["filter"]["header_filter"]["header"] == {
        "name": "x-request-id",
        "string_match": {"safe_regex": {"regex": sample_regex(sample_threshold(25))}},
    }


def test_sampling_wraps_the_filter_in_a_match_on_the_request_id() -> None:
    config: Any = _processor(sample_percent=25)
    (matcher,) = config["xds_matcher"]["matcher_list"]["matchers"]
    single = matcher["predicate"]["single_predicate"]
    assert single["input"]["typed_config"]["header_name"] == "x-request-id"
    assert single["value_match"]["safe_regex"]["regex"] == sample_regex(sample_threshold(25))
    assert matcher["on_match"]["action"]["typed_config"]["typed_config"]["typed_config"] == _processor()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Bad_Name"),
        ("namespace", ""),
        ("workload_labels", {}),
        ("collector_host", "recorder"),
        ("collector_port", 0),
        ("side", "shadow"),
        ("source", "ä"),
        ("sample_percent", 0),
        ("max_streams", 0),
        ("max_streams", 65_537),
        ("max_exchange_seconds", 0.5),
    ],
)
def test_bad_input_is_refused_by_its_field(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        recorder_filter(**{field: value})
