"""Calls of the running app as anybody can make them: plain HTTP, any data, every endpoint, private ones too."""

import json
import secrets
import urllib.error
import urllib.request

WAYS = ("queue", "call", "run")


def _open(url, body=None, timeout=20, headers=None):
    data = None if body is None else json.dumps(body).encode()
    return urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"} | (headers or {})),
                                  timeout=timeout)


def get(url):
    with _open(url) as answer:
        return json.load(answer)


def endpoints(server):
    """[(number, api name, [type of each input], queued)] of all that can be called, private ones too."""
    config = get(f"{server.url}config")
    types = {c["id"]: c["type"] for c in config["components"]}
    return [(d["id"], d["api_name"], [types[i] for i in d["inputs"]], d["queue"]) for d in config["dependencies"]
            if d["backend_fn"] and not d["cancels"]]


def call(server, endpoint, data, way="queue", event_data=None, session=None, headers=None, timeout=20):
    """(whether it worked, its data or its error as a dictionary) of one call; `endpoint` as `endpoints` gives it.

    Calls of one session share its state; headers go with a call that joins the queue.
    """
    api, (number, name, _, _) = f"{server.url}gradio_api", endpoint
    session = session or secrets.token_hex(8)
    try:
        if way == "run":
            with _open(f"{api}/run/{name}", {"data": data, "fn_index": number, "event_data": event_data}) as answer:
                return True, json.load(answer)
        if way == "call":
            with _open(f"{api}/call/{name}", {"data": data}) as answer:
                event = json.load(answer)["event_id"]
            kind = None
            for line in _open(f"{api}/call/{name}/{event}"):
                word, _, value = line.decode().strip().partition(": ")
                if word == "event":
                    kind = value
                if word == "data" and kind in ("complete", "error"):
                    return kind == "complete", json.loads(value)
            raise AssertionError("the stream ended without an answer")
        body = {"data": data, "fn_index": number, "session_hash": session, "event_data": event_data}
        _open(f"{api}/queue/join", body, headers=headers).close()
        for line in _open(f"{api}/queue/data?session_hash={session}", timeout=timeout):
            if line.startswith(b"data: "):
                message = json.loads(line[6:])
                if message["msg"] == "process_completed":
                    return message["success"], message["output"]
        raise AssertionError("the stream ended without an answer")
    except urllib.error.HTTPError as error:
        return False, json.load(error)


def upload(server, path, name=None):
    """The path on the server of an uploaded file, under its own or another name."""
    border = secrets.token_hex(8)
    body = (f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="{name or path.name}"\r\n\r\n'.encode()
            + path.read_bytes() + f"\r\n--{border}--\r\n".encode())
    request = urllib.request.Request(f"{server.url}gradio_api/upload", body,
                                     {"Content-Type": f"multipart/form-data; boundary={border}"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)[0]
