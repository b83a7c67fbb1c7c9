"""A stand-in for the Hugging Face Hub on 127.0.0.1: answers the requests of the real clients as the Hub does.

Large files are redirected to a second port, as the Hub redirects to its content network. Faults can be switched on.
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class Blob:
    """The content of a file: bytes, or a file on disk that is too large for memory."""

    def __init__(self, data=None, path=None):
        self.data, self.path = data, path
        self.size = len(data) if path is None else path.stat().st_size
        self.sha256 = hashlib.sha256(data).hexdigest() if path is None else hashlib.sha256(str(path).encode()).hexdigest()

    def read(self, start, end):
        if self.path is None:
            return self.data[start:end]
        with open(self.path, "rb") as file:
            file.seek(start)
            return file.read(end - start)


class Repo:
    def __init__(self):
        self.commits, self.refs, self.token, self.gated, self.private = {}, {}, None, False, False

    def commit(self, files, ref="main"):
        """A new commit with these files {name: Blob}; returns its name."""
        sha = hashlib.sha1(json.dumps([len(self.commits), sorted(files)]).encode()).hexdigest()
        self.commits[sha], self.refs[ref] = dict(files), sha
        return sha


class Hub:
    """repos: {name: Repo}, the name of a dataset's as in "datasets/owner/name"; requests: (method, path, status) as they came;
    sent: bytes of file content that went out.
    """

    def __init__(self):
        self.repos, self.objects, self.requests, self.sent = {}, {}, [], 0
        self.fail = 0  # so many requests are answered with 500
        self.cut = []  # for each of the next downloads, the number of bytes after which the connection breaks
        self.corrupt = False  # downloads have another content of the same length
        self.html = False  # every answer is a page of a captive portal
        self.closed = False
        self.whole = False  # range requests are answered with the whole file
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"hub": self}))
                        for handler in (HubHandler, ContentHandler)]
        self.url, self.content = (f"http://127.0.0.1:{s.server_address[1]}" for s in self.servers)
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def repo(self, name):
        return self.repos.setdefault(name, Repo())

    def close(self):
        self.closed = True  # for connections that are kept alive
        for server in self.servers:
            server.shutdown()
            server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None

    def log_message(self, *args):
        pass

    def answer(self, status=200, body=b"", **headers):
        body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        self.hub.requests.append((self.command, self.path, status))
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, **headers):
        self.answer(status, {"error": code}, X_Error_Code=code, X_Error_Message=code, **headers)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send_blob(self, blob, **headers):
        """Content with ranges, and with the faults that are switched on."""
        start, end, status = 0, blob.size, 200
        if (match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))) and not self.hub.whole:
            start, end, status = int(match[1]), int(match[2] or blob.size - 1) + 1, 206
            headers["Content_Range"] = f"bytes {start}-{end - 1}/{blob.size}"
        self.hub.requests.append((self.command, self.path, status))
        self.send_response(status)
        for name, value in (headers | {"Content_Length": str(end - start), "Accept_Ranges": "bytes"}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        stop = start + self.hub.cut.pop(0) if self.hub.cut else end
        while start < min(stop, end):
            data = blob.read(start, min(start + (1 << 18), stop, end))
            try:
                self.wfile.write(bytes(255 - b for b in data) if self.hub.corrupt else data)
            except OSError:
                break
            self.hub.sent += len(data)
            start += len(data)
        if start < end:
            self.close_connection = True
            self.connection.close()

    def handle_all(self):
        if self.hub.closed:
            self.close_connection = True
            return self.connection.close()
        if self.hub.html:
            self.body()
            return self.answer(200, b"<html>Please log in to this network</html>", Content_Type="text/html")
        if self.hub.fail:
            self.hub.fail -= 1
            self.body()
            return self.answer(500, b"failure")
        self.route()

    do_GET = do_HEAD = do_POST = do_PUT = handle_all


class ContentHandler(Handler):
    """The content network: large files by their hash, and where they are uploaded to."""

    def route(self):
        oid = urlsplit(self.path).path.rsplit("/", 1)[-1]
        if self.command == "PUT":
            blob = Blob(self.body())
            if blob.sha256 != oid:
                return self.answer(400)
            self.hub.objects[oid] = blob
            return self.answer(200)
        self.send_blob(self.hub.objects[oid])


class HubHandler(Handler):
    def route(self):
        path = unquote(urlsplit(self.path).path).replace("/api/datasets/", "/api/models/datasets/")
        name = r"((?:datasets/)?[^/]+/[^/]+)"
        for pattern, method in (
                (r"/api/repos/create", self.create), (r"/api/models", lambda: self.answer(200, [])),
                (r"/api/validate-yaml", lambda: (self.body(), self.answer(200, {"errors": [], "warnings": []}))),
                (rf"/api/models/{name}/preupload/(.+)", self.preupload),
                (rf"/api/models/{name}/commit/(.+)", self.commit),
                (rf"/api/models/{name}/tree/([^/]+)(?:/(.+))?", self.tree),
                (rf"/api/models/{name}/revision/(.+)", self.info),
                (rf"/api/models/{name}", self.info),
                (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self.lfs_batch),
                (rf"/{name}/resolve/([^/]+)/(.+)", self.resolve)):
            if match := re.fullmatch(pattern, path):
                return method(*match.groups())
        self.body()
        self.error(404, "EntryNotFound")

    def find(self, name, revision=None):
        """(repo, commit) or None, when it has answered with an error."""
        repo, token = self.hub.repos.get(name), self.headers.get("Authorization", "")
        if repo is None or repo.private and token != f"Bearer {repo.token}":
            return self.error(401, "RepoNotFound")
        if revision is None or revision in repo.commits:
            return repo, revision or repo.refs.get("main")
        if revision not in repo.refs:
            return self.error(404, "RevisionNotFound")
        return repo, repo.refs[revision]

    def info(self, name, revision="main"):
        if found := self.find(name, revision):
            repo, sha = found
            name = name.removeprefix("datasets/")
            self.answer(200, {"_id": "0", "id": name, "modelId": name, "sha": sha, "private": repo.private, "tags": [],
                              "downloads": 0, "likes": 0, "gated": "manual" if repo.gated else False,
                              "siblings": [{"rfilename": f} for f in repo.commits.get(sha, {})]},
                        Content_Type="application/json")

    def entries(self, files, folders):
        """What the Hub says of files {name: Blob} and of folders."""
        return [{"type": "file", "path": f, "size": b.size, "oid": hashlib.sha1(b.sha256.encode()).hexdigest(),
                 **({"lfs": {"oid": b.sha256, "size": b.size, "pointerSize": 134}} if large(f) else {})}
                for f, b in files.items()] + [{"type": "directory", "path": f, "size": 0, "oid": "0" * 40} for f in folders]

    def tree(self, name, revision, folder=None):
        """What lies in a folder (default: the uppermost), or also below it."""
        if found := self.find(name, revision):
            repo, sha = found
            inside = {f: b for f, b in repo.commits[sha].items() if folder is None or f.startswith(f"{folder}/")}
            if folder is not None and not inside:
                return self.error(404, "EntryNotFound")
            depth = 0 if folder is None else folder.count("/") + 1
            folders = {"/".join(f.split("/")[:n]) for f in inside for n in range(depth + 1, f.count("/") + 1)}
            if "recursive=true" not in urlsplit(self.path).query.lower():
                inside = {f: b for f, b in inside.items() if f.count("/") == depth}
                folders = {f for f in folders if f.count("/") == depth}
            self.answer(200, self.entries(inside, sorted(folders)), Content_Type="application/json")

    def resolve(self, name, revision, file):
        found = self.find(name, revision)
        if not found:
            return
        repo, sha = found
        if repo.gated and self.headers.get("Authorization", "") != f"Bearer {repo.token}":
            return self.error(403, "GatedRepo")
        blob = repo.commits[sha].get(file)
        if blob is None:
            return self.error(404, "EntryNotFound", X_Repo_Commit=sha)
        if large(file):
            self.hub.objects[blob.sha256] = blob
            return self.answer(302, Location=f"{self.hub.content}/{blob.sha256}", X_Repo_Commit=sha,
                               X_Linked_Etag=f'"{blob.sha256}"', X_Linked_Size=str(blob.size), ETag=f'"{sha}"')
        self.send_blob(blob, X_Repo_Commit=sha, ETag=f'"{hashlib.sha1(blob.data).hexdigest()}"')

    def create(self):
        asked = json.loads(self.body())
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        if not self.headers.get("Authorization"):
            return self.error(401, "Unauthorized")
        if name in self.hub.repos:
            return self.answer(409, {"error": "exists", "url": f"{self.hub.url}/{name}"}, Content_Type="application/json")
        repo = self.hub.repo(name)
        repo.private = bool(asked.get("private")) or asked.get("visibility") == "private"
        repo.token = self.headers["Authorization"].removeprefix("Bearer ")
        repo.commit({})
        self.answer(200, {"url": f"{self.hub.url}/{name}"}, Content_Type="application/json")

    def preupload(self, name, revision):
        files = json.loads(self.body())["files"]
        if self.find(name, revision):
            self.answer(200, {"files": [{"path": f["path"], "shouldIgnore": False, "oid": None,
                                         "uploadMode": "lfs" if large(f["path"]) else "regular"} for f in files]},
                        Content_Type="application/json")

    def lfs_batch(self, name):
        objects = json.loads(self.body())["objects"]
        self.answer(200, {"transfer": "basic", "objects": [
            {"oid": o["oid"], "size": o["size"],
             "actions": {"upload": {"href": f"{self.hub.content}/upload/{o['oid']}"}}} for o in objects]},
                    Content_Type="application/vnd.git-lfs+json")

    def commit(self, name, revision):
        lines = [json.loads(line) for line in self.body().splitlines() if line.strip()]
        found = self.find(name, revision)
        if not found:
            return
        repo, sha = found
        files = dict(repo.commits.get(sha, {}))
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
        oid = repo.commit(files)
        self.answer(200, {"success": True, "commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "commitOid": oid,
                          "hookOutput": ""}, Content_Type="application/json")


def large(file):
    """Whether the Hub keeps a file outside git."""
    return file.endswith((".safetensors", ".jpg", ".png"))
