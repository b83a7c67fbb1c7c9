"""The endpoints as programs see them: what each parameter means, of which type it is, and a sentence for what is wrong."""

import pytest

from tests.app import raw_http
from tests.app.app_server import ROOT

META = {"meta": {"_type": "gradio.FileData"}}
WRONG = {
    "slider": ["many", "5", [], [1], {}, {"a": 1}, True, float("nan"), float("inf"), -1e9, 1e9],
    "number": ["many", [], {}, True, 0.5, -1, 2 ** 40, float("nan")],
    "radio": ["<b>none</b>", 7, [], {}, True, ["lbfgs"]],
    "checkboxgroup": ["relu1_1", 7, {}, ["<b>none</b>"], [[]], [None], True],
}


@pytest.fixture(scope="module")
def endpoints(server):
    return {e[1]: e for e in raw_http.endpoints(server)}


@pytest.fixture(scope="module")
def photo(server):
    return {"path": raw_http.upload(server, next((ROOT / "examples/photos").glob("*.jpg")))} | META


def test_every_parameter_is_described(server):
    described = raw_http.get(f"{server.url}gradio_api/info")["named_endpoints"]
    assert set(described) == {"/fixed", "/arbitrary", "/gatys"}
    for name, endpoint in described.items():
        assert endpoint["description"]
        for parameter in endpoint["parameters"]:
            words = parameter["python_type"]["description"]
            assert len(words) >= 6, (name, parameter["parameter_name"])
            if parameter["parameter_name"] in ("size", "iterations", "seed"):
                assert parameter["type"]["type"] == "integer" and isinstance(parameter["parameter_default"], int)


@pytest.mark.parametrize("name", ["fixed", "arbitrary", "gatys"])
def test_wrong_types_get_a_sentence(server, endpoints, photo, name):
    endpoint = endpoints[name]
    known = server.log.read_text()
    asked = 0
    for place, kind in enumerate(endpoint[2]):
        wrong = WRONG.get(kind, [7, [], {}, True] if kind == "dropdown" else [])
        for value in wrong:
            data = [photo, photo if name != "fixed" else None] + [None] * (len(endpoint[2]) - 2)
            data[place] = value
            worked, answer = raw_http.call(server, endpoint, data)
            assert not worked and answer["error"].endswith("."), (kind, value, answer)
            assert "<b>" not in answer["error"] and "Error" not in answer["error"], answer
            asked += 1
    assert asked > 20 and "Traceback" not in server.log.read_text().removeprefix(known)


@pytest.mark.parametrize("data", [[], [None], None, {}, "photo"])
def test_too_few_inputs_get_a_sentence(server, endpoints, data):
    for name in ("fixed", "arbitrary", "gatys"):
        worked, answer = raw_http.call(server, endpoints[name], data)
        assert not worked and (answer.get("error") or answer.get("detail"))


def test_what_is_left_out_is_the_default(server, endpoints, photo):
    worked, answer = raw_http.call(server, endpoints["fixed"], [photo, None, None, 128, None])
    assert worked and "128" in answer["data"][2]
