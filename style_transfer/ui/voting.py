"""Blind votes of the Compare tab: two pictures of a comparison without their names, which is better, and then whose they are.

Votes stay in the visit. Who runs the app may name a file by STYLE_TRANSFER_VOTES: then visitors can send theirs to it, and
`python -m benchmarks.blind report FILE` says what they say.
"""

import html
import io
import logging
import os
import random
import secrets
from itertools import combinations
from typing import NamedTuple

import gradio as gr
from PIL import Image

from .. import images, votes
from ..compare import METHODS
from ..errors import InputError
from ..votes import CHOICES, Vote
from . import common

SIDE = 768  # pixels of the long side of what is voted on
MOST = 200  # votes of a visit
MOST_BYTES = 5_000_000  # of the file of all visitors' votes
QUESTION = "Which one do you like better? The names come after your vote."
ALL = "You have voted on every pair of this comparison."
PRIVACY = "Your votes stay in this visit."
MAY_SEND = " Nobody sees them unless you send them: then your choices between methods are kept, and nothing else of you."
FOCUS = "() => {{ setTimeout(() => document.getElementById('{}')?.focus({{ preventScroll: true }}), 300); }}"


class Painted(NamedTuple):
    """A comparison that can be voted on."""

    name: str = ""  # at random, so that one can be told from another
    pictures: tuple = ()  # (title, JPEG) of each


class Visit(NamedTuple):
    """What a visitor has voted."""

    viewer: str = ""  # a name at random, known to nobody
    cast: tuple = ()  # of Vote
    sent: int = 0  # how many of them are in the owner's file


def paint(painted, result):
    """A `Painted` with one more `compare.Result`; the first one begins a new comparison."""
    picture = images.resize(result.picture, min(SIDE, max(result.picture.shape[2:])))
    images.to_pil(picture).save(out := io.BytesIO(), "JPEG", quality=95)
    return Painted(painted.name or secrets.token_hex(8), (*painted.pictures, (result.title, out.getvalue())))


def _left(painted, visit):
    """Pairs of the comparison's pictures on which the visitor has not voted."""
    known = {vote.pair()[1:] for vote in visit.cast}
    return [(a, b) for a, b in combinations(painted.pictures, 2) if (painted.name, frozenset((a[0], b[0]))) not in known]


def draw(painted, visit):
    """(a `Vote` without a choice, left picture, right picture) of a pair that is left, sides at random; None where none is."""
    pairs = _left(painted, visit)
    if not pairs:
        return None
    left, right = random.sample(random.choice(pairs), 2)
    question = Vote(visit.viewer or secrets.token_hex(4), painted.name, left[0], right[0], "equal")
    return question, *(Image.open(io.BytesIO(data)) for _, data in (left, right))


def cast(visit, question, choice):
    """The `Visit` with one more vote. Raises InputError where it has too many."""
    if len(visit.cast) >= MOST:
        raise InputError(f"You have voted {MOST} times, which is as often as a visit can: load the page again to go on.")
    return visit._replace(viewer=question.viewer, cast=(*visit.cast, question._replace(vote=choice)))


def revealed(vote):
    """A vote in words, as HTML."""
    left, right = html.escape(vote.left), html.escape(vote.right)
    chosen = {"left": f"You prefer <b>{left}</b> on the left to {right}.",
              "right": f"You prefer <b>{right}</b> on the right to {left}.",
              "equal": f"Equal for you: {left} on the left, {right} on the right."}
    return chosen[vote.vote]


def table(visit):
    """The visit's own votes as HTML: how often each way was preferred."""
    rows = "".join(f'<tr><th scope="row">{html.escape(name)}</th><td>{wins} of {wins + losses}</td>'
                   f"<td>{f'{wins / (wins + losses):.0%}' if wins + losses else '-'}</td></tr>"
                   for name, (wins, losses) in votes.totals(visit.cast).items())
    equal = sum(vote.winner() is None for vote in visit.cast)
    heads = "".join(f'<th scope="col">{text}</th>' for text in ("Method", "Preferred", "Share"))
    return (f'<table class="figures"><caption>Your votes of this visit: {len(visit.cast)}, {equal} of them equal</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")


def send(visit):
    """Write what was not sent yet to the owner's file: the `Visit` that knows. Raises InputError, one sentence.

    Whatever a visit holds came from a browser, so it is judged again: ways of this app, as many votes as a visit can have.
    """
    cast = visit.cast[visit.sent:MOST]
    if not cast:
        raise InputError("There is no new vote to be sent: vote first.")
    if not all(name.startswith(tuple(METHODS.values())) for vote in cast for name in (vote.left, vote.right)):
        raise InputError("These votes are not on pictures of this app: compare some here first.")
    path = os.environ["STYLE_TRANSFER_VOTES"]
    try:
        votes.append(path, cast, MOST_BYTES)
    except InputError as error:  # names a file of the server
        logging.getLogger(__name__).warning("Votes are not kept. %s", error)
        raise InputError("The votes cannot be taken now: tell the owner of this app, whose log has the reason.") from None
    return visit._replace(sent=len(visit.cast))


def build(painted, begin, start, hidden):
    """The panel. painted: gr.State of a `Painted`; begin: the button that opens it; start: the one that begins another
    comparison, and closes it; hidden: components that give their place to it."""
    visit, question = gr.State(Visit()), gr.State()
    may_send = bool(os.environ.get("STYLE_TRANSFER_VOTES"))
    with gr.Column(visible=False, elem_classes="blind") as panel:
        said = gr.HTML(QUESTION, elem_classes="status", label="Blind vote", padding=False)
        with gr.Row():
            pictures = [gr.Image(label=side, interactive=False, format="png", buttons=["fullscreen"], min_width=120)
                        for side in ("Left", "Right")]
        with gr.Row():
            choices = [gr.Button(text, min_width=80, elem_id=f"vote-{name}") for name, text in CHOICES.items()]
        with gr.Row():
            another = gr.Button("Another pair", variant="primary", interactive=False, min_width=100, elem_id="vote-another")
            close = gr.Button("Back to all pictures", min_width=100)
            sending = gr.Button("Send my votes", interactive=False, min_width=100) if may_send else None
        tally = gr.HTML("", label="Your votes", padding=False)
        gr.HTML(PRIVACY + MAY_SEND * may_send, elem_classes="note", label="Where votes go", padding=False)

    def opened(is_open):
        return [gr.update(visible=is_open), *[gr.update(visible=not is_open)] * len(hidden)]

    def ask(painted, visit):
        drawn = draw(painted, visit)
        if drawn is None:
            gr.Info(ALL)
            return [gr.skip()] * len(asked)
        return [drawn[0], *opened(True), QUESTION,
                *(gr.Image(picture, label=side) for picture, side in zip(drawn[1:], ("Left", "Right"))),
                *[gr.Button(interactive=True)] * 3, gr.Button(interactive=False)]

    def choose(choice):
        def vote(question, painted, visit):
            if question is None:  # a click twice
                return [gr.skip()] * len(outputs)
            with common.as_gradio_errors():
                visit = cast(visit, question, choice)
            more = bool(_left(painted, visit))
            return [None, visit, revealed(visit.cast[-1]) + ("" if more else f" {ALL}"),
                    gr.Image(label=question.left), gr.Image(label=question.right), table(visit),
                    *[gr.Button(interactive=False)] * 3, gr.Button(interactive=more), *[gr.Button(interactive=True)] * may_send]
        return vote

    def give(visit):
        with common.as_gradio_errors():
            visit = send(visit)
        return visit, f"Thank you. Votes that the app's owner has from you: {visit.sent}.", gr.Button(interactive=False)

    asked = [question, panel, *hidden, said, *pictures, *choices, another]
    outputs = [question, visit, said, *pictures, tally, *choices, another, *([sending] if may_send else [])]
    for button in (begin, another):
        button.click(ask, [painted, visit], asked, **common.QUIET).then(None, js=FOCUS.format("vote-left"), **common.PRIVATE)
    for button, name in zip(choices, CHOICES):
        button.click(choose(name), [question, painted, visit], outputs, **common.QUIET).then(
            None, js=FOCUS.format("vote-another"), **common.PRIVATE)
    for button in (close, start):
        button.click(lambda: opened(False), None, [panel, *hidden], **common.QUIET)
    if may_send:
        sending.click(give, visit, [visit, said, sending], **common.QUIET)
