"""Property values keep what they are on their way from and to the engine."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from components.rehearsal.standin_provider.values import (
    SIGNATURE_KEY,
    UNKNOWN,
    Secret,
    decode,
    encode,
    has_secret,
    has_unknown,
    keep_secrets,
    plain,
    secret_texts,
)

few = settings(max_examples=40)
keys = st.text(min_size=1, max_size=8).filter(lambda key: key != SIGNATURE_KEY)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12) | st.just(UNKNOWN)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
    )


values = nested(scalars | floats | nested(scalars).map(Secret).filter(lambda secret: not has_secret(secret.value)))
bags = st.dictionaries(keys, values, max_size=4)


@few
@given(bags)
def test_what_is_encoded_decodes_to_the_same(bag: dict[str, Any]) -> None:
    assert decode(encode(bag)) == bag


@few
@given(bags)
def test_whole_numbers_stay_whole(bag: dict[str, Any]) -> None:
    def types(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: types(item) for key, item in value.items()}
        if isinstance(value, list):
            return [types(item) for item in value]
        return types(value.value) if isinstance(value, Secret) else type(value)

    assert types(decode(encode(bag))) == types(bag)


@few
@given(bags)
def test_plain_values_hold_no_secret_and_the_same_unknowns(bag: dict[str, Any]) -> None:
    clear = plain(bag)
    assert not has_secret(clear)
    assert has_unknown(clear) == has_unknown(bag)


@few
@given(bags)
def test_what_was_secret_in_the_inputs_is_secret_in_the_outputs(bag: dict[str, Any]) -> None:
    assert has_secret(keep_secrets(plain(bag), bag)) == (has_secret(bag) or bag.get("kind") == "Secret")
    assert plain(keep_secrets(plain(bag), bag)) == plain(bag)


def test_only_the_secret_part_of_an_object_is_hidden() -> None:
    inputs = {"spec": {"a": Secret("x"), "b": "y", "list": [{"c": Secret("z")}, "w"]}}
    outputs = {"spec": {"a": "x", "b": "y", "list": ["w", {"c": "z"}], "uid": 1}}
    kept = keep_secrets(outputs, inputs)["spec"]
    assert (kept["a"], kept["b"], kept["uid"]) == (Secret("x"), "y", 1)
    assert kept["list"] == Secret(["w", {"c": "z"}]), "a list may come back in another order, so all of it is hidden"


def test_the_data_of_a_secret_object_is_always_hidden() -> None:
    kept = keep_secrets({"kind": "Secret", "data": {"a": "b"}, "type": "Opaque"}, {})
    assert kept == {"kind": "Secret", "data": Secret({"a": "b"}), "type": "Opaque"}


def test_a_secret_never_shows_itself() -> None:
    assert "sesame" not in repr(Secret("sesame"))
    assert secret_texts({"a": Secret({"b": ["sesame", 1]}), "c": "open"}) == {"sesame"}
