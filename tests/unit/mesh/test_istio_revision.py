"""What an istiod's settings mean: behaviour, Helm values, and what is refused."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_traffic_mirror.mesh import ExistingIstio, ImagePullPolicy, IstioCharts, IstiodRevision, Size
from pulumi_traffic_mirror.mesh.charts import merged
from pulumi_traffic_mirror.mesh.compatibility import SUPPORTED_KUBERNETES, check_kubernetes
from pulumi_traffic_mirror.mesh.revision import SharedSettings
from pulumi_traffic_mirror.model import AuthorityMode, IstioVersion, JsonObject, ValidationError
from pulumi_traffic_mirror.model.istio import NEWEST_ISTIO, OLDEST_ISTIO
from tests.support.handles import no_cluster


def shared(**changes: Any) -> SharedSettings:
    settings: dict[str, Any] = {
        "namespace": "istio-system",
        "hub": None,
        "image_pull_policy": None,
        "cni": False,
        "size": Size.PRODUCTION,
        "values": {},
    }
    return SharedSettings(**(settings | changes))


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [
        ({"version": "1.27.3"}, AuthorityMode.SUFFIXED),
        ({"version": "1.28.0"}, AuthorityMode.PRESERVED),
        ({"version": "1.31.0"}, AuthorityMode.PRESERVED),
        ({"compatibility_version": "1.27"}, AuthorityMode.SUFFIXED),
        ({"compatibility_version": "1.28"}, AuthorityMode.PRESERVED),
        ({"env": {"DISABLE_SHADOW_HOST_SUFFIX": "false"}}, AuthorityMode.SUFFIXED),
        ({"compatibility_version": "1.27", "env": {"DISABLE_SHADOW_HOST_SUFFIX": "1"}}, AuthorityMode.PRESERVED),
        ({"values": {"env": {"DISABLE_SHADOW_HOST_SUFFIX": False}}}, AuthorityMode.SUFFIXED),
        ({"values": {"pilot": {"env": {"DISABLE_SHADOW_HOST_SUFFIX": "false"}}}}, AuthorityMode.SUFFIXED),
        ({"values": {"compatibilityVersion": "1.27"}}, AuthorityMode.SUFFIXED),
        (
            {"values": {"compatibilityVersion": "1.27"}, "compatibility_version": "1.29"},
            AuthorityMode.PRESERVED,
        ),
    ],
)
def test_the_authority_mode_follows_from_every_way_of_setting_it(
    arguments: dict[str, Any], mode: AuthorityMode
) -> None:
    assert IstiodRevision(**arguments).behaviour({}).authority_mode is mode


def test_values_of_the_whole_control_plane_decide_as_well_and_the_revision_s_own_win() -> None:
    suffixed: JsonObject = {"env": {"DISABLE_SHADOW_HOST_SUFFIX": "false"}}
    assert IstiodRevision().behaviour(suffixed).authority_mode is AuthorityMode.SUFFIXED
    own = IstiodRevision(env={"DISABLE_SHADOW_HOST_SUFFIX": "true"})
    assert own.behaviour(suffixed).authority_mode is AuthorityMode.PRESERVED


def test_what_helm_gets_agrees_with_the_behaviour() -> None:
    revision = IstiodRevision(
        compatibility_version="1.27",
        env={"DISABLE_SHADOW_HOST_SUFFIX": "true"},
        values={"pilot": {"env": {"DISABLE_SHADOW_HOST_SUFFIX": "false", "PILOT_X": "1"}}},
    )
    values = revision.helm_values(shared())
    assert values["compatibilityVersion"] == "1.27"
    assert values["env"] == {"DISABLE_SHADOW_HOST_SUFFIX": "true", "PILOT_X": "1"}
    # Left below "pilot", the chart would let it win over the argument.
    assert "pilot" not in values


def test_production_has_two_replicas_apart_and_small_has_one() -> None:
    production = IstiodRevision().helm_values(shared())
    assert production["autoscaleEnabled"] is True
    assert production["autoscaleMin"] == 2
    assert "podAntiAffinity" in cast("dict[str, Any]", production["affinity"])
    small = IstiodRevision().helm_values(shared(size=Size.SMALL))
    assert (small["autoscaleEnabled"], small["replicaCount"]) == (False, 1)
    assert "affinity" not in small


def test_arguments_win_over_values_and_values_over_defaults() -> None:
    given_values: JsonObject = {"global": {"hub": "mirror.example/a", "tag": "x"}, "autoscaleMin": 3}
    defaults = IstiodRevision().helm_values(shared(values=given_values))
    assert defaults["autoscaleMin"] == 3
    assert defaults["global"] == {
        "hub": "mirror.example/a",
        "tag": "x",
        "istioNamespace": "istio-system",
        "proxy": {
            "seccompProfile": {"type": "RuntimeDefault"},
            "readinessPeriodSeconds": 2,
            "readinessFailureThreshold": 30,
        },
    }
    explicit = IstiodRevision(tag="1.31.0-distroless").helm_values(
        shared(values=given_values, hub="mirror.example/b", image_pull_policy=ImagePullPolicy.NEVER, cni=True)
    )
    settings = cast("dict[str, Any]", explicit["global"])
    assert (settings["hub"], settings["tag"]) == ("mirror.example/b", "1.31.0-distroless")
    assert settings["imagePullPolicy"] == "Never"
    assert explicit["cni"] == {"enabled": True}


def test_images_come_from_a_hub_that_stays_whatever_the_chart_names() -> None:
    settings = cast("dict[str, Any]", IstiodRevision(version="1.29.2").helm_values(shared())["global"])
    assert (settings["hub"], settings["tag"]) == ("docker.io/istio", "1.29.2")


@pytest.mark.parametrize(
    ("arguments", "field", "rule"),
    [
        ({"version": "1.25.0"}, "version", "from 1.26 to 1.31"),
        ({"version": "1.32.0"}, "version", "from 1.26 to 1.31"),
        ({"version": "latest"}, "version", "must be a version"),
        ({"version": ""}, "version", "non-empty"),
        ({"compatibility_version": "1.31"}, "compatibility_version", "older than"),
        ({"compatibility_version": "1.33"}, "compatibility_version", "older than"),
        ({"compatibility_version": "1.27.1"}, "compatibility_version", "without a patch"),
        ({"revision": "1.31.0"}, "revision", "DNS label"),
        ({"revision": "default"}, "revision", "unnamed"),
        ({"revision": "r" * 57}, "revision", "at most 56"),
        ({"env": {"DISABLE_SHADOW_HOST_SUFFIX": "yes"}}, "env.DISABLE_SHADOW_HOST_SUFFIX", "boolean"),
        ({"values": {"env": ["A=b"]}}, "values.env", "mapping"),
    ],
)
def test_bad_revisions_are_refused(arguments: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(ValidationError, match=rule) as refusal:
        IstiodRevision(**arguments)
    assert refusal.value.field == field


def test_every_istio_that_the_model_knows_is_in_the_table() -> None:
    assert set(SUPPORTED_KUBERNETES) == set(range(OLDEST_ISTIO.minor, NEWEST_ISTIO.minor + 1))


@pytest.mark.parametrize("kubernetes", ["1.32", "v1.35.3-gke.1000000", "1.36.1", "v1.33.4+k3s1"])
def test_supported_kubernetes_is_accepted_in_every_spelling(kubernetes: str) -> None:
    check_kubernetes(IstioVersion(1, 31), kubernetes)


@pytest.mark.parametrize("kubernetes", ["1.31", "1.37.0", "2.33", "0.33", "stable", ""])
def test_other_kubernetes_is_refused_with_the_table(kubernetes: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        check_kubernetes(IstioVersion(1, 31), kubernetes)
    assert refusal.value.field == "kubernetes_version"
    if kubernetes[:1].isdigit():
        assert "Istio 1.28: Kubernetes 1.30 to 1.34" in str(refusal.value)


def test_a_directory_of_charts_needs_no_repository() -> None:
    charts = IstioCharts.in_directory("/opt/istio/manifests/charts/")
    assert (charts.repository, charts.base) == ("", "/opt/istio/manifests/charts/base")
    assert charts.istiod == "/opt/istio/manifests/charts/istio-control/istio-discovery"


def test_a_nameless_chart_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"charts\.gateway"):
        IstioCharts(gateway="")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(OBJECTS, OBJECTS)
def test_merging_keeps_the_later_layer_whole_and_changes_neither(lower: JsonObject, upper: JsonObject) -> None:
    before = (repr(lower), repr(upper))
    result = merged(lower, upper)
    assert (repr(lower), repr(upper)) == before
    assert merged(result, upper) == result
    assert merged(lower, {}) == lower
    assert set(result) == {*lower, *upper}


def handle_of(**arguments: Any) -> Any:
    return ExistingIstio(cluster=no_cluster(), **arguments).handle


def test_an_existing_istio_is_described_and_not_touched() -> None:
    handle = handle_of(version="1.29.2", compatibility_version="1.27", revision="stable", root_namespace="mesh")
    assert handle.behaviour.authority_mode is AuthorityMode.SUFFIXED
    assert handle.ready == ()
    assert handle.injection_labels == {"istio.io/rev": "stable"}
    assert (handle.root_namespace, handle.chart_version, handle.data_plane) == ("mesh", "1.29.2", "stable/1.29.2")
    assert handle_of(version="1.31.0").injection_labels == {"istio-injection": "enabled"}
    switched = handle_of(version="1.31.0", disable_shadow_host_suffix=False)
    assert switched.behaviour.authority_mode is AuthorityMode.SUFFIXED


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"version": "1.22.0"}, "version"),
        ({"version": "1.31.0", "compatibility_version": "1.x"}, "compatibility_version"),
        ({"version": "1.31.0", "root_namespace": "Istio"}, "root_namespace"),
        ({"version": "1.31.0", "revision": "a_b"}, "revision"),
    ],
)
def test_a_bad_existing_istio_is_refused(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ExistingIstio(cluster=no_cluster(), **arguments)
    assert refusal.value.field == field
