"""Feature extractors by name: the compact encoder, which is shipped, and the full VGG-19 and VGG-16 from the Hub.

timm's files hold torchvision's ImageNet weights and are more than 550 MB, most of it the classifier. Only the convolutions
in use are fetched, by reading the file's header and the byte ranges that it names: 52 MB for VGG-19 up to relu5_1.
"""

import contextlib
import json
from pathlib import Path

import torch
from huggingface_hub import constants
from safetensors.torch import load_file

from . import checkpoints, convert, hub, weights
from .errors import CheckpointError, HubError, InputError
from .networks.vgg import VGG, VGG16, VGG19
from .options import Option

BACKBONES = {"compact": "Compact", "vgg19": "VGG-19", "vgg16": "VGG-16"}
OPTION = Option("compact", "The network whose features are met: the full ones are fetched, 52 to 80 MB.", choices=BACKBONES)
PLANS = {"vgg19": VGG19, "vgg16": VGG16}
REPOSITORIES = {"vgg19": "timm/vgg19.tv_in1k", "vgg16": "timm/vgg16.tv_in1k"}
TORCHVISION = {"vgg19": "vgg19-dcbb9e9d.pth", "vgg16": "vgg16-397923af.pth"}  # as torch.hub names them in its cache
FILE = "model.safetensors"
BLOCK = 1 << 18  # bytes between two reports
ATTEMPTS = 4


def _plan(name, layers):
    """Arguments of the VGG up to relu5_1, which is what the defaults use, or of all of it when a layer lies deeper."""
    shallow = dict(depths=(*PLANS[name]["depths"][:4], 1), widths=PLANS[name]["widths"])
    deeper = set(checkpoints.skeleton("vgg", PLANS[name]).layers) - set(checkpoints.skeleton("vgg", shallow).layers)
    return PLANS[name] if deeper & set(layers or ()) else shallow


def folder():
    """Where the full backbones are kept: style-transfer/ beside the Hub's own cache, so HF_HOME moves both."""
    return Path(constants.HF_HOME) / "style-transfer"


def _file(name, plan):
    return folder() / f"{name}-relu5_{plan['depths'][4]}.safetensors"


def _here(name, layers):
    """The file on this machine that has the layers: torch.hub's, or one that was fetched; None where there is none."""
    torchvision = Path(torch.hub.get_dir()) / "checkpoints" / TORCHVISION[name]
    files = torchvision, _file(name, _plan(name, layers)), _file(name, PLANS[name])
    return next((path for path in files if path.exists()), None)


def present(name, layers=None):
    """Whether `load` needs no download."""
    OPTION.check("backbone", name)
    return name == "compact" or _here(name, layers) is not None


def check(network):
    """Raises InputError for what cannot be a feature extractor in place of a backbone; None, for there is none, can."""
    if network is not None and not all(isinstance(name, str) for name in getattr(network, "layers", [None])):
        raise InputError("The network must be a feature extractor, such as backbones.load gives.")


def load(name, layers=None, device="cpu"):
    """A frozen VGG that has the named layers, on a device; fetched from the Hub when it is not on this machine.

    It is kept for the next call and for others: nobody may move or change it.
    Raises CheckpointError for an unknown name and for damaged files, HubError when the Hub cannot be read.
    """
    OPTION.check("backbone", name)
    if name == "compact":
        return checkpoints.shared(weights.named("encoder"), device)
    for _ in download(name, layers):
        pass
    path = _here(name, layers)
    return checkpoints.keep(path, device, lambda: _load(path).to(device))


def _load(path):
    if path.suffix == ".pth":
        try:
            network = convert.torchvision_vgg(convert.read(path))
        except (LookupError, TypeError, ValueError):
            raise CheckpointError(f"{path} does not hold torchvision's VGG: remove it, and the Hub's is fetched.") from None
        return network.requires_grad_(False).eval().to(memory_format=torch.channels_last)
    try:
        if checkpoints.describe(path).get("digest") != checkpoints.digest(load_file(path)):
            raise CheckpointError("its content does not match its checksum")
        return checkpoints.load(path)
    except CheckpointError as error:
        path.unlink(missing_ok=True)
        raise CheckpointError(f"The weight file {path} was damaged ({error}) and has been removed: "
                              "try again, and it is fetched anew.") from None


def _spans(places):
    """The byte ranges [start, end) of tensors in the data section, neighbours joined."""
    spans = []
    for start, end in sorted(places):
        if spans and start == spans[-1][1]:
            spans[-1][1] = end
        else:
            spans.append([start, end])
    return spans


def download(name, layers=None):
    """Fetch what `load` needs, if anything: a generator of (bytes so far, bytes in all).

    What has arrived is kept when the connection breaks or the process is killed, and the next call goes on from there.
    """
    if present(name, layers):
        return
    plan, repo = _plan(name, layers), REPOSITORIES[name]
    commit, path = hub.commit(repo), _file(name, plan)
    tensors = checkpoints.skeleton("vgg", plan).state_dict()
    try:
        length = int.from_bytes(hub.read_range(repo, FILE, commit, 0, 8), "little")
        header = json.loads(hub.read_range(repo, FILE, commit, 8, 8 + min(length, 1 << 24)))
        fits = all((header[n]["dtype"], header[n]["shape"]) == ("F32", list(t.shape)) for n, t in tensors.items())
        places = {n: header[n]["data_offsets"] for n in tensors}
        fits = fits and all(end - start == 4 * tensors[n].numel() for n, (start, end) in places.items())
        spans = _spans(places.values())
    except (ValueError, KeyError, TypeError, RecursionError):
        fits = False
    if not fits:
        raise HubError(f"{FILE} of {repo} does not hold the convolutions of {name}: what answered may be a proxy and not the "
                       "Hub; the compact backbone works without it.")
    total = sum(end - begin for begin, end in spans)
    part = path.with_name(f"{path.stem}-{commit[:12]}.part")  # of this commit: never continued with bytes of another
    part.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    with open(part, "ab") as file:
        while (done := file.tell()) < total:
            begin, end = (8 + length + place for place in _position(spans, done))
            try:
                with contextlib.closing(hub.stream_range(repo, FILE, commit, begin, end, BLOCK)) as blocks:
                    for block in blocks:
                        file.write(block)
                        yield file.tell(), total
            except HubError:
                failures = failures + 1 if file.tell() == done else 1
                if failures == ATTEMPTS:
                    raise
            file.flush()
    data, done, state = bytearray(part.read_bytes()), 0, {}
    for key, (begin, end) in sorted(places.items(), key=lambda item: item[1]):  # as they lie in the file
        state[key] = torch.frombuffer(data, dtype=torch.float32, count=(end - begin) // 4, offset=done).view_as(tensors[key])
        done += end - begin
    part.unlink()
    network = VGG(**plan)
    network.load_state_dict(state)
    checkpoints.save(path, network, torch.float32, title=name, source=f"{repo}@{commit}", license="bsd-3-clause",
                     digest=checkpoints.digest(state))


def _position(spans, done):
    """Where the byte number `done` of all spans in a row lies, and where its span ends."""
    for begin, end in spans:
        if done < end - begin:
            return begin + done, end
        done -= end - begin
    raise ValueError("beyond the last span")
