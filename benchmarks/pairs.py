"""Stylise every content with every style of two folders, for measuring quality: OUTPUT/CONTENT__STYLE.png.

    python -m benchmarks.pairs CONTENTS STYLES OUTPUT --method adain --alpha 0.8 0.9 1.0

Several alphas make several folders, OUTPUT-ALPHA. --blend takes each style half and half with the next one, for
OUTPUT/CONTENT__STYLE+STYLE.png. With --method fixed a style is the network that has the painting's file name; "unchanged"
gives the photographs as they are, "reference" is WCT on Collaborative Distillation's networks.
"""

import argparse
import sys
import time
from functools import cache
from pathlib import Path

import torch

import style_transfer as st
from benchmarks.reference import Reference
from style_transfer import checkpoints
from style_transfer.errors import StyleTransferError

METHODS = (*st.arbitrary.METHODS, "gatys", "fixed", "reference", "unchanged")
SIZE = 512  # long side, pixels


def painter(method, alpha=1.0, beta=None, reference=None, loss_network=None):
    """A function (content, [style], [name]) -> picture, of tensors [1, 3, H, W] and the styles' file stems.

    alpha: of AdaIN, WCT and the reference; beta, loss_network: of Gatys, None = the defaults; reference: a folder.
    """
    if method == "unchanged":
        return lambda content, styles, names: content
    if method == "fixed":
        return lambda content, styles, names: st.fixed.stylize(content, names[0])
    if method == "gatys":
        options = {"beta": beta, "network": loss_network}
        options = {name: value for name, value in options.items() if value is not None}

        def optimize(content, styles, names):
            for step in st.gatys.optimize(content, styles, **options):
                image = step.image
            return image

        return optimize
    if method == "reference":
        networks = Reference(reference)
        return torch.inference_mode()(lambda content, styles, names: networks.stylize(content, styles[0], alpha))
    encoded = {}

    def stylize(content, styles, names):
        for name, style in zip(names, styles):
            if name not in encoded:
                encoded[name] = st.arbitrary.encode(style, method)
        return st.arbitrary.stylize(content, [encoded[name] for name in names], method=method, alpha=alpha)

    return stylize


def pictures(folder):
    """A folder's pictures by name."""
    return sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in st.images.SUFFIXES)


def fixed_styles():
    """The entries of all fixed styles but those that take paintings, CycleGAN's ways back."""
    return [entry for entry in st.fixed.styles()
            if checkpoints.describe(checkpoints.FOLDER / entry.file).get("input") != "painting"]


def every(contents, styles):
    """All pairs (content, (style,)) of two lists."""
    return [(content, (style,)) for content in contents for style in styles]


def diagonal(contents, styles):
    """Six pairs of twelve pictures each: numbers 1, 3, 5, 7, 9, 11, each with its counterpart."""
    return [(contents[i], (styles[i],)) for i in range(0, 12, 2)]


def blends(contents, styles):
    """Every content with each style and the next one."""
    return [(content, both) for content in contents for both in zip(styles, [*styles[1:], styles[0]])]


def make(pairs, output, paint, size=SIZE, keep=False):
    """Paint pairs (content, styles) of paths into a folder. Returns the seconds of painting and the number of pictures.

    size: long side of contents and styles in pixels, None = their own. keep: leave pictures that are there
    already, so that what was interrupted goes on.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    load, seconds, made = cache(lambda path: st.load(path, size)), 0.0, 0
    for content, styles in pairs:
        names = [path.stem for path in styles]
        path = output / f"{content.stem}__{'+'.join(names)}.png"
        if keep and path.exists():
            continue
        inputs = load(content), [load(style) for style in styles if style.is_file()], names
        start = time.perf_counter()
        image = paint(*inputs)
        seconds, made = seconds + time.perf_counter() - start, made + 1
        st.save(image, path)
    return seconds, made


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("contents", type=Path)
    p.add_argument("styles", type=Path)
    p.add_argument("output", type=Path)
    p.add_argument("--method", choices=METHODS, default="adain")
    p.add_argument("--alpha", type=float, nargs="+", default=[1.0], help="AdaIN, WCT and the reference")
    p.add_argument("--beta", type=float, help="Gatys, for an alpha of 1; default: the program's")
    p.add_argument("--reference", type=Path, help="folder of Collaborative Distillation's networks")
    p.add_argument("--size", type=int, default=SIZE, help="long side of contents and styles, pixels")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--diagonal", action="store_true",
                       help="only six pairs: pictures 1, 3, 5, 7, 9, 11 of each folder, each with its counterpart")
    which.add_argument("--blend", action="store_true", help="each style with the next one (AdaIN, WCT and Gatys)")
    a = p.parse_args()
    for folder in (a.contents, a.styles):
        if not folder.is_dir():
            p.error(f"there is no folder {folder}")
    if a.blend and a.method not in (*st.arbitrary.METHODS, "gatys"):
        p.error(f"--method {a.method} takes one style")
    if a.method == "reference" and not a.reference:
        p.error("--method reference needs --reference FOLDER")
    contents, styles = pictures(a.contents), pictures(a.styles)
    if a.diagonal and min(len(contents), len(styles)) < 12:
        p.error("--diagonal needs twelve contents and twelve styles")
    choose = diagonal if a.diagonal else blends if a.blend else every
    try:
        for alpha in a.alpha:
            output = a.output if len(a.alpha) == 1 else a.output.with_name(f"{a.output.name}-{alpha:g}")
            paint = painter(a.method, alpha, a.beta, a.reference)
            seconds, made = make(choose(contents, styles), output, paint, None if a.method == "unchanged" else a.size)
            print(f"{output}: {made} pictures, {seconds / max(made, 1):.2f} s each", flush=True)
    except StyleTransferError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
