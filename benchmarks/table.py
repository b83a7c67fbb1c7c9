"""Measure, and write the tables of the model card and of the README: figures come from runs and are never copied by hand.

    python -m benchmarks.table --contents DIR --styles DIR --paintings DIR [--only files quality fixed speed] [options]

Parts: "files" reads the headers in checkpoints/; "quality" paints every content with every style (Gatys: six pairs); "fixed"
paints every content with every fixed style and measures against the file, or the folder of a school's pictures, that has the
style's name in --paintings; "speed" is benchmarks.speed, and wants an idle machine. What a part measures goes into
benchmarks/figures.json, and all tables are written from there and from the headers, between the markers <!-- table: NAME -->
and <!-- /table --> of both files; --render does that alone. Pictures are kept in --runs, in a folder named after the weights,
the library's code and the pictures that they were made of: after a change of these they are made again, and after an
interruption the run goes on.
"""

import argparse
import hashlib
import json
import re
import sys
import time
from pathlib import Path

from safetensors import safe_open

import style_transfer as st
from benchmarks import curve, pairs, quality, speed
from style_transfer import checkpoints
from style_transfer.errors import StyleTransferError
from training import teachers

ROOT = Path(__file__).resolve().parent.parent
CARD, README = ROOT / "checkpoints" / "README.md", ROOT / "README.md"
FIGURES, CURVE = ROOT / "benchmarks" / "figures.json", ROOT / "checkpoints" / "curve.png"
PARTS = ("files", "quality", "fixed", "speed")
ALPHAS = {"adain": (0.6, 1.0), "wct": (0.6, 1.0), "cascade": (1.0,), "reference": (0.6,)}
TITLES = {"adain": "AdaIN", "wct": "WCT", "cascade": "WCT, level by level",
          "reference": "WCT on Collaborative Distillation's networks", "unchanged": "the photographs, unchanged",
          "gatys": "Gatys, defaults", "gatys-reference": "Gatys in encoder 5's features",
          "microast": "MicroAST (Wang et al. 2023)"}
MULTIMODAL_SIZE = 1024  # long side that Multimodal Transfer is meant for, pixels
# lengstrom's fast-style-transfer (Johnson's network at the paper's width, 1.7 M parameters, trained on COCO), measured once
# with the same photographs, paintings and features; the networks are not at hand any more.
FULL_WIDTH = {"great-wave": (0.0635, 0.1584, 0.6537), "the-scream": (0.0271, 0.0680, 0.5920),
              "udnie": (0.0113, 0.0183, 0.5976), "shipwreck": (0.0267, 0.0518, 0.5225)}


# -- what is measured

def fingerprint(*folders):
    """Twelve hex digits over the names and contents of all files that pictures are made of: code, weights and folders."""
    digest = hashlib.sha256()
    files = [path for path in (ROOT / "style_transfer").rglob("*.py") if "ui" not in path.parts]
    files += [ROOT / "benchmarks" / "reference.py", *checkpoints.FOLDER.glob("*.safetensors")]
    for path in sorted([*files, *(path for folder in folders for path in Path(folder).rglob("*") if path.is_file())]):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


def rounded(row):
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def measured(output, contents, styles, extractor, lpips):
    """What `quality.measure` gives of one folder, kept beside it for the next run with the same networks."""
    kept = output.with_name(f"{output.name}.json")
    if kept.exists():
        saved = json.loads(kept.read_text())
        wanted = {name for name in quality.METRICS if lpips or name != "lpips"}
        if saved["features"] == extractor.name and wanted <= saved["rows"][0].keys():
            return saved["rows"]
    rows = quality.measure([output], contents, styles, extractor, lpips)[output.name]
    with checkpoints.replacing(kept) as part:
        part.write_text(json.dumps({"features": extractor.name, "rows": rows}))
    return rows


def measure_quality(a, folder, extractor, lpips):
    """Rows {"name", "title", "alpha", "pairs", "style", "gram", "content", "cfsd"[, "lpips"]} of all pairs, and of the six."""
    contents, styles = pairs.pictures(a.contents), pairs.pictures(a.styles)
    every, six = pairs.every(contents, styles), pairs.diagonal(contents, styles)
    jobs = [("unchanged", None, every, pairs.painter("unchanged"))]
    jobs += [(method, alpha, every, pairs.painter(method, alpha, reference=a.reference))
             for method, alphas in ALPHAS.items() if method != "reference" or a.reference for alpha in alphas]
    jobs.append(("gatys", None, six, pairs.painter("gatys")))
    if a.compact_teacher:
        network = teachers.collaborative_distillation(a.compact_teacher)
        jobs.append(("gatys-reference", None, six, pairs.painter("gatys", loss_network=network)))
    rows = []
    for name, alpha, chosen, paint in jobs:
        output = folder / (name if alpha is None else f"{name}-{alpha:g}")
        pairs.make(chosen, output, paint, None if name == "unchanged" else pairs.SIZE, keep=True)
        rows.append((name, alpha, output))
    names = {f"{content.stem}__{style.stem}" for content, (style,) in six}

    def mean(name, alpha, found):
        title = TITLES.get(name, name)
        return rounded({"name": name, "title": title, "alpha": alpha, "pairs": len(found), **quality.mean(found)})

    found = [(name, alpha, measured(output, a.contents, a.styles, extractor, lpips)) for name, alpha, output in rows]
    for peer in a.peers:
        found.append((peer.name, None, quality.measure([peer], a.contents, a.styles, extractor, lpips)[peer.name]))
    on_six = [(name, alpha, [row for row in of if row["pair"] in names]) for name, alpha, of in found]
    return {"features": extractor.name, "all": [mean(*row) for row in found if len(row[2]) > len(six)],
            "six": [mean(*row) for row in on_six if row[2]]}


def measure_fixed(a, folder, extractor, lpips):
    """Rows of the fixed styles, each against its own painting, beside the unchanged photographs."""
    contents, paintings = pairs.pictures(a.contents), {name: a.paintings / name if (a.paintings / name).is_dir() else paths[0]
                                                       for name, paths in quality.styles_of(a.paintings).items()}
    rows = []
    for entry in pairs.fixed_styles():
        if entry.name not in paintings:
            print(f"{entry.title} is left out: there is no {entry.name} in {a.paintings}.")
            continue
        means, full = [], MULTIMODAL_SIZE if entry.family == "multimodal" else pairs.SIZE
        for method, size in (("fixed", full), ("unchanged", None)):
            output = folder / method / entry.name
            pairs.make(pairs.every(contents, [paintings[entry.name]]), output, pairs.painter(method), size, keep=True)
            means.append(quality.mean(measured(output, a.contents, a.paintings, extractor, lpips)))
        rows.append(rounded({"name": entry.name, "title": entry.title, "family": entry.family, **means[0],
                             "unchanged": means[1]["style"]}))
    return {"features": extractor.name, "oxford": "oxford" in extractor.name, "rows": rows}


def measure_speed(a):
    rows = []
    for row in speed.measure(reference=a.reference):
        print(f"{row['what']}: {row['ours']:.3f} s, {row['other']:.3f} s", flush=True)
        rows.append(rounded(row))
    return {"conditions": speed.conditions(), "rows": rows}


# -- what is written

def markdown(head, rows):
    """A table of cells."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def number(value):
    return "" if value is None else f"{value:.4f}"


def headers():
    """{file: its header}, the library's networks first and then the styles by title."""
    found = {path: checkpoints.describe(path) for path in sorted(checkpoints.FOLDER.glob("*.safetensors"))}
    order = ["encoder", "adain", "wct"]
    return dict(sorted(found.items(), key=lambda item: (order.index(item[1]["family"]), item[0].stem)
                       if item[1]["family"] in order else (len(order), item[1]["title"].removeprefix("The "))))


def network(header):
    """What a file holds, in words, from its header."""
    arguments = json.loads(header["arguments"])
    if header["architecture"] == "vgg":
        return f"VGG-19's plan, {min(arguments['widths'])} to {max(arguments['widths'])} channels"
    if header["architecture"] == "decoder":
        level = arguments["level"]
        skips = ", ".join(f"relu{n}_1" for n in range(level - 1, 0, -1)) if arguments["skips"] else ""
        return f"decoder from relu{level}_1" + (f" with {skips}" if skips else ", one convolution" if level == 1 else "")
    kind = {"johnson": "Johnson's network", "multimodal": "Multimodal Transfer network", "cyclegan": "CycleGAN's generator"}
    return f"{kind.get(header['architecture'], header['architecture'])}: {header.get('credit') or header['title']}"


def parameters(path):
    with safe_open(str(path), "pt") as file:
        return sum(file.get_tensor(name).numel() for name in file.keys())


def table_files(figures):
    return markdown(["file", "network", "parameters", "size"],
                    [[f"`{path.name}`", network(header), f"{parameters(path):,}", f"{path.stat().st_size / 1e6:.2f} MB"]
                     for path, header in headers().items()])


def table_training(figures):
    """How the fixed styles came to be, as their headers say."""
    styles = [(path, header) for path, header in headers().items() if header["family"] in st.networks.FIXED]
    text = markdown(["style", "began from", "style weight", "steps", "minutes"],
                    [[header["title"], header.get("started_from", ""), header.get("style_weight", ""), header.get("steps", ""),
                      header.get("minutes", "")] for _, header in styles])
    notes = [f"{header['title']}: {header['averaged']}." for _, header in styles if "averaged" in header]
    return "\n\n".join([text, *notes])


def _quality(rows):
    metrics = {name: head for name, head in quality.METRICS.items() if any(name in row for row in rows)}
    return markdown(["method", "alpha", *metrics.values()],
                    [[row["title"], "" if row["alpha"] is None else row["alpha"], *(number(row.get(name)) for name in metrics)]
                     for row in rows])


def table_quality(figures):
    part = figures["quality"]
    return (f"All {part['all'][0]['pairs']} pairs:\n\n{_quality(part['all'])}\n\nSix of them:\n\n{_quality(part['six'])}\n\n"
            f"Features: {part['features']}.")


def table_fixed(figures):
    part = figures["fixed"]
    head = ["painting", "style", "gram", "content", "unchanged: style"]
    if part["oxford"]:  # the constants were measured with these features
        head.append("full width: style / gram / content")
    rows = []
    for row in part["rows"]:
        size = f" ({MULTIMODAL_SIZE} px)" if row["family"] == "multimodal" else ""
        cells = [row["title"] + size, *(number(row[name]) for name in ("style", "gram", "content", "unchanged"))]
        rows.append(cells + ([" / ".join(map(number, FULL_WIDTH.get(row["name"], ())))] if part["oxford"] else []))
    return f"{markdown(head, rows)}\n\nFeatures: {part['features']}."


def table_speed(figures):
    part = figures["speed"]
    return markdown([f"{part['conditions']}", "this project", "the other", "ratio"],
                    [[row["what"], f"{row['ours']:.3f} s", f"{row['other']:.3f} s", f"{row['other'] / row['ours']:.1f}"]
                     for row in part["rows"]])


def table_headlines(figures):
    """The README's: a few rows of the card's."""
    megabytes = sum(path.stat().st_size for path in headers()) / 1e6
    rows = [[f"all weights, {len(st.fixed.styles())} fixed styles among them", f"{megabytes:.0f} MB", "VGG-19: 575 MB"]]

    def find(part, name, alpha=None):
        return next((row for row in figures["quality"][part] if row["name"] == name and row["alpha"] == alpha), None)

    def words(row):
        return f"style {number(row['style'])}, content {row['content']:.3f}"

    count = figures["quality"]["all"][0]["pairs"]
    for text, (part, *ours), (_, *other), beside in (
            (f"AdaIN, {count} pairs", ("all", "adain", 1.0), ("all", "microast"), "MicroAST"),
            (f"WCT, {count} pairs", ("all", "wct", 1.0), ("all", "reference", 0.6), "reference networks, alpha 0.6"),
            ("Gatys, six pairs", ("six", "gatys"), ("six", "gatys-reference"), "in the reference's features")):
        other = find(part, *other)
        rows.append([text, words(find(part, *ours)), f"{beside}: {words(other)}" if other else ""])
    for row in figures["fixed"]["rows"]:
        if row["name"] in ("the-scream", "udnie"):
            ours = [number(row[name]) for name in ("style", "gram", "content")]
            other = [number(value) for value in FULL_WIDTH[row["name"]]] if figures["fixed"]["oxford"] else []
            rows.append([f"{row['title']}: style, gram, content", ", ".join(ours),
                         f"full width, trained on COCO: {', '.join(other)}" if other else ""])
    for row in figures["speed"]["rows"]:
        what, size, beside = re.fullmatch(r"(.+), (\d+ x \d+), (.+)", row["what"]).groups()
        if size.startswith("512") or what.startswith("Multimodal"):
            rows.append([f"{what}, {size}", f"{row['ours']:.2f} s", f"{beside}: {row['other']:.2f} s"])
    return markdown(["what", "this project", "beside"], rows)


TABLES = {CARD: {"files": table_files, "training": table_training, "quality": table_quality, "fixed": table_fixed,
                 "speed": table_speed}, README: {"headlines": table_headlines}}


def replaced(text, name, table):
    """`text` with a table between its markers. Raises ValueError where there are none, or more than one pair."""
    pattern = rf"(<!-- table: {name} -->\n)(?:(?!<!-- ).)*?(<!-- /table -->)"
    text, count = re.subn(pattern, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{count} places <!-- table: {name} --> ... <!-- /table --> instead of one")
    return text


def render(figures):
    """{file: its text with all tables as the figures and headers have them}."""
    texts = {}
    for path, tables in TABLES.items():
        text = path.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = replaced(text, name, table(figures))
        texts[path] = text
    return texts


def read_figures():
    return json.loads(FIGURES.read_text())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--contents", type=Path, help="photographs (quality, fixed)")
    p.add_argument("--styles", type=Path, help="styles that no training saw (quality)")
    p.add_argument("--paintings", type=Path, help="paintings by the names of the fixed styles (fixed)")
    p.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    p.add_argument("--render", action="store_true", help="measure nothing, write the tables again")
    p.add_argument("--reference", type=Path, help="folder of Collaborative Distillation's networks (quality, speed)")
    p.add_argument("--peers", type=Path, nargs="+", default=[], help="folders of other projects' pictures of the same pairs")
    p.add_argument("--runs", type=Path, default=ROOT / "runs" / "table", help="where pictures are kept, outside of git")
    quality.options(p)
    a = p.parse_args()
    parts = () if a.render else a.only
    needed = {"contents": {"quality", "fixed"}, "styles": {"quality"}, "paintings": {"fixed"}}
    for name, of in needed.items():
        folder = getattr(a, name)
        if of & set(parts) and not (folder and folder.is_dir()):
            p.error(f"--{name} must name a folder for {' and '.join(sorted(of & set(parts)))}")
    try:
        figures = read_figures() if FIGURES.exists() else {}
        if {"quality", "fixed"} & set(parts):
            extractor, lpips = quality.Extractor(a.vgg19, a.compact_teacher), quality.Lpips(a.squeezenet) if a.lpips else None
        for part in parts:
            start = time.perf_counter()
            if part == "speed":
                figures[part] = measure_speed(a)
            elif part != "files":
                folder = a.runs / fingerprint(a.contents, a.styles if part == "quality" else a.paintings)
                print(f"{part}: {extractor.name}; pictures in {folder}", flush=True)
                measure = {"quality": measure_quality, "fixed": measure_fixed}[part]
                figures[part] = measure(a, folder, extractor, lpips)
            FIGURES.write_text(json.dumps(figures, indent=1) + "\n")  # after each part, so that an interruption loses one
            print(f"{part}: {(time.perf_counter() - start) / 60:.1f} minutes", flush=True)
    except StyleTransferError as error:
        sys.exit(str(error))
    missing = [part for part in PARTS[1:] if part not in figures]
    if missing:
        sys.exit(f"The tables are not written yet: {', '.join(missing)} must be measured first.")
    curve.draw([row for row in figures["quality"]["all"] if row["name"] != "unchanged"]).save(CURVE)
    for path, text in render(figures).items():
        path.write_text(text, encoding="utf-8")
    print(f"written: {CARD}, {README}, {CURVE}")


if __name__ == "__main__":
    main()
