"""The endpoints as programs see them: what each parameter means, of which type it is, and a sentence for what is wrong."""

import asyncio
import shutil
import urllib.parse
from types import SimpleNamespace

import gradio as gr
import pytest

from style_transfer.ui import address, inputs
from tests.app import raw_http
from tests.app.app_server import ROOT, running

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
    assert {"/fixed", "/arbitrary", "/gatys", "/film"} <= set(described)
    for name, endpoint in described.items():
        assert endpoint["description"]
        for parameter in endpoint["parameters"]:
            words = parameter["python_type"]["description"]
            assert len(words) >= 6, (name, parameter["parameter_name"])
            if parameter["parameter_name"] in ("size", "iterations", "seed"):
                assert parameter["type"]["type"] == "integer" and isinstance(parameter["parameter_default"], int)


def test_programs_are_told_every_range_choice_and_file(server):
    described = raw_http.get(f"{server.url}gradio_api/info")
    assert not described["unnamed_endpoints"]
    for name, endpoint in described["named_endpoints"].items():
        first, *others = endpoint["parameters"]
        assert first["python_type"]["type"] == "filepath" and not first["parameter_has_default"]
        for parameter in [first, *others]:
            kind, words = parameter["type"], parameter["python_type"]["description"]
            assert kind["description"] == words and words.endswith("."), (name, parameter["parameter_name"])
            default = parameter["parameter_default"] if parameter["parameter_has_default"] else None
            if kind.get("type") in ("integer", "number"):
                assert kind["minimum"] <= default <= kind["maximum"]
                assert f"From {kind['minimum']:.12g} to {kind['maximum']:.12g}." in words
            for choice in kind.get("enum", []):
                assert choice in words
            if "enum" in kind.get("items", {}):
                assert set(default) <= set(kind["items"]["enum"])
                assert kind["items"]["type"] == inputs.JSON_TYPES[type(default[0])]
        assert str(server.temp) not in str(endpoint) and "raw.githubusercontent.com" not in str(endpoint["parameters"])


def test_a_tool_has_its_endpoints_name_and_explains_its_parameters():
    def run(content, size=8, request: gr.Request = None):
        """Paint.

        Slowly.
        """
        yield content, size

    with gr.Blocks():
        blocks = [inputs.Picture(label="Photograph"), gr.Slider(1, 16, 8, label="Size")]
    tool = inputs.documented(run, "paint", blocks)
    description, parameters, _ = gr.utils.get_function_description(tool)
    assert tool.__name__ == "paint" and description == "Paint. Slowly." and list(tool("a.png", 9)) == [("a.png", 9)]
    assert "JPEG" in parameters["content"] and parameters["size"] == "Size. From 1 to 16."
    assert tool.__annotations__ == run.__annotations__ and run.__name__ == "run"


def test_tools_for_agents(weights, tmp_path):
    """The same functions by the Model Context Protocol, where its package is installed."""
    mcp, http = pytest.importorskip("mcp"), pytest.importorskip("mcp.client.streamable_http")
    shutil.copy(ROOT / "examples/photos/cat.jpg", tmp_path / "ä cat.jpg")

    async def ask(server):
        path = urllib.parse.quote(raw_http.upload(server, tmp_path / "ä cat.jpg"))
        async with http.streamablehttp_client(f"{server.url}gradio_api/mcp/") as (read, write, _):
            async with mcp.ClientSession(read, write) as session:
                await session.initialize()
                tools = {tool.name: tool for tool in (await session.list_tools()).tools}
                answers = [await session.call_tool("fixed", {"content": content, "style": "udnie", "size": size})
                           for content, size in ((f"{server.url}gradio_api/file={path}", 128),
                                                 ("http://127.0.0.1:9/a.png", 128), (f"{server.url}gradio_api/file={path}", 7))]
        return tools, answers

    with running(weights, tmp_path, GRADIO_MCP_SERVER="True") as server:
        tools, (painted, fetched, small) = asyncio.run(ask(server))
    assert {"arbitrary", "fixed", "gatys", "film"} <= tools.keys()
    assert all(p["description"] for tool in tools.values() for p in tool.inputSchema["properties"].values())
    assert not painted.isError and "udnie.png" in painted.content[0].text
    assert fetched.isError and "uploaded" in fetched.content[0].text
    assert small.isError and "128" in small.content[0].text


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


def test_a_call_may_be_as_short_as_what_it_sets(server, endpoints, photo):
    for way in ("queue", "call"):
        worked, answer = raw_http.call(server, endpoints["fixed"], [photo, "udnie", None, 128], way)
        assert worked and (answer if way == "call" else answer["data"])[2].startswith("Udnie, 128"), answer


@pytest.mark.parametrize("host", ["{server.url}", "http://127.0.0.1:9/", "https://example.com/"])
def test_an_upload_may_be_named_by_its_address(server, endpoints, photo, host):
    """As agents do, who were told it; whatever the host, the file is that of the upload folder, and nothing is fetched."""
    by_address = {"path": f"{host.format(server=server)}gradio_api/file={urllib.parse.quote(photo['path'])}"}
    worked, answer = raw_http.call(server, endpoints["fixed"], [by_address, "udnie", None, 128])
    assert worked, answer
    for path in ("/etc/passwd", f"{photo['path']}/../../../app.py", "", str(ROOT / "app.py")):
        wrong = {"path": f"{host.format(server=server)}gradio_api/file={path}"}
        worked, answer = raw_http.call(server, endpoints["fixed"], [wrong, "udnie"])
        assert not worked and "uploaded" in answer["error"]


def test_what_the_page_opens_with_is_no_default(server, endpoints):
    """Who takes the photograph away has none."""
    for name in ("fixed", "arbitrary", "gatys"):
        worked, answer = raw_http.call(server, endpoints[name], [])
        assert not worked and "no photograph yet" in answer["error"]


def of(**asked):
    return address.of(SimpleNamespace(query_params=asked), ("arbitrary", "fixed"))


def test_settings_in_the_address():
    assert of(tab="fixed", style="udnie", strength="0.5", size="1024", preserve_color="match") == dict(
        tab="fixed", style="udnie", strength=0.5, size=1024, preserve_color="match")
    waves, cat = str(ROOT / "examples/styles/waves.jpg"), str(ROOT / "examples/photos/cat.jpg")
    assert of(method="wct", style="waves", photograph="cat", alpha="0.6") == dict(
        method="wct", painting=waves, photograph=cat, alpha=0.6)
    assert of() == of(__theme="dark", content="http://127.0.0.1:9/a.png", painting="/etc/passwd") == {}


@pytest.mark.parametrize("name, values", [
    ("size", ["127", "4097", "512.5", "many", "", "nan", "inf", "1e999"]), ("alpha", ["1.1", "-0.1", "nan", "<b>"]),
    ("method", ["gatys", "", "<b>", "7"]), ("preserve_color", ["on", "True"]), ("tab", ["nonono", "", "__init__"]),
    ("style", ["../photos/cat", "/etc/passwd", "", "http://127.0.0.1:9/a.jpg", "encoder", "\0"]),
    ("photograph", ["../styles/waves", "cat.jpg", "/etc/passwd", "http://127.0.0.1:9/a.jpg"])])
def test_wrong_settings_in_the_address_are_left_out(name, values):
    for value in values:
        assert of(**{name: value}, stroke="2") == {"stroke": 2.0}, value
