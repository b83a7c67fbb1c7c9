"""How far stylised pictures are from their style and from their photograph, in features of VGG-19.

    python -m benchmarks.quality OUTPUTS [OUTPUTS ...] --contents DIR --styles DIR [--json FILE] [--curve FILE.png]

OUTPUTS are folders of pictures named CONTENT__STYLE.png or .jpg after the files of --contents and --styles; a blend is named
CONTENT__STYLE+STYLE.png and has the mean of its distances to each style, and so has a style that is a folder of pictures, a
painter's or a school's. A picture is measured at its content's size, a style
at its own, both scaled to 512 px on the long side (Lanczos). The distances have no unit: they are relative to the energy of
what is compared with, 0 where the features agree, and lower is closer; the formulas of the first three stand in
style_transfer/distances.py.

    style    of means and deviations in relu1_1 to relu5_1
    gram     of Gram matrices in the same layers
    content  of normalised features in relu3_4 and relu4_1
    cfsd     of which places of the picture look alike, in relu3_1: content feature structural distance (Chung et al. 2024)
    lpips    with --lpips: LPIPS of output and content (Zhang et al. 2018, SqueezeNet; `pip install lpips`)

Means over pairs. VGG-19 comes from the Hub, once, by byte ranges, or from a file; a file that ends before relu5_1 (Oxford's to
relu3_4) leaves the deeper layers out, unless --compact-teacher names Collaborative Distillation's encoder 5, which then serves
for them. Figures of different networks do not compare: the output says which layer is whose.
"""

import argparse
import json
import re
import sys
import warnings
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file

import style_transfer as st
from benchmarks import curve
from style_transfer.distances import (
    CONTENT_LAYERS,
    LAYERS,
    SIZE,
    STYLE_LAYERS,
    content_distance,
    normalized,
    statistics,
    style_distances,
)
from style_transfer.distances import mean as _mean
from style_transfer.errors import InputError, StyleTransferError
from training import teachers

METRICS = {"style": "style", "gram": "gram", "content": "content", "cfsd": "CFSD", "lpips": "LPIPS"}  # and their heads
STRUCTURE_LAYER = "relu3_1"
PLACES = 1024  # rows of the matrices of similarities, which have a hundred million numbers in all


def picture(path, size=None):
    """[1, 3, H, W] of a file, at size (H, W) or with SIZE as long side."""
    image = st.images.to_pil(st.load(path))
    height, width = size or st.images.fit(image.height, image.width, SIZE)
    return st.images.from_pil(image.resize((width, height), Image.Resampling.LANCZOS))


class Extractor:
    """Features of the layers above from VGG-19, and from a second network where the first one ends before them.

    vgg19: a file, or "hub"; compact: the file of Collaborative Distillation's encoder 5. `name` says which layer is whose.
    Raises CheckpointError for files that do not hold what they should, HubError where the Hub cannot be read.
    """

    def __init__(self, vgg19="hub", compact=None):
        self.parts, self.styles, self.contents = [], {}, {}
        names, missing = [], LAYERS
        for title, read, path in (("VGG-19", teachers.vgg19, vgg19),
                                  ("encoder 5", teachers.collaborative_distillation, compact)):
            if path is None or not missing:
                continue
            network = read(path)
            layers = [name for name in missing if name in network.layers]
            if layers:
                self.parts.append((network, layers))
                names.append(f"{title} ({Path(path).stem if path != 'hub' else 'ImageNet'}): {', '.join(layers)}")
            missing = [name for name in missing if name not in layers]
        self.style_layers, self.content_layers = ([n for n in layers if n not in missing]
                                                  for layers in (STYLE_LAYERS, CONTENT_LAYERS))
        if not self.style_layers or not self.content_layers:
            raise InputError(f"{vgg19} ends before relu3_4: give --compact-teacher as well, or another file.")
        self.name = "; ".join(names) + (f"; without {', '.join(missing)}" if missing else "")

    @torch.inference_mode()
    def __call__(self, image):
        """{layer: [1, C, H', W']} of [1, 3, H, W], in float32."""
        return {name: f for network, layers in self.parts for name, f in network(image, layers).items()}

    def statistics(self, features):
        """What `style_distances` compares."""
        return statistics({name: features[name] for name in self.style_layers})

    def style(self, path):
        """The statistics of a style's file, computed once."""
        if path not in self.styles:
            self.styles[path] = self.statistics(self(picture(path)))
        return self.styles[path]

    def content(self, path):
        """(picture, its normalised features, its features of STRUCTURE_LAYER) of a photograph's file, computed once."""
        if path not in self.contents:
            image = picture(path)
            features = self(image)
            self.contents[path] = (image, {name: normalized(features[name]) for name in self.content_layers},
                                   features[STRUCTURE_LAYER])
        return self.contents[path]


class Lpips:
    """LPIPS with SqueezeNet. squeezenet: a file of torchvision's weights; None: torchvision's own, fetched once.

    Raises InputError, one sentence, when the package or the weights cannot be had.
    """

    def __init__(self, squeezenet=None):
        try:
            from lpips import LPIPS
        except ImportError:
            raise InputError("LPIPS needs its package: pip install -r benchmarks/requirements.txt.") from None
        try:
            with warnings.catch_warnings():  # lpips calls torchvision by an old name
                warnings.simplefilter("ignore")
                self.network = LPIPS(net="squeeze", pnet_rand=squeezenet is not None, verbose=False).eval()
        except OSError as error:
            raise InputError(f"LPIPS cannot be had: torchvision's SqueezeNet is not here and cannot be fetched ({error}): "
                             "name its file with --squeezenet.") from None
        if squeezenet is not None:
            own = self.network.net.state_dict()  # slice2.3.squeeze.weight is torchvision's features.3.squeeze.weight
            try:
                state = load_file(squeezenet) if Path(squeezenet).suffix == ".safetensors" else torch.load(
                    squeezenet, map_location="cpu", weights_only=True)
                self.network.net.load_state_dict({key: state[f"features.{key.partition('.')[2]}"].float() for key in own})
            except Exception as error:  # readers of weights meet foreign files with errors of any class
                raise InputError(f"{squeezenet} does not hold torchvision's SqueezeNet 1.1 ({type(error).__name__}): "
                                 "name another file.") from error

    @torch.inference_mode()
    def __call__(self, output, content):
        return float(self.network(output, content, normalize=True))


@torch.inference_mode()
def structural_distance(output, content):
    """Content feature structural distance (CFSD) between feature maps [1, C, H, W] of one size, 0 or more.

    Chung et al. 2024, "Style Injection in Diffusion", section 5: M_ij = <f_i, f_j> between the features at the H W places of
    one map, S = softmax(M) by rows, and 1 / (H W) sum_i KL(S_i^content || S_i^output). A softmax depends on the scale of what
    it is given, and that of features on the network (the authors divide M by C^2, made for torchvision's VGG-19): here both
    maps are divided by the root of the content's mean |f_i|^2, so that figures do not compare with published ones. Of maps
    with more than `PLACES` places at most so many i are taken, spread evenly, each still against all others.
    """
    a, b = (f[0].flatten(1).T.float() for f in (content, output))
    scale = a.square().sum(1).mean().sqrt().clamp_min(1e-12)
    a, b, step = a / scale, b / scale, -(-len(a) // PLACES)
    p, q = torch.log_softmax(a[::step] @ a.T, 1), torch.log_softmax(b[::step] @ b.T, 1)
    return max(0.0, float((p.exp() * (p - q)).sum(dtype=torch.float64))) / len(p)


def by_stem(folder):
    """{stem: path} of a folder's pictures."""
    return {path.stem: path for path in sorted(Path(folder).iterdir()) if path.suffix.lower() in st.images.SUFFIXES}


def styles_of(folder):
    """{name: [paths]} of a folder's styles: a picture each, or a folder of pictures."""
    schools = {path.name: list(by_stem(path).values()) for path in sorted(Path(folder).iterdir()) if path.is_dir()}
    return {stem: [path] for stem, path in by_stem(folder).items()} | {name: paths for name, paths in schools.items() if paths}


def sources(pair, contents, styles):
    """(content's path, [styles' paths]) of CONTENT__STYLE or CONTENT__STYLE+STYLE; contents: {name: path}, styles: `styles_of`.

    Raises InputError for unknown pictures.
    """
    content, _, names = pair.partition("__")
    names = names.split("+") if names not in styles else [names]
    if content not in contents or not set(names) <= set(styles):
        raise InputError(f"{pair}: no file of the contents and styles has these names; outputs are named CONTENT__STYLE.png.")
    return contents[content], [path for name in names for path in styles[name]]


def measure(folders, contents, styles, extractor, lpips=None, progress=print):
    """{folder's name: [{"pair", "style", "gram", "content", "cfsd"[, "lpips"]}, ...]} for every picture CONTENT__STYLE.

    contents, styles: folders. Raises InputError for a folder without pairs and for pairs of unknown pictures.
    """
    contents, styles, results = by_stem(contents), styles_of(styles), {}
    for folder in map(Path, folders):
        rows = []
        for pair, path in by_stem(folder).items():
            content, paintings = sources(pair, contents, styles)
            image, target, structure = extractor.content(content)
            output = picture(path, image.shape[2:])
            features = extractor(output)
            own = extractor.statistics(features)
            to_styles = [style_distances(own, extractor.style(painting)) for painting in paintings]
            row = {"pair": pair, "style": _mean(d[0] for d in to_styles), "gram": _mean(d[1] for d in to_styles),
                   "content": content_distance(features, target),
                   "cfsd": structural_distance(features[STRUCTURE_LAYER], structure)}
            if lpips:
                row["lpips"] = lpips(output, image)
            rows.append(row)
        if not rows:
            raise InputError(f"There is no picture in {folder}.")
        results[folder.name] = rows
        progress(line(folder.name, rows, len(contents) * len(styles)))
    return results


def mean(rows):
    """{metric: mean over rows}."""
    return {name: _mean(row[name] for row in rows) for name in METRICS if name in rows[0]}


def line(name, rows, total):
    """A line of the printed table."""
    return f"{name:24s} {f'{len(rows)} of {total}':>11s}" + "".join(f" {value:8.4f}" for value in mean(rows).values())


def options(parser):
    """What chooses the networks, for every command that measures."""
    parser.add_argument("--vgg19", default="hub", help="VGG-19's weights in torchvision's key names; default: from the Hub")
    parser.add_argument("--compact-teacher", type=Path,
                        help="Collaborative Distillation's encoder 5, for the layers that --vgg19 does not reach")
    parser.add_argument("--lpips", action="store_true", help="LPIPS as well")
    parser.add_argument("--squeezenet", type=Path, help="torchvision's SqueezeNet 1.1 for --lpips; default: fetched once")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("outputs", type=Path, nargs="+")
    p.add_argument("--contents", type=Path, required=True)
    p.add_argument("--styles", type=Path, required=True)
    p.add_argument("--json", type=Path, help="write means and all pairs to this file")
    p.add_argument("--curve", type=Path, help="draw style over content distance to this picture, a line for each METHOD whose "
                                              "folders are named METHOD-ALPHA, a point for every other folder")
    options(p)
    a = p.parse_args()
    for folder in (a.contents, a.styles, *a.outputs):
        if not folder.is_dir():
            p.error(f"there is no folder {folder}")
    if len({folder.name for folder in a.outputs}) < len(a.outputs):
        p.error("two folders of outputs have the same name")
    try:
        extractor = Extractor(a.vgg19, a.compact_teacher)
        lpips = Lpips(a.squeezenet) if a.lpips else None
        print(f"{extractor.name}; {SIZE} px\n{'':24s} {'pairs':>11s}"
              + "".join(f" {head:>8s}" for name, head in METRICS.items() if lpips or name != "lpips"))
        results = measure(a.outputs, a.contents, a.styles, extractor, lpips, lambda text: print(text, flush=True))
    except StyleTransferError as error:
        sys.exit(str(error))
    if a.json:
        a.json.write_text(json.dumps({"features": extractor.name, "size": SIZE, "folders": {
            name: {"mean": mean(rows), "pairs": rows} for name, rows in results.items()}}, indent=1) + "\n")
    if a.curve:
        points = []
        for name, rows in results.items():
            method, alpha = re.fullmatch(r"(.+?)(?:-([01](?:\.\d+)?))?", name).groups()
            points.append({"title": method, "alpha": alpha and float(alpha), **mean(rows)})
        curve.draw(points).save(a.curve)


if __name__ == "__main__":
    main()
