"""Which way of painting people prefer: a page for votes on two hidden results at a time, and what the votes say.

    python -m benchmarks.blind show OUTPUTS OUTPUTS [OUTPUTS ...] --contents DIR --styles DIR --votes votes.jsonl
    python -m benchmarks.blind report votes.jsonl

OUTPUTS are folders of pictures named CONTENT__STYLE.png, as `benchmarks.pairs` makes them, or names of methods to be run first,
as adain, wct-0.6 (its alpha) or gatys, into --runs. The page on 127.0.0.1 shows the photograph, the style, and what two of
them made of it, in random order and on random sides; what comes to the browser is scaled to one size and named at random, so
that nothing but the picture tells whose it is. Keys 1, 2, 3 or a click: left is better, right is better, equal. Each vote is
in the file before the next pair is shown, and who comes again under the same name goes on where they stopped.

The report gives for every two ways how often the first one was preferred among the votes that decide, with Wilson's interval
of 95 %, and the probability of such a split if both were as good (exact sign test). Both take votes for independent: many
votes of one viewer, or of many viewers on the same few pictures, say less than their number.
"""

import argparse
import io
import random
import re
import secrets
import sys
import threading
from itertools import combinations
from pathlib import Path

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

import style_transfer as st
from benchmarks import pairs, quality
from style_transfer import votes
from style_transfer.errors import InputError, StyleTransferError
from style_transfer.votes import Vote

PAGE = Path(__file__).with_name("blind.html")
RUNS = Path(__file__).resolve().parent.parent / "runs" / "blind"
METHODS = [name for name in pairs.METHODS if name != "reference"]
LARGEST = 1024  # long side of what is shown, pixels
MOST_OPEN = 100  # pairs that are shown and not voted on, of all viewers
NO_STORE = {"Cache-Control": "no-store"}


def method(name):
    """(method, alpha) of a name as adain or wct-0.6, None where it is none."""
    found = re.fullmatch(rf"({'|'.join(METHODS)})(?:-(0(?:\.\d+)?|1(?:\.0+)?))?", name)
    return found and (found[1], 1.0 if found[2] is None else float(found[2]))


def ways(outputs, contents, styles, runs=RUNS, sample=None, progress=print):
    """{name: {picture: path}} of folders, and of methods painted into `runs`; contents, styles: folders.

    sample: so many pictures at random, always the same ones. Raises InputError for what is neither.
    """
    found = {Path(output).name: quality.by_stem(output) for output in outputs if Path(output).is_dir()}
    known = set.intersection(*map(set, found.values())) if found else {
        f"{content.stem}__{style.stem}" for content, (style,) in pairs.every(pairs.pictures(contents), pairs.pictures(styles))}
    if sample is not None and sample < len(known):
        known = set(random.Random(0).sample(sorted(known), sample))
    contents, styles = quality.by_stem(contents), quality.styles_of(styles)
    for output in outputs:
        if Path(output).is_dir():
            continue
        if not (chosen := method(output)):
            raise InputError(f"{output} is no folder and no method: name folders, or some of {', '.join(METHODS)}.")
        todo = [quality.sources(picture, contents, styles) for picture in sorted(known)]
        progress(f"{output}: {len(todo)} pictures, in {runs / output}")
        pairs.make(todo, runs / output, pairs.painter(*chosen), keep=True)
        found[output] = quality.by_stem(runs / output)
    if len(found) < 2 or len(found) < len(outputs):
        raise InputError("At least two folders or methods are needed, each with another name.")
    return {name: {picture: path for picture, path in of.items() if picture in known} for name, of in found.items()}


def png(path, size):
    """The bytes of a picture's file at size (H, W), with nothing in them but the picture."""
    image = quality.picture(path, size)
    st.images.to_pil(image).save(out := io.BytesIO(), "PNG")
    return out.getvalue()


def long_side(path):
    with Image.open(path) as image:
        return max(image.size)


def within(path, side):
    """(H, W) of a picture with this long side at most."""
    height, width = st.load(path).shape[2:]
    return st.images.fit(height, width, min(side, max(height, width)))


class Ballot:
    """All pairs of results, who has voted on which, and what is shown under which random names at the moment.

    ways: {name: {picture: path}}; contents, styles: folders; path: the file of votes. Raises InputError for results of
    unknown pictures, and where there is nothing to compare.
    """

    def __init__(self, ways, contents, styles, path):
        contents, styles = quality.by_stem(contents), quality.styles_of(styles)
        self.ways, self.path, self.lock = ways, path, threading.Lock()
        self.inputs = {picture: quality.sources(picture, contents, styles) for picture in set().union(*ways.values())}
        self.questions = [(picture, frozenset(both)) for picture in sorted(self.inputs)
                          for both in combinations([name for name in ways if picture in ways[name]], 2)]
        if not self.questions:
            raise InputError("No two of the folders have a picture by the same name.")
        self.answered = {vote.pair() for vote in votes.read(path)[0]}
        self.open, self.files = {}, {}  # {token: (vote without a choice, its files' tokens)}, {token: (path, (H, W))}

    def _hide(self, path, size):
        token = secrets.token_urlsafe(12)
        self.files[token] = path, size
        return token

    def ask(self, viewer):
        """What the page shows next: {"done", "total"} and, where there is one, the random names of a pair and its files."""
        with self.lock:
            left = [q for q in self.questions if (viewer, *q) not in self.answered]
            told = {"done": len(self.questions) - len(left), "total": len(self.questions)}
            if not left:
                return told
            picture, both = random.choice(left)
            first, second = random.sample(sorted(both), 2)
            paths = [self.ways[name][picture] for name in (first, second)]
            content, styles = self.inputs[picture]
            size = within(content, LARGEST)
            size = st.images.fit(*size, min(max(size), *map(long_side, paths)))  # that none is told by its size
            shown = {"left": self._hide(paths[0], size), "right": self._hide(paths[1], size),
                     "content": self._hide(content, size),
                     "styles": [self._hide(path, within(path, LARGEST // 2)) for path in styles[:4]]}
            question = secrets.token_urlsafe(12)
            self.open[question] = (Vote(viewer, picture, first, second, "equal"),
                                   [shown["left"], shown["right"], shown["content"], *shown["styles"]])
            while len(self.open) > MOST_OPEN:
                self._close(next(iter(self.open)))
            return told | {"question": question} | shown

    def _close(self, question):
        vote, files = self.open.pop(question)
        for token in files:
            self.files.pop(token, None)
        return vote

    def vote(self, viewer, question, choice):
        """Write a viewer's vote; what is no longer open is asked again instead. Raises InputError for what is no vote."""
        with self.lock:
            if question not in self.open or self.open[question][0].viewer != viewer:
                return
            vote = votes.check(self.open[question][0]._asdict() | {"vote": choice})
            if vote.pair() not in self.answered:
                votes.append(self.path, [vote])
                self.answered.add(vote.pair())
            self._close(question)

    def file(self, token):
        """A picture's bytes by its random name, None where it is shown no more."""
        found = self.files.get(token)
        return found and png(*found)


def application(ballot):
    """The page and what it asks for, as an ASGI application for this machine alone."""
    def viewer_of(name):
        if not isinstance(name, str) or not 0 < len(name := name.strip()) <= 80 or not name.isprintable():
            raise InputError("A name has 1 to 80 characters: type yours.")
        return name

    def page(request):
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=NO_STORE)

    def ask(request):
        return JSONResponse(ballot.ask(viewer_of(request.query_params.get("viewer"))), headers=NO_STORE)

    async def vote(request):
        try:
            said = await request.json()
            viewer, question, choice = (said[key] for key in ("viewer", "question", "vote"))
        except (ValueError, TypeError, KeyError):
            raise InputError("A vote must name its viewer, its question and a choice.") from None
        viewer = viewer_of(viewer)
        ballot.vote(viewer, str(question), choice)
        return JSONResponse(ballot.ask(viewer), headers=NO_STORE)

    def file(request):
        data = ballot.file(request.path_params["token"])
        return Response(data, media_type="image/png", headers=NO_STORE) if data else Response(status_code=404)

    def refuse(request, error):
        return JSONResponse({"error": str(error)}, 400)

    routes = [Route("/", page), Route("/ask", ask), Route("/vote", vote, methods=["POST"]), Route("/picture/{token}", file)]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])  # no other site's page in this browser
    return Starlette(routes=routes, middleware=[hosts], exception_handlers={InputError: refuse})


def percent(wins, losses):
    """A share of wins and its interval, in words."""
    if not wins + losses:
        return "no vote decides"
    low, high = votes.wilson(wins, wins + losses)
    return f"{wins} of {wins + losses}, {wins / (wins + losses):.0%} ({low:.0%} to {high:.0%})"


def report(cast, left_out=0):
    """What votes say, as lines of text."""
    people, pictures = ({getattr(vote, name) for vote in cast} for name in ("viewer", "picture"))
    lines = [f"votes: {len(cast)}, viewers: {len(people)}, pictures: {len(pictures)}; shares of votes that decide"]
    if left_out:
        lines.append(f"lines left out, which are no votes or second ones by a viewer on a pair: {left_out}")
    for duel in votes.duels(cast):
        lines.append(f"{duel.first} over {duel.second}: {percent(duel.wins, duel.losses)}, {duel.equal} equal, "
                     f"sign test p = {votes.sign_test(duel.wins, duel.losses):.2g}")
    totals = votes.totals(cast)
    if len(totals) > 2:
        lines += [f"{name} over all others: {percent(*counts)}" for name, counts in totals.items()]
    return lines


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = p.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="the page for votes")
    show.add_argument("outputs", nargs="+", help="folders, or methods to be run: " + ", ".join(METHODS))
    show.add_argument("--contents", type=Path, required=True)
    show.add_argument("--styles", type=Path, required=True)
    show.add_argument("--votes", type=Path, required=True, help="the file to which votes are added")
    show.add_argument("--sample", type=int, help="only so many of the pictures, chosen at random, always the same")
    show.add_argument("--runs", type=Path, default=RUNS, help="where methods paint; what is there is not painted again")
    show.add_argument("--port", type=int, default=7870)
    told = commands.add_parser("report", help="what the votes say")
    told.add_argument("votes", type=Path, nargs="+")
    a = p.parse_args()
    try:
        if a.command == "report":
            missing = [str(path) for path in a.votes if not path.is_file()]
            if missing:
                p.error(f"there is no file {', '.join(missing)}")
            read = [votes.read(path) for path in a.votes]
            print("\n".join(report([vote for found, _ in read for vote in found], sum(left_out for _, left_out in read))))
            return
        for folder in (a.contents, a.styles):
            if not folder.is_dir():
                p.error(f"there is no folder {folder}")
        if a.sample is not None and a.sample < 1:
            p.error("--sample must be 1 or more")
        found = ways(a.outputs, a.contents, a.styles, a.runs, a.sample)
        ballot = Ballot(found, a.contents, a.styles, a.votes)
        votes.append(a.votes, [])  # said now, not at the first vote, where it cannot be written
    except StyleTransferError as error:
        sys.exit(str(error))
    print(f"{len(ballot.questions)} pairs: http://127.0.0.1:{a.port}/ (Ctrl+C ends it, and no vote is lost)", flush=True)
    uvicorn.run(application(ballot), host="127.0.0.1", port=a.port, log_level="warning")


if __name__ == "__main__":
    main()
