"""Paints the style pictures in styles/: each is a function of a seed, drawn at twice its size and reduced.

Lengths are in units of 1/1024 of the picture's side, so that every size shows the same picture.
"""

import argparse
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

UNITS = 1024
TAU = 2 * np.pi


# Colour, noise and light


def colors(text):
    """'102030 ffffff' -> [2, 3] in [0, 1]."""
    return np.array([[int(word[i : i + 2], 16) for i in (0, 2, 4)] for word in text.split()], np.float32) / 255


def ramp(palette, t):
    """Colours along the palette at t in [0, 1]."""
    t = np.clip(t, 0, 1) * (len(palette) - 1)
    low = np.minimum(t.astype(np.int32), len(palette) - 2)
    part = (t - low)[..., None]
    return palette[low] * (1 - part) + palette[low + 1] * part


def ink(color):
    """A colour in [0, 1] as Pillow's draw functions want it."""
    return tuple(int(v) for v in np.clip(np.asarray(color) * 255, 0, 255))


def grid(size):
    """x and y of every pixel, in units."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (UNITS / size)
    return np.meshgrid(axis, axis)


def resize(array, width, height):
    return np.asarray(Image.fromarray(array).resize((width, height), Image.Resampling.BICUBIC))


def noise(rng, size, cells, octaves=4, stretch=1.0):
    """Smooth noise in [0, 1]; stretch > 1 draws its features out sideways."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        n = max(int(cells * 2**octave), 2)
        coarse = rng.random((n, max(int(n / stretch), 2)), dtype=np.float32)
        total += resize(coarse, size, size) / 2**octave
    low, high = np.percentile(total[::8, ::8], (1, 99))
    return np.clip((total - low) / (high - low), 0, 1)


def blur(array, radius):
    """Two box blurs, for radii in pixels of any float array."""
    radius = max(int(radius), 1)
    for axis in (0, 1, 0, 1):
        pad = [(0, 0)] * array.ndim
        pad[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(array, pad, "edge"), axis, dtype=np.float64)
        width = 2 * radius + 1
        array = (
            np.take(total, range(width, total.shape[axis]), axis)
            - np.take(total, range(total.shape[axis] - width), axis)
        ) / width
    return array.astype(np.float32)


def step(low, high, x):
    """0 below low, 1 above high, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a, b, t):
    return a + (b - a) * np.asarray(t)[..., None]


def lit(rgb, height, strength):
    """Relief: the height field lit from the upper left."""
    down, right = np.gradient(height)
    light = np.clip((down + right) * strength * (len(height) / UNITS), -0.45, 0.6)
    return rgb * (1 + light[..., None]) + np.clip(light - 0.25, 0, 1)[..., None] * 0.5


def edges(labels):
    """1 where a pixel's label differs from its right or lower neighbour's."""
    out = np.zeros(labels.shape, np.float32)
    out[:, 1:] += labels[:, 1:] != labels[:, :-1]
    out[1:] += labels[1:] != labels[:-1]
    return np.minimum(out, 1)


def voronoi(rng, x, y, cell, jitter=0.9):
    """For each pixel the number of the nearest seed of a jittered grid, and x and y of that seed."""
    n = int(UNITS * 1.6 / cell) + 8
    offset = (rng.random((n, n, 2), dtype=np.float32) - 0.5) * jitter + 0.5
    gx, gy = np.floor(x / cell).astype(np.int32), np.floor(y / cell).astype(np.int32)
    best = np.full(x.shape, np.inf, np.float32)
    label, sx, sy = np.zeros(x.shape, np.int32), np.zeros_like(x), np.zeros_like(y)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            cx, cy = gx + dx, gy + dy
            seed = offset[cy % n, cx % n]
            px, py = (cx + seed[..., 0]) * cell, (cy + seed[..., 1]) * cell
            distance = (x - px) ** 2 + (y - py) ** 2
            near = distance < best
            best = np.where(near, distance, best)
            label = np.where(near, (cy % n) * n + cx % n, label)
            sx, sy = np.where(near, px, sx), np.where(near, py, sy)
    return label, sx, sy


def scatter(rng, spacing):
    """Points of a jittered grid over the picture and a little beyond, in random order, in units."""
    axis = np.arange(-spacing, UNITS + spacing, spacing)
    points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    return rng.permutation(points + rng.uniform(-0.6, 0.6, points.shape) * spacing)


# Brushes


def sample(field, points):
    """The field's values at points in units."""
    index = np.clip((np.asarray(points) * (len(field) / UNITS)).astype(np.int32), 0, len(field) - 1)
    return field[index[..., 1], index[..., 0]]


def trace(angle, start, count, length):
    """Paths [n, count, 2] that follow an angle field both ways from their start."""
    halves = []
    for sign in (-1, 1):
        point, path = start.copy(), []
        for _ in range(count // 2):
            a = sample(angle, point)
            point = point + sign * length / count * np.stack([np.cos(a), np.sin(a)], -1)
            path.append(point)
        halves.append(path)
    return np.stack(halves[0][::-1] + [start] + halves[1], 1)


class Canvas:
    """A picture and its height map, painted with the same bristles."""

    def __init__(self, rng, rgb):
        self.rng = rng
        self.unit = len(rgb) / UNITS
        self.image = Image.fromarray((np.clip(rgb, 0, 1) * 255).astype(np.uint8))
        self.relief = Image.new("L", self.image.size, 90)
        self.draw, self.emboss = ImageDraw.Draw(self.image), ImageDraw.Draw(self.relief)

    def stroke(self, path, width, color, bristles=7, vary=0.05):
        along = np.gradient(path, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], -1)
        across /= np.linalg.norm(across, axis=1, keepdims=True) + 1e-6
        taper = np.sin(np.linspace(0.25, np.pi - 0.15, len(path))) ** 0.4
        thick = max(round(width / bristles * 1.5 * self.unit), 1)
        shades = self.rng.normal(0, vary, bristles)
        heights = self.rng.integers(60, 256, bristles)
        for i, offset in enumerate(np.linspace(-0.5, 0.5, bristles)):
            line = ((path + across * (offset * width * taper)[:, None]) * self.unit).ravel().tolist()
            self.draw.line(line, ink(color + shades[i]), thick)
            self.emboss.line(line, int(heights[i] * (1 - offset * offset)), thick)

    def arrays(self):
        return np.asarray(self.image, np.float32) / 255, np.asarray(self.relief, np.float32) / 255


def paint(rng, rgb, angle, layers, vary=0.05, jitter=0.04, bristles=7):
    """Repaints rgb in strokes along angle; layers are (spacing, width, length), coarse to fine."""
    canvas = Canvas(rng, rgb)
    for spacing, width, length in layers:
        start = scatter(rng, spacing)
        paths = trace(angle, start, 10, length)
        tints = sample(rgb, start) + rng.normal(0, jitter, (len(start), 3))
        for path, tint in zip(paths, tints, strict=True):
            canvas.stroke(path, width * rng.uniform(0.7, 1.2), tint, bristles, vary)
    return canvas.arrays()


# The pictures


def swirls(rng, size):
    """Thick strokes of oil around turning lights at night."""
    x, y = grid(size)
    warp = noise(rng, size, 5, 3) - 0.5
    vx, vy, glow = np.cos(y / 170) + 0.7, 0.5 * np.sin(x / 140) + 1.2 * warp, np.zeros_like(x)
    lights = [(230, 220, 165, 1), (720, 170, 120, -1), (900, 480, 130, 1), (520, 500, 185, -1), (110, 610, 110, 1)]
    lights += [(780, 830, 165, 1), (370, 850, 130, -1), (1000, 130, 80, 1), (40, 950, 100, -1), (470, 40, 70, 1)]
    for cx, cy, radius, spin in lights:
        dx, dy = x - cx, y - cy
        far = np.hypot(dx, dy) * (1 + 0.55 * warp) + 1
        pull = 7 * spin * np.exp(-((far / radius) ** 2) / 1.3)
        vx, vy = vx - dy / far * pull - dx / far * 0.25 * abs(pull), vy + dx / far * pull - dy / far * 0.25 * abs(pull)
        arms = 0.58 + 0.42 * np.cos(far / radius * 7.5 - spin * 2 * np.arctan2(dy, dx) + cx)
        core = np.exp(-((far / radius * 3.2) ** 2))
        glow = np.maximum(glow, np.maximum(core, np.exp(-((far / radius) ** 2) * 1.25) * arms * rng.uniform(0.75, 1)))
    drift = noise(rng, size, 5, 3, stretch=1.6)
    river = np.exp(-(((y - 400 - 130 * np.sin(x / 150 + 0.6) - 160 * warp) / 60) ** 2))
    night = ramp(colors("0b1238 14235e 1d3f8f 2f6fb5 1f8f98 7cc4b8"), drift * 0.85 + 0.35 * river)
    fire = ramp(colors("1d3f8f 3d8fae c9d69a f6d35b f08a24 fdf0bd"), glow * 1.15)
    rgb = mix(night, fire, step(0.1, 0.4, glow))
    earth = y > 945 + 45 * np.sin(x / 120) + 60 * warp
    rgb = np.where(earth[..., None], ramp(colors("0d2b2f 1f5a3c 6f8a2e d98a2b"), drift), rgb)
    layers = [(20, 31, 150), (14, 18, 100), (10.5, 10, 62)]
    rgb, height = paint(rng, rgb, np.arctan2(vy, vx), layers, vary=0.065, jitter=0.045)
    return lit(rgb, blur(height, size / 1300), 1.25)


def stained_glass(rng, size):
    """Sun, hills and water in leaded glass."""
    x, y = grid(size)
    bend = noise(rng, size, 4, 3) - 0.5
    dx, dy = x - 640, y - 330
    far, turn = np.hypot(dx, dy), np.arctan2(dy, dx) / TAU + 0.5
    ring = np.searchsorted(np.array([70, 120, 185, 265, 360, 470, 600, 760, 900]), far + bend * 30)
    rays = np.array([1, 9, 14, 18, 24, 28, 32, 36, 40, 44])[ring]
    slot = np.floor((turn + 0.09 * np.sin(ring * 2.4)) * rays).astype(np.int32) % rays
    label = 1000 + ring * 64 + slot
    rgb = ramp(colors("fff3b0 ffc93c ff8c2b e8463a b32b6b 5e2a8a 2a3b9c 1b6fb8 2aa6c4"), ring / 8)
    cells, sx, sy = voronoi(rng, x + bend * 90, (y + bend * 60) * 1.25, 58)
    bands = [(560, 70, 210, "0e6b58 2fa866"), (640, 60, 150, "7cae2c d3c63a"), (720, 45, 260, "0b4f4a 16806a")]
    for i, (base, swing, wave, palette) in enumerate(bands):
        inside = y > base + swing * np.sin(x / wave + i * 2.1) + bend * 40
        label = np.where(inside, 10000 * (i + 1) + cells, label)
        rgb = np.where(inside[..., None], ramp(colors(palette), (sx * 7 + sy * 13) % 97 / 97), rgb)
    flow, fx, fy = voronoi(rng, x / 2.6 + 8 * np.sin(y / 45), y, 34)
    water = y > 810 + 14 * np.sin(x / 60)
    label = np.where(water, 90000 + flow, label)
    tide = (fx * 11 + fy * 5) % 89 / 89 * 0.8 + 0.2 * np.exp(-(((x - 640) / 200) ** 2))
    rgb = np.where(water[..., None], ramp(colors("12307a 1c5fb0 22a3c8 8fe0d8 ffd76a"), tide), rgb)
    vary = rng.normal(0, 0.11, (65536, 3)).astype(np.float32)[(label * 7919) % 65536]
    rgb = rgb + vary + vary.mean(-1, keepdims=True) * 0.7
    border = edges(label)
    unit = size / UNITS
    lead = np.clip(blur(border, 2.4 * unit) * 9 * unit, 0, 1)
    glow = 1.18 - 0.75 * np.clip(blur(border, 13 * unit) * 7 * unit, 0, 1)
    streaks = noise(rng, size, 14, 5, stretch=0.35) - 0.5
    rgb = np.clip(rgb, 0.02, 1) * (glow + 0.45 * streaks)[..., None]
    rgb = lit(rgb, noise(rng, size, 60, 3), 0.5)
    metal = lit(np.full_like(rgb, 0.085), lead + 0.05 * noise(rng, size, 120, 2), 3)
    return mix(rgb, metal, step(0.35, 0.6, lead))


def crest(rng, base, swell, length):
    """A leaning wave line: [n, 2] from beyond the left edge to beyond the right."""
    t = np.linspace(-250, UNITS + 250, 1400)
    phase = t / length * TAU + rng.uniform(0, TAU) + 1.1 * np.sin(t / 210 + rng.uniform(0, TAU))
    size = swell * (0.7 + 0.45 * np.sin(t / 330 + rng.uniform(0, TAU)))
    rise = ((1 + np.cos(phase)) / 2) ** 1.7 * size
    lean = 0.85 * rise * (rise / swell) ** 0.7 + 0.22 * length / TAU * np.sin(phase)
    return np.stack([t - lean, base - rise], -1), rise / swell


def foam(draw, line, height, unit, outline, scale):
    """Claws and pearls of foam along the high parts of a wave."""
    high = np.flatnonzero(height > 0.36)[::3]
    for below in (True, False):
        local = np.random.default_rng(int(line[0, 1] * 1000) % 2**31)
        for i in high:
            for _ in range(3):
                reach = height[i] ** 1.5 * scale
                px, py = line[i] + local.normal(0, 1, 2) * reach * (0.3, 0.24) + (-0.3 * reach, 0.15 * reach)
                r = local.uniform(0.1, 0.36) ** 1.15 * reach
                tint = ink(colors("fbf6e6")[0] - local.choice([0, 0, 0.06, 0.14]) * np.array([1.4, 0.8, 0.4]))
                box = np.array([px, py, px, py]) + np.array([-1, -1, 1, 1]) * (r + 1.7 * below)
                draw.ellipse((box * unit).tolist(), outline if below else tint)


def waves(rng, size):
    """A woodblock print: rows of waves, cut in stripes, under a fading sky."""
    x, y = grid(size)
    unit = size / UNITS
    haze = noise(rng, size, 4, 3, 4)
    sky = ramp(colors("b8452f dd8a5c f1d9ac f4e7c8 c9d8cf 8fb4bd"), y / 210 + 0.3 * (haze - 0.5))
    sky = mix(sky, colors("f6ecd4")[0], step(0.6, 0.66, haze) * 0.75)
    image = Image.fromarray((np.clip(sky, 0, 1) * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    dark = ink(colors("0d1b3d")[0])
    draw.ellipse([660 * unit, 26 * unit, 850 * unit, 216 * unit], ink(colors("d8432f")[0]), dark, round(2 * unit))
    blues = colors("a9cfd0 6fa9bd 3a78a3 235a91 1a437a 132f5e")
    rows = 13
    for row in range(rows):
        depth = row / (rows - 1)
        line, height = crest(rng, 190 + 850 * depth**1.05, 60 + 115 * depth, 170 + 220 * depth)
        stripe = 6 + 7 * depth
        for k in range(int(150 / stripe)):
            shift = k * stripe * (1 + 0.05 * k)
            flat = np.stack([line[:, 0] + shift * 0.28, line[:, 1] + shift + 0.16 * shift * height], -1)
            tone = 0.25 + 0.4 * depth + (0.32 if k % 2 else -0.2) + 0.018 * k
            tint = ramp(blues, np.array(tone)) if k % 5 != 3 else colors("e9e2c8")[0]
            body = np.concatenate([flat, [[UNITS + 400, UNITS + 400], [-400, UNITS + 400]]]) * unit
            draw.polygon(body.ravel().tolist(), ink(tint))
            draw.line((flat * unit).ravel().tolist(), dark, max(round((1.2 if k else 2.8) * unit), 1))
        foam(draw, line, height, unit, dark, 24 + 34 * depth)
    rgb = np.asarray(image, np.float32) / 255
    wood = noise(rng, size, 90, 3, stretch=14) - 0.5
    paper = noise(rng, size, 230, 2) - 0.5
    rgb = rgb * (1 + 0.18 * wood + 0.07 * paper)[..., None]
    worn = step(0.8, 1, noise(rng, size, 150, 2)) * step(0.45, 0.9, noise(rng, size, 5, 3)) * 0.35
    return lit(mix(rgb, colors("f2e8cd")[0], worn), noise(rng, size, 260, 2), 0.25)


def landscape(rng, size):
    """An evening lake with hills, trees and sails."""
    x, y = grid(size)
    rough = noise(rng, size, 6, 5)
    clouds = noise(rng, size, 4, 4, 2.5)
    rgb = ramp(colors("3a5fa8 6f9bd0 c9b8d4 f6b48a f9c56f fbe09a"), y / 480 + 0.4 * (clouds - 0.5))
    far = np.hypot(x - 640, y - 270)
    rgb = mix(rgb, colors("fff0b0")[0], np.clip(np.exp(-((far / 75) ** 2)) + 0.4 * np.exp(-((far / 190) ** 2)), 0, 1))
    shore = 560
    for i, tint in enumerate(colors("a58bc4 6f74b8 3f6f9a 2f7f78")):
        line = 370 + 44 * i + (70 - 12 * i) * np.sin(x / (170 - 25 * i) + 2.3 * i) + 60 * (rough[200 + 90 * i] - 0.5)
        rgb = np.where((y > line)[..., None], tint * (0.75 + 0.5 * rough[..., None]), rgb)
    green = colors("10283f 1a4f52 2c7a4a 7aa83c d8b838 f2944a")
    trees = [(40, 330, 170, 1), (190, 430, 120, 1), (300, 360, 34, 5), (350, 400, 28, 5), (395, 440, 22, 5)]
    trees += [(960, 390, 140, 1), (860, 480, 80, 1), (790, 430, 24, 5)]
    ragged = noise(rng, size, 22, 3)
    for cx, cy, r, tall in trees:
        near = np.hypot(x - cx, (y - cy) / tall) / r
        shade = 0.5 * rough + 0.5 * ragged + 0.25 * np.sign(640 - cx) * (x - cx) / r - 0.2 * (y - cy) / (r * tall)
        rgb = np.where((near < 0.7 + 0.45 * ragged)[..., None], ramp(green, shade), rgb)
    for cx, tall in ((520, 150), (600, 95), (705, 120)):
        sail = (np.abs(x - cx - 8) < (y - shore + tall) * 0.27) & (y > shore - tall) & (y < shore - 12)
        rgb = np.where(sail[..., None], colors("fdf3dc")[0] - 0.25 * (x > cx + 10)[..., None], rgb)
    ripple = 30 * (noise(rng, size, 40, 2, 5) - 0.5)
    mirror = sample(rgb, np.stack([x, np.clip(2 * shore - y + ripple, 0, UNITS - 1)], -1))
    lake = ramp(colors("f0b088 7f9fd8 3f6fc0 28509a"), (y - shore) / 330 + 0.5 * (noise(rng, size, 50, 2, 6) - 0.5))
    rgb = np.where((y > shore)[..., None], mix(mirror, lake, np.full(x.shape, 0.38)), rgb)
    bank = y > 870 + 70 * np.sin(x / 190 + 1) + 70 * (ragged - 0.5)
    rgb = np.where(bank[..., None], ramp(green, 0.9 * ragged + 0.25 * rough - 0.1), rgb)
    poppies = bank & (noise(rng, size, 34, 2) > 0.83)
    return np.where(poppies[..., None], colors("e8412f")[0], rgb).astype(np.float32)


def pointillism(rng, size):
    """An evening lake in dots of unmixed colour."""
    scene = landscape(rng, size)
    base = mix(scene, colors("e9dcc0")[0], np.full(scene.shape[:2], 0.25))
    image = Image.fromarray((np.clip(base, 0, 1) * 255).astype(np.uint8))
    draw, unit = ImageDraw.Draw(image), size / UNITS
    sparks = colors("f2703b ffd23f 2f52c4 e86fa8 34b38a 7b3fb0 ff9a3d")
    for spacing, radius, wild in ((12, 9.5, 0.05), (11, 7, 0.06), (10, 5.4, 0.07)):
        points = scatter(rng, spacing)
        tints = sample(scene, points)
        mean = tints.mean(-1, keepdims=True)
        tints = mean + (tints - mean) * rng.uniform(0.9, 1.6, (len(tints), 1)) + rng.normal(0, wild, tints.shape)
        accents = rng.random(len(points)) < 0.14
        tints[accents] = 0.62 * tints[accents] + 0.38 * sparks[rng.integers(0, len(sparks), accents.sum())]
        for (px, py), tint in zip(points, tints, strict=True):
            r = radius * rng.uniform(0.7, 1.1)
            draw.ellipse([(px - r) * unit, (py - r) * unit, (px + r) * unit, (py + r * 0.9) * unit], ink(tint))
    return lit(np.asarray(image, np.float32) / 255, noise(rng, size, 200, 2, 2), 0.3)


def ranges(rng, size):
    """Mountains under a rising sun: how light each place is, and which way the pen goes there."""
    x, y = grid(size)
    far, turn = np.hypot(x - 610, y - 215), np.arctan2(y - 215, x - 610)
    cloud = noise(rng, size, 7, 4, 2.2)
    tone = 0.62 + 0.25 * np.sin(turn * 18) * step(80, 130, far) + 0.5 * (cloud - 0.5) + step(85, 80, far)
    angle = turn + 2.2 * (cloud - 0.5) * step(90, 260, far)
    for i in range(6):
        jag, side = noise(rng, size, 3 + i % 2, 6), noise(rng, size, 8, 4)
        line = 235 + 135 * i + 260 * (jag[size // 2] - 0.5)
        fall = y - line
        gully = x + 70 * (side - 0.5) - 0.4 * fall * np.sin(x / 70 + 2 * i)
        lean = np.interp(gully, x[0], blur(np.gradient(line, x[0])[None], size / 50)[0])
        slope = 0.5 - 0.55 * np.tanh(1.8 * lean) + 0.55 * step(50, 210, fall) + 0.35 * (side - 0.5)
        inside = fall > 0
        tone = np.where(inside, slope - 0.5 * np.exp(-np.abs(fall) / 6), tone)
        angle = np.where(inside, np.pi / 2 - 0.8 * np.tanh(2 * lean) + 0.9 * (side - 0.5), angle)
    rank = np.argsort(np.argsort(tone, axis=None)) / tone.size
    return rank.reshape(tone.shape).astype(np.float32), angle.astype(np.float32)


def hatching(rng, size):
    """Mountains in pen and ink, hatched and cross-hatched."""
    tone, angle = ranges(rng, size // 4)
    shadow = resize(tone, size, size)
    paper = np.ones((size, size, 3), np.float32) * colors("f5e9cd")[0]
    paper = mix(paper, colors("e0c996")[0], 0.6 * noise(rng, size, 6, 5))
    paper = mix(paper, colors("a07d55")[0], step(0.6, 0, shadow) * 0.5)
    image = Image.fromarray((np.clip(paper, 0, 1) * 255).astype(np.uint8))
    draw, unit = ImageDraw.Draw(image), size / UNITS
    for offset, limit, gap, length in ((0, 0.9, 5.5, 95), (0.6, 0.6, 6, 70), (-0.7, 0.36, 6, 60), (1.5, 0.17, 6, 50)):
        taken = np.zeros((int(UNITS / gap) + 1,) * 2, np.int32)
        paths = trace(angle + offset, scatter(rng, gap * 1.1), 24, length)
        tones = sample(tone, paths)
        cells = np.clip((paths / gap).astype(np.int32), 0, len(taken) - 1)
        for number, path in enumerate(paths, 1):
            run = free_run(taken, cells[number - 1], tones[number - 1] < limit * rng.uniform(0.85, 1.12), number)
            pen(draw, path[run] * unit, tones[number - 1][run], unit)
    rgb = np.asarray(image, np.float32) / 255
    return rgb * (0.94 + 0.1 * noise(rng, size, 250, 2)[..., None])


def free_run(taken, cells, dark, number):
    """The part of a path around its middle that is dark and keeps clear of its neighbours."""
    free = dark & (taken[cells[:, 1], cells[:, 0]] == 0)
    middle = len(free) // 2
    first = middle - int(np.argmin(np.append(free[middle::-1], False)))
    last = middle + int(np.argmin(np.append(free[middle:], False)))
    run = slice(max(first + 1, 0), last)
    taken[cells[run, 1], cells[run, 0]] = number
    return run


def pen(draw, path, tone, unit):
    """A line that swells in the shadow and tapers at its ends."""
    if len(path) < 5:
        return
    widths = (0.9 + 1.9 * (1 - tone) ** 1.2) * np.sin(np.linspace(0.3, np.pi - 0.3, len(path))) ** 0.6 * unit
    black = ink(colors("1b1a22")[0])
    for start, end, width in zip(path[:-1].tolist(), path[1:].tolist(), widths[:-1], strict=True):
        draw.line([*start, *end], black, max(round(width), 1))


def split(rng, box, least):
    """Cuts a box into smaller ones, until they are about as long as least."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if max(width, height) < least * rng.uniform(1.2, 1.9):
        return [box]
    part = rng.uniform(0.38, 0.62)
    if width > height:
        cut = left + part * width
        return split(rng, (left, top, cut, bottom), least) + split(rng, (cut, top, right, bottom), least)
    cut = top + part * height
    return split(rng, (left, top, right, cut), least) + split(rng, (left, cut, right, bottom), least)


def frond(rng, draw, box, unit):
    """A leaf with rounded fingers, as scissors cut it."""
    left, top, right, bottom = box
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    reach = 0.5 * min(right - left, bottom - top)
    turn, bow, pairs = rng.uniform(0, TAU), rng.uniform(-0.6, 0.6), rng.integers(3, 6)
    stretch = np.array([right - left, bottom - top]) / (2 * reach) * 1.02

    def limb(start, angle, length, width, curl):
        t = np.linspace(0, 1, 40)
        heading = angle + curl * t
        path = start + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], -1), 0) * length / 40
        for point, r in zip(path, width * (0.6 + 0.55 * t), strict=True):
            px, py = (middle + point * stretch) * unit
            draw.ellipse([px - r * unit, py - r * unit, px + r * unit, py + r * unit], 255)
        return path

    direction = np.array([np.cos(turn), np.sin(turn)])
    stem = limb(-direction * reach * 0.9, turn - bow / 2, reach * 1.75, reach * 0.1, bow)
    for i in range(pairs):
        root = stem[int(39 * (0.1 + 0.72 * i / pairs))]
        size = reach * (0.8 - 0.3 * abs(i / pairs - 0.3)) * rng.uniform(0.85, 1.1)
        for side in (-1, 1):
            limb(root, turn + side * rng.uniform(0.95, 1.2), size, reach * 0.29 / pairs, -side * rng.uniform(0.1, 0.7))


def cut_paper(rng, size):
    """Gouache-painted paper, cut into fronds and pasted edge to edge."""
    unit = size / UNITS
    tints = colors("f4efe0 e4312b f6b21b 1f4fa3 0f8f6f ee7fa5 17a2c6 6a3d9a f26b21 14213d 9cc53b")
    pairs = [(3, 0), (1, 0), (2, 3), (0, 1), (4, 2), (5, 9), (6, 0), (7, 2), (8, 3), (9, 5), (10, 7), (0, 4), (2, 1)]
    pairs += [(3, 8), (5, 4), (6, 9), (0, 3), (1, 9), (4, 0), (8, 0)]
    streaks = [noise(rng, size, 26, 4, stretch) - 0.5 for stretch in (7, 1 / 7)]
    rgb, depth = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    order = []
    for box in split(rng, (0, 0, UNITS, UNITS), 150):
        order = order or list(rng.permutation(len(pairs)))
        ground, figure = (tints[i] for i in pairs[order.pop()])
        left, top, right, bottom = (round(v * unit) for v in box)
        area = np.s_[top:bottom, left:right]
        mask = Image.new("L", (size, size))
        frond(rng, ImageDraw.Draw(mask), box, unit)
        shape = np.asarray(mask, np.float32)[area] / 255
        shade = np.asarray(mask.filter(ImageFilter.GaussianBlur(5 * unit)), np.float32)[area] / 255
        first, second = rng.permutation(2)
        wall = ground * (1 + 0.34 * streaks[first][area] + rng.normal(0, 0.03))[..., None]
        leaf = figure * (1 + 0.34 * streaks[second][area])[..., None]
        shade = np.roll(shade, (round(4 * unit), round(3 * unit)), (0, 1))
        rgb[area] = mix(wall * (1 - 0.38 * shade[..., None]), leaf, shape)
        depth[area] = shape + rng.uniform(0, 0.8)
    grain = noise(rng, size, 180, 3)
    return lit(lit(rgb, blur(depth, unit), 0.22), grain, 0.3)


def wash(rng, density, fields, center, radii, turn, color, strength, lift=0.0):
    """One wet patch: pigment gathers at its edge, blooms inside and settles in the grain."""
    size, unit = len(density), len(density) / UNITS
    reach = max(radii) * 1.5
    bounds = [(max(int((c - reach) * unit), 0), min(int((c + reach) * unit), size)) for c in center]
    (left, right), (top, bottom) = bounds
    if left >= right or top >= bottom:
        return
    area = np.s_[top:bottom, left:right]
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32) / unit
    dx, dy = x - center[0], y - center[1]
    a, b = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
    row, column = rng.integers(0, size - bottom + top + 1), rng.integers(0, size - right + left + 1)
    wobble, fine, grain = (f[row : row + bottom - top, column : column + right - left] for f in fields)
    depth = 1 - np.hypot(a / radii[0], b / radii[1]) + 0.55 * (wobble - 0.5) + 0.16 * (fine - 0.5)
    inside = step(0, 0.035, depth)
    rim = np.exp(-np.maximum(depth, 0) * min(radii) / 6)
    pigment = inside * (0.34 + 0.7 * rim + 0.75 * wobble**2 + 0.4 * (fine - 0.5)) * (0.65 + 0.7 * grain)
    density[area] *= 1 - lift * inside[..., None]
    density[area] += strength * pigment[..., None] * -np.log(np.clip(color, 0.03, 0.99))


def watercolour(rng, size):
    """A bed of flowers in overlapping washes."""
    density = np.zeros((size, size, 3), np.float32)
    fields = [noise(rng, size, 9, 4), noise(rng, size, 40, 4), noise(rng, size, 300, 2)]
    for point in scatter(rng, 190):
        tint = colors("5f9fd0 7fc4c0 9ccf8a f3d489 b9a4dc")[rng.integers(5)]
        wash(rng, density, fields, point, rng.uniform(110, 190, 2), rng.uniform(0, TAU), tint, 0.75)
    for point in scatter(rng, 105):
        tint = colors("2f7f4f 5d9c3c 1f6a6a 93ac35 2d5f86")[rng.integers(5)]
        wash(
            rng,
            density,
            fields,
            point,
            (rng.uniform(70, 130), rng.uniform(16, 30)),
            rng.uniform(0, TAU),
            tint,
            0.85,
            0.5,
        )
    blooms = colors("d8315b e85d75 f28a3c 7b3fb5 f2b632 c22f8e 3d5fc9")
    for point in scatter(rng, 190):
        tint, petals, turn = blooms[rng.integers(len(blooms))], rng.integers(6, 9), rng.uniform(0, TAU)
        wide = rng.uniform(62, 100)
        for i in range(petals):
            angle = turn + i * TAU / petals + rng.normal(0, 0.1)
            spot = point + wide * 0.72 * np.array([np.cos(angle), np.sin(angle)])
            color = np.clip(tint + rng.normal(0, 0.06, 3), 0.03, 0.98)
            wash(rng, density, fields, spot, (wide * 0.64, wide * 0.38), angle, color, 0.95, 0.72)
        wash(rng, density, fields, point, (wide * 0.26, wide * 0.24), 0, colors("6b2d1a")[0], 1.1, 0.5)
    for point in rng.uniform(0, UNITS, (160, 2)):
        wash(rng, density, fields, point, rng.uniform(3, 11, 2), 0, blooms[rng.integers(len(blooms))], 0.9)
    rgb = colors("fbf6ea")[0] * np.exp(-density * 0.8)
    return lit(rgb, noise(rng, size, 190, 3), 0.22)


def facets(rng, size):
    """A harbour seen through many prisms."""
    x, y = grid(size)
    dx, dy, shade = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    turns = np.array([0.12, -0.2, 0.75, -0.85, 1.45, 2.2])
    for i in range(90):
        px, py = rng.uniform(-40, UNITS + 40, 2)
        turn = turns[i % len(turns)] + rng.normal(0, 0.09) + (np.pi if rng.random() < 0.5 else 0)
        across = (x - px) * np.cos(turn) + (y - py) * np.sin(turn)
        along = (y - py) * np.cos(turn) - (x - px) * np.sin(turn)
        fade = step(rng.uniform(170, 430), 0, np.abs(along)) ** 0.5
        part = np.where(across > 0, np.exp(-across / rng.uniform(45, 120)), 0) * fade
        shade += part * rng.choice([-0.45, 0.55])
        push = part * rng.uniform(-75, 75)
        dx, dy = dx + push * np.cos(turn), dy + push * np.sin(turn)
    sx, sy = x + dx, y + dy
    tone = sy / UNITS + 0.3 * (noise(rng, size, 3, 2) - 0.5)
    rgb = ramp(colors("f7c873 ee9a4d d4573b 8f3a5c 3f3f86 2a6f9e 2fa39a 155e75 0f2f4f"), tone)
    for cx, foot, tall, wide, tint in harbour(rng):
        sail = (sy < foot) & (sy > foot - tall) & (np.abs(sx - cx) < wide * (sy - foot + tall) / tall)
        rgb = np.where(sail[..., None], tint * np.where(sx < cx, 1.0, 0.72)[..., None], rgb)
    rgb = np.clip(rgb * (1 + shade[..., None] * np.array([0.85, 0.8, 0.65])), 0.02, 1)
    facet = np.floor((dx + dy) / 22)
    angle = (facet * 1.9) % np.pi
    soft, height = paint(rng, rgb.astype(np.float32), angle, [(11, 11, 40), (8, 6.5, 28)], vary=0.045, jitter=0.03)
    return lit(mix(rgb, soft, np.full(x.shape, 0.45)), blur(height, size / 1700), 0.5)


def harbour(rng):
    """Sails from far to near: x, foot, height, half width, colour."""
    tints = colors("f6ead0 f2b84b e2633a 9fc7cf c43d4b f4d9a8 3a8fa6")
    for row, foot in enumerate((430, 600, 790, 980)):
        for cx in np.arange(-40, UNITS + 120, 165 + 30 * row):
            tall = rng.uniform(190, 270) + 45 * row
            place = cx + rng.uniform(-50, 50), foot + rng.uniform(-30, 30)
            yield *place, tall, tall * 0.3, tints[rng.integers(len(tints))]


def mosaic(rng, size):
    """Tesserae laid in rings around many centres."""
    x, y = grid(size)
    warp = noise(rng, size, 3, 3)
    x, y = x + 70 * (warp - 0.5), y + 70 * (warp[::-1] - 0.5)
    home, cx, cy = voronoi(rng, x, y, 262, 0.75)
    far, turn = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx) / TAU + 0.5
    tile = 17.0
    row = np.floor(far / tile)
    count = np.maximum(np.round(TAU * (row + 0.5) * 0.85), 3)
    place = turn * count + row * 0.37
    column = np.floor(place) % count
    label = (home * 9176 + row * 613 + column * 37).astype(np.int64) % 65536
    chance = rng.random((65536, 3), dtype=np.float32)[label]
    palettes = [
        "fbe7a1 e8a628 c8452f 7a1f3d 1d2b5f 2a6fa8",
        "f7f0d8 4fb7b0 1f7f9c 173f7a e8a628 c8452f",
        "f3c14b 2f9e6e 0f5f5a 12335f 7fc8c2 f4e6c0",
        "f6d9c4 d95f6a 8f2f62 3b2a6f 2f7fb5 f0b93a",
    ]
    kind = (home * 7919 >> 4) % len(palettes)
    tone = row / 9.5 + 0.14 * (chance[..., 0] - 0.5)
    rgb = sum(ramp(colors(p), tone) * (kind == i)[..., None] for i, p in enumerate(palettes))
    rgb = rgb * (0.72 + 0.5 * chance[..., 1:2]) + (chance[..., 2:3] > 0.95) * np.array([0.35, 0.26, 0.02])
    unit = size / UNITS
    border = edges(label)
    grout = np.clip(blur(border, 1.1 * unit) * 4.5 * unit, 0, 1)
    dome = blur(1 - np.clip(blur(border, 2.5 * unit) * 5 * unit, 0, 1), 1.2 * unit)
    rgb = lit(rgb * (0.9 + 0.2 * noise(rng, size, 120, 3)[..., None]), dome, 1.5)
    cement = colors("5a5048")[0] * (0.7 + 0.5 * noise(rng, size, 160, 2)[..., None])
    return mix(rgb, cement, step(0.45, 0.75, grout))


def crayon(rng, size):
    """Fields under a fierce sun, in wax crayon on rough paper."""
    x, y = grid(size)
    warp = noise(rng, size, 4, 3) - 0.5
    dx, dy = x - 660, y - 190
    far, turn = np.hypot(dx, dy) * (1 + 0.3 * warp), np.arctan2(dy, dx)
    rays = 0.08 * np.sin(turn * 16)
    sky = colors("fff3a8 ffc23d ff8a3c f2577a b04fb5 4f5fd0 2b7fd8 35b0d8")
    scene = ramp(sky, far / 560 + rays * step(60, 200, far))
    angle = turn + np.pi / 2
    fields = [
        "2a4fae 6a4fc0",
        "1f9f8a 58c98a",
        "e8467b ff9fb0",
        "f2c12e ffe680",
        "14706a 3fae5a",
        "f26b2a ffb03d",
        "5a2f9f b05fd0",
        "9fc832 e6e24a",
        "1a5fc0 3fb0e0",
        "d8304f ff7a4a",
    ]
    for i, pair in enumerate(fields):
        line = 330 + 74 * i + 42 * np.sin(x / (120 + 17 * i % 60) + 2.4 * i) + 70 * warp + (x - 512) * 0.12 * (-1) ** i
        lean = (0.45, -0.8, 1.2, -0.3, 0.9, -1.15)[i % 6]
        rows = np.sin((x * np.sin(lean) - y * np.cos(lean)) / 9 + 6 * warp)
        inside = y > line
        tint = ramp(colors("10203f " + pair), 0.62 + 0.38 * rows - 0.55 * np.exp(-(y - line) / 7))
        scene = np.where(inside[..., None], tint, scene)
        angle = np.where(inside, lean + 1.4 * warp, angle)
    scene = scene.astype(np.float32)
    grain = noise(rng, size, 190, 2)
    rgb = mix(scene, colors("f6e9cf")[0], np.full(x.shape, 0.6))
    for layer, tilt, cover in (((14, 22, 80), 0.5, 0.4), ((12, 14, 70), -0.12, 0.36), ((13, 9, 60), 0.1, 0.45)):
        marks, wax = paint(rng, scene, angle + tilt, [layer], 0.03, 0.055, bristles=4)
        rgb = mix(rgb, marks, 0.95 * step(cover - 0.12, cover + 0.1, 0.7 * grain + 0.45 * wax))
    return lit(rgb, grain, 0.22)


def marbling(rng, size):
    """Marbled paper: drops of ink on water, combed and stirred."""
    x, y = grid(size)
    eddies = [(300, 330, 150, 2.2), (760, 640, 190, -2.4), (720, 180, 110, 1.9), (240, 800, 130, -2.0)]
    for cx, cy, radius, spin in eddies:
        far = np.hypot(x - cx, y - cy)
        turn = spin * np.exp(-((far / radius) ** 2))
        dx, dy = x - cx, y - cy
        x, y = cx + dx * np.cos(turn) - dy * np.sin(turn), cy + dx * np.sin(turn) + dy * np.cos(turn)
    for spacing, push, across in ((64, 60, False), (150, 80, True), (75, 70, False)):
        moving, along = (x, y) if across else (y, x)
        wave = along + 14 * np.sin(moving / 130)
        tooth = np.abs((wave / spacing) % 1 - 0.5) * 2
        sign = np.where(np.floor(wave / spacing) % 2 > 0, 1, -1)
        # A pull that does not fade to nothing between two teeth would tear the film of ink there.
        moving = moving + sign * push * (np.exp(-tooth * 2.6) - np.exp(-2.6))
        x, y = (moving, y) if across else (x, moving)
    tints = colors("f4ead2 c8322f 123f6d e9a93b 1f7f78 f4ead2 0f1f3a e06a3b 6fb0b8")
    label = np.full(size * size, -1, np.int32)
    x, y, bare = x.ravel(), y.ravel(), np.arange(size * size)
    for i in range(380):
        cx, cy = rng.uniform(-120, UNITS + 120, 2)
        radius = rng.uniform(34, 84)
        dx, dy = x - cx, y - cy
        square = dx * dx + dy * dy
        outside = square > radius**2
        label[bare[~outside]] = i
        dx, dy, square, bare = dx[outside], dy[outside], square[outside], bare[outside]
        shrink = np.sqrt(1 - radius**2 / square)
        x, y = cx + dx * shrink, cy + dy * shrink
    label = label.reshape(size, size)
    rgb = tints[label % len(tints)]
    unit = size / UNITS
    rim = np.clip(blur(edges(label), unit) * 2 * unit, 0, 1)
    rgb = rgb * (0.86 + 0.22 * noise(rng, size, 60, 4))[..., None] * (1 - 0.28 * rim)[..., None]
    fleck = step(0.86, 0.93, noise(rng, size, 150, 2))
    return lit(mix(rgb, colors("f4ead2")[0], 0.45 * fleck), noise(rng, size, 240, 2), 0.2)


STYLES = {
    "swirls": swirls,
    "stained-glass": stained_glass,
    "waves": waves,
    "pointillism": pointillism,
    "hatching": hatching,
    "cut-paper": cut_paper,
    "watercolour": watercolour,
    "facets": facets,
    "mosaic": mosaic,
    "crayon": crayon,
    "marbling": marbling,
}


def make(name, size):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    rgb = STYLES[name](rng, 2 * size)
    image = Image.fromarray((np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8))
    return image.resize((size, size), Image.Resampling.LANCZOS)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STYLES) + "; all of them if none is named")
    parser.add_argument("--size", type=int, default=1024, help="side in pixels")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "styles", help="folder")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in STYLES]
    if unknown:
        parser.error(f"no style named {', '.join(unknown)}; there are {', '.join(STYLES)}")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.names or STYLES:
        path = options.output / f"{name}.jpg"
        make(name, options.size).save(path, quality=90, optimize=True)
        print(path)


if __name__ == "__main__":
    main()
