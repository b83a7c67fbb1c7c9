"""Stylise every content with every style of two folders, for measuring quality: OUTPUT/CONTENT__STYLE.png.

    python -m benchmarks.pairs CONTENTS STYLES OUTPUT --method adain --alpha 1.0

With --method fixed a style is the network that has the painting's file name.
"""

import argparse
import time
from pathlib import Path

import style_transfer as st


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("contents", type=Path)
    p.add_argument("styles", type=Path)
    p.add_argument("output", type=Path)
    p.add_argument("--method", choices=("adain", "wct", "gatys", "fixed"), default="adain")
    p.add_argument("--alpha", type=float, default=1.0, help="AdaIN and WCT")
    p.add_argument("--beta", type=float, help="Gatys, for an alpha of 1; default: the program's")
    p.add_argument("--size", type=int, default=512)
    p.add_argument("--diagonal", action="store_true",
                   help="only six pairs: pictures 1, 3, 5, 7, 9, 11 of each folder, each with its counterpart")
    a = p.parse_args()
    a.output.mkdir(parents=True, exist_ok=True)
    contents, styles = sorted(a.contents.iterdir()), sorted(a.styles.iterdir())
    chosen = [(c, s) for c in contents for s in styles]
    if a.diagonal:
        chosen = [(contents[i], styles[i]) for i in range(0, 12, 2)]
    pictures = {path: st.load(path, a.size) for path in {path for pair in chosen for path in pair}}
    encoded, seconds = {}, 0.0
    for content, style in chosen:
        start = time.perf_counter()
        if a.method == "gatys":
            for step in st.gatys.optimize(pictures[content], [pictures[style]], **({"beta": a.beta} if a.beta else {})):
                image = step.image
        elif a.method == "fixed":
            image = st.fixed.stylize(pictures[content], style.stem)
        else:
            if style not in encoded:
                encoded[style] = st.arbitrary.encode(pictures[style], a.method)
            image = st.arbitrary.stylize(pictures[content], [encoded[style]], method=a.method, alpha=a.alpha)
        seconds += time.perf_counter() - start
        st.save(image, a.output / f"{content.stem}__{style.stem}.png")
    print(f"{len(chosen)} pictures, {seconds / len(chosen):.2f} s each")


if __name__ == "__main__":
    main()
