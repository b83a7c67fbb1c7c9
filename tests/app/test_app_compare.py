"""The Compare tab as programs call it."""

import time

import pytest
from gradio_client import handle_file
from PIL import Image

from tests.app import raw_http
from tests.app.app_server import ROOT

PHOTO, STYLE = ROOT / "examples/photos/cat.jpg", ROOT / "examples/styles/waves.jpg"
META = {"meta": {"_type": "gradio.FileData"}}


def test_a_comparison_comes_as_a_sheet_with_its_figures(client):
    job = client.submit(handle_file(PHOTO), handle_file(STYLE), iterations=10, size=128, api_name="/compare")
    sheet, gallery, status, table, numbers = job.result(timeout=120)
    with Image.open(sheet) as page:
        assert page.format == "PNG" and page.width > 1000
    methods = [row["method"] for row in numbers]
    assert methods in (["adain", "adain", "wct", "wct", "fixed", "gatys"], ["adain", "adain", "wct", "wct", "gatys"])
    assert [item["caption"] for item in gallery] == [row["title"] for row in numbers]
    with Image.open(gallery[0]["image"]) as picture:
        assert max(picture.size) == 128
    assert all(row["seconds"] > 0 and 0 < row["from_the_photograph"] < 2 for row in numbers)
    assert table.count('<th scope="row">') == len(numbers) == int(status.split()[0]) and "<caption>" in table
    assert len(job.outputs()) > len(numbers)  # as they are done


def test_only_what_is_chosen_is_painted(client):
    *_, numbers = client.predict(handle_file(PHOTO), handle_file(STYLE), methods=["wct", "wct"], strengths=[0.4, 0.4],
                                 size=128, api_name="/compare")
    assert [row["title"] for row in numbers] == ["WCT, strength 0.4"]


@pytest.mark.parametrize("change, words", [
    ({"methods": []}, "At least one method"), ({"methods": ["magic"]}, "must be a list of some of"),
    ({"methods": "wct"}, "must be a list"), ({"strengths": []}, "one strength"), ({"strengths": [0.3]}, "must be a list"),
    ({"strengths": [True]}, "from 0 to 1"), ({"fixed_style": "../../etc/passwd"}, "must be one of"),
    ({"iterations": 1000}, "whole number from 10 to 300"), ({"size": 5000}, "whole number from 128 to 1024"),
    ({"style": {"path": "/etc/hostname"} | META}, "that was uploaded"),
])
def test_wrong_values_are_a_sentence(server, change, words):
    info = raw_http.get(f"{server.url}gradio_api/info")["named_endpoints"]["/compare"]
    names = [parameter["parameter_name"] for parameter in info["parameters"]]
    assert names == ["content", "style", "methods", "strengths", "fixed_style", "iterations", "size"]
    endpoint = next(e for e in raw_http.endpoints(server) if e[1] == "compare")
    photo = {"path": raw_http.upload(server, PHOTO)} | META
    data = [({"content": photo, "style": photo, "methods": ["adain"], "size": 128} | change).get(name) for name in names]
    worked, answer = raw_http.call(server, endpoint, data)
    assert not worked and words in answer["error"] and answer["error"].endswith("."), answer


def test_it_is_stopped_and_leaves_nothing(server, client):
    before = set(server.jobs())
    job = client.submit(handle_file(PHOTO), handle_file(STYLE), methods=["adain", "gatys"], strengths=[1.0], iterations=300,
                        size=512, api_name="/compare")
    while not any("Gatys" in str(output[2]) for output in job.outputs()):
        assert not job.done(), job.exception()
        time.sleep(0.1)
    assert set(server.jobs()) > before
    start = time.monotonic()
    job.cancel()
    while set(server.jobs()) > before:
        assert time.monotonic() - start < 10, "the comparison went on after it was cancelled"
        time.sleep(0.1)
    sheet = next(output[0] for output in reversed(job.outputs()) if isinstance(output[0], str))
    with Image.open(sheet) as page:  # of what was painted before
        assert page.width > 1000
    client.predict(handle_file(PHOTO), handle_file(STYLE), methods=["adain"], size=128, api_name="/compare")  # the line is free
