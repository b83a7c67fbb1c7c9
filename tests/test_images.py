"""Pictures in and out: every format, mode, orientation and profile against values computed by other means."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from style_transfer import guided, images
from style_transfer.errors import InputError, StyleTransferError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def smooth(h, w):
    """A photograph-like uint8 picture: every colour changes slowly, so lossy formats keep it."""
    y, x = np.mgrid[0:1:h * 1j, 0:1:w * 1j]
    return (255 * np.stack([x, y, 0.5 + 0.4 * np.sin(6 * x) * y], axis=2)).astype(np.uint8)


def as_array(tensor):
    """[1, 3, H, W] in [0, 1] to [H, W, 3] in [0, 255], float."""
    assert tensor.dtype == torch.float32 and tensor.shape[:2] == (1, 3)
    assert tensor.min() >= 0 and tensor.max() <= 1
    return tensor[0].permute(1, 2, 0).numpy() * 255


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def psnr(a, b):
    return 10 * np.log10(255**2 / (1e-6 + np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)))


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and (": " in text or "must" in text)
    assert "Error" not in text and "0x" not in text
    return text


# Formats and sources


@pytest.mark.parametrize("kind, options", [
    ("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}), ("WEBP", {"lossless": True}),
])
def test_lossless_formats_are_exact(kind, options):
    loaded = as_array(images.load(encoded(Image.fromarray(PIXELS), kind, **options)))
    np.testing.assert_allclose(loaded, PIXELS, atol=1e-4)


@pytest.mark.parametrize("kind, options", [
    ("JPEG", {"quality": 95}), ("JPEG", {"quality": 95, "progressive": True}), ("WEBP", {"quality": 95}),
    ("GIF", {}), ("TIFF", {"compression": "jpeg", "quality": 95}),
])
def test_lossy_formats_are_close(kind, options):
    picture = smooth(60, 80)
    assert psnr(as_array(images.load(encoded(Image.fromarray(picture), kind, **options))), picture) > 30


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG", "MPO"])
def test_first_frame_of_several(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(as_array(images.load(data))[8, 8], (255, 0, 0), atol=3)


def test_sources_agree(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(path)
    data = path.read_bytes()
    with open(path, "rb") as file:
        file.read(5)  # an upload that somebody has looked into already
        from_file = images.load(file)
        assert not file.closed
    with Image.open(path) as lazy:
        from_pil = images.load(lazy)
    for tensor in (images.load(str(path)), images.load(path), images.load(data), images.load(bytearray(data)),
                   images.load(io.BytesIO(data)), from_file, from_pil, images.from_pil(Image.fromarray(PIXELS))):
        np.testing.assert_allclose(as_array(tensor), PIXELS, atol=1e-4)
        assert tensor.is_contiguous() and tensor.shape == (1, 3, 5, 7)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_one_pixel(kind):
    loaded = as_array(images.load(encoded(Image.new("RGB", (1, 1), (200, 100, 50)), kind)))
    np.testing.assert_allclose(loaded, [[[200, 100, 50]]], atol=4)


# Orientation

UPRIGHT = {  # what a viewer does to the stored rows, by the EXIF standard's wording
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_exif_orientation(kind, orientation):
    picture = PIXELS if kind != "JPEG" else smooth(40, 24)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    data = encoded(Image.fromarray(picture), kind, exif=exif, **options)
    expected = UPRIGHT[orientation](picture)
    for loaded in (images.load(data), images.load(Image.open(io.BytesIO(data)))):
        assert as_array(loaded).shape == expected.shape
        np.testing.assert_allclose(as_array(loaded), expected, atol=0.01 if kind != "JPEG" else 6)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_with_draft_and_size(orientation):
    picture = smooth(805, 611)  # no multiple of 8: the draft rounds up
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(picture), "JPEG", quality=95, exif=exif)
    upright = Image.fromarray(np.ascontiguousarray(UPRIGHT[orientation](picture)))
    h, w = images.fit(upright.height, upright.width, 64)
    loaded = images.load(data, size=64)
    assert tuple(loaded.shape[-2:]) == (h, w) and max(h, w) == 64
    assert psnr(as_array(loaded), upright.resize((w, h), Image.Resampling.BOX)) > 38


def test_broken_exif_does_not_cost_the_picture():
    for exif in (b"Exif\x00\x00" + b"\xff" * 40, b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = images.load(encoded(Image.fromarray(smooth(16, 24)), "JPEG", exif=exif))
        assert loaded.shape == (1, 3, 16, 24)


def test_unknown_orientation_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 99
    data = encoded(Image.fromarray(PIXELS), "PNG", exif=exif)
    np.testing.assert_allclose(as_array(images.load(data)), PIXELS, atol=1e-4)


# Modes


def test_grey_and_one_bit():
    grey = PIXELS[..., 0]
    loaded = as_array(images.load(encoded(Image.fromarray(grey), "PNG")))
    np.testing.assert_allclose(loaded, np.repeat(grey[..., None], 3, 2), atol=1e-4)
    bits = grey > 128
    loaded = as_array(images.load(encoded(Image.fromarray(bits), "PNG")))
    np.testing.assert_allclose(loaded[..., 1], bits * 255.0)


def test_palette_with_and_without_transparency():
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    plain = [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        np.testing.assert_allclose(as_array(images.load(encoded(image, kind)))[0], plain, atol=1e-4)
    for kind in ("PNG", "GIF"):
        loaded = as_array(images.load(encoded(image, kind, transparency=1)))[0]
        np.testing.assert_allclose(loaded, [[10, 20, 30], [255, 255, 255], [70, 80, 90]], atol=1e-4)
    partly = as_array(images.load(encoded(image, "PNG", transparency=bytes([0, 51, 255]))))[0]
    expected = [[255, 255, 255], [255 - 0.2 * (255 - c) for c in (40, 50, 60)], [70, 80, 90]]
    np.testing.assert_allclose(partly, expected, atol=1)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_goes_over_white(kind):
    rgba = np.dstack([PIXELS, RNG.integers(0, 256, (5, 7), dtype=np.uint8)])
    rgba[0, 0, 3], rgba[0, 1, 3] = 0, 255
    alpha = rgba[..., 3:] / 255
    expected = PIXELS * alpha + 255 * (1 - alpha)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    loaded = as_array(images.load(encoded(Image.fromarray(rgba), kind, **options)))
    np.testing.assert_allclose(loaded, expected, atol=1)
    np.testing.assert_allclose(loaded[0, :2], [[255, 255, 255], PIXELS[0, 1]], atol=1e-4)


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBa"])
def test_rare_alpha_modes(mode):
    grey = Image.new("LA", (2, 1))
    grey.putdata([(100, 255), (100, 51)])
    if mode == "PA":
        image = Image.new("P", (2, 1))
        image.putpalette([100] * 3)
        image.putalpha(grey.getchannel("A"))
    else:
        image = grey.convert("RGBA").convert("RGBa") if mode == "RGBa" else grey.convert(mode)
    assert image.mode == mode
    np.testing.assert_allclose(as_array(images.from_pil(image))[0, :, 0], [100, 255 - 0.2 * 155], atol=3)


def test_colour_key_transparency():
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    loaded = as_array(images.load(encoded(image, "PNG", transparency=(1, 2, 3))))[0]
    np.testing.assert_allclose(loaded, [[255] * 3, [9] * 3], atol=1e-4)
    loaded = as_array(images.load(encoded(image.convert("L"), "PNG", transparency=9)))[0]
    np.testing.assert_allclose(loaded, [[2] * 3, [255] * 3], atol=1e-4)


DEEP = np.array([[0, 1000, 32768, 65535]], np.uint16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_files(kind):
    image = Image.fromarray(DEEP)
    assert image.mode == "I;16"
    loaded = images.load(encoded(image, kind))
    for channel in range(3):
        np.testing.assert_allclose(loaded[0, channel].numpy(), DEEP / 65535, atol=1e-6)


def tiff(values, bits, sample_format=1, photometric=1, order="<"):
    """An uncompressed grey TIFF, by the specification."""
    h, w = values.shape
    data = values.tobytes()
    entries = [(256, 4, w), (257, 4, h), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8),
               (277, 3, 1), (278, 4, h), (279, 4, len(data)), (339, 3, sample_format)]
    out = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data)) + data
    out += struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        out += struct.pack(order + "HHI", tag, kind, 1)
        out += struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value)
    return out + struct.pack(order + "I", 0)


@pytest.mark.parametrize("data, expected", [
    (tiff(DEEP.astype("<u2"), 16), DEEP / 65535),
    (tiff(DEEP.astype(">u2"), 16, order=">"), DEEP / 65535),
    (tiff(DEEP.astype("<u2"), 16, photometric=0), 1 - DEEP / 65535),
    (tiff(np.array([[-5, 0, 16384, 32767]], "<i2"), 16, 2), np.array([[0, 0, 16384 / 32767, 1]])),
    (tiff(np.array([[0, 1 << 20, 1 << 31, 2**32 - 1]], "<u4"), 32), np.array([[0, 2.0**-12, 0.5, 1]])),
    (tiff(np.array([[-1, 0, 1 << 30, 2**31 - 1]], "<i4"), 32, 2), np.array([[0, 0, 0.5, 1]])),
    (tiff(np.array([[-0.5, 0, 0.25, 1]], "<f4"), 32, 3), np.array([[0, 0, 0.25, 1]])),
    (tiff(np.array([[0, 51, 102, 255]], ">f4"), 32, 3, order=">"), np.array([[0, 0.2, 0.4, 1]])),
    (tiff(np.array([[0, 1000, 30000, 65535]], "<f4"), 32, 3), np.array([[0, 1000, 30000, 65535]]) / 65535),
], ids=["u16", "u16-big-endian", "u16-white-is-zero", "i16", "u32", "i32", "f32-unit", "f32-bytes", "f32-words"])
def test_deep_tiffs_are_scaled_and_not_clipped(data, expected):
    loaded = images.load(data)
    for channel in range(3):
        np.testing.assert_allclose(loaded[0, channel].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("values, expected", [
    (DEEP.astype(np.int32), DEEP / 65535),
    (np.array([[0, 1 << 30, 2**31 - 1]], np.int32), np.array([[0, 0.5, 1]])),
    (np.array([[0.1, 0.5]], np.float32), np.array([[0.1, 0.5]])),
    (np.zeros((2, 2), np.float32), np.zeros((2, 2))),
])
def test_deep_pil_images(values, expected):
    np.testing.assert_allclose(images.from_pil(Image.fromarray(values))[0, 1].numpy(), expected, atol=1e-6)


def test_deep_pictures_are_resized_without_overshoot():
    edge = np.zeros((8, 32), np.uint16)
    edge[:, 16:] = 65535
    loaded = images.load(encoded(Image.fromarray(edge), "PNG"), size=64)
    assert loaded.shape == (1, 3, 16, 64) and loaded.min() == 0 and loaded.max() == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_float_picture_with_nan(value, tmp_path):
    path = tmp_path / "depth.tiff"
    path.write_bytes(tiff(np.array([[0, value]], "<f4"), 32, 3))
    with pytest.raises(InputError) as error:
        images.load(path)
    assert "depth.tiff" in one_sentence(error) and "NaN" in str(error.value)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(kind):
    # Adobe's (and Pillow's) CMYK JPEG stores ink inverted, TIFF does not; both must come out as white and as red.
    for ink, colour in (((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 255, 0), (255, 0, 0)), ((0, 0, 0, 255), (0, 0, 0))):
        loaded = as_array(images.load(encoded(Image.new("CMYK", (16, 16), ink), kind)))
        np.testing.assert_allclose(loaded[8, 8], colour, atol=4)


def test_lab_and_ycbcr():
    image = Image.fromarray(smooth(20, 30))
    ycbcr = as_array(images.from_pil(image.convert("YCbCr")))
    np.testing.assert_allclose(ycbcr, smooth(20, 30), atol=3)
    lab = ImageCms.profileToProfile(Image.new("RGB", (2, 2), (200, 120, 60)), ImageCms.createProfile("sRGB"),
                                    ImageCms.createProfile("LAB"), outputMode="LAB")
    np.testing.assert_allclose(as_array(images.load(encoded(lab, "TIFF"))), np.full((2, 2, 3), (200, 120, 60)), atol=3)


# Colour profiles

D50 = (0.9642, 1.0, 0.8249)
# Primaries as columns, adapted to D50, as printed in Apple's Display P3 and HP's sRGB profiles.
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def s15(*values):
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def icc(space, tags, pcs=b"XYZ ", device=b"mntr"):
    """An ICC version 2 profile from {signature: data}."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"t\0" + b"\0" * 78, b"cprt": b"text\0\0\0\0x\0",
            b"wtpt": b"XYZ \0\0\0\0" + s15(*D50), **tags}
    table, body, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for signature, data in tags.items():
        table += signature + struct.pack(">II", offset + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"test", 0x02100000, device, space, pcs, b"\0" * 12, b"acsp")
    return header + b"\0" * 28 + s15(*D50) + b"\0" * 48 + table + body


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def rgb_profile(primaries, exponent):
    columns = {name: b"XYZ \0\0\0\0" + s15(*column)
               for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries.T, strict=True)}
    return icc(b"RGB ", {**columns, b"rTRC": gamma(exponent), b"gTRC": gamma(exponent), b"bTRC": gamma(exponent)})


def encode_srgb(linear):
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("exponent", [1.0, 2.2])
def test_rgb_profile_is_converted(exponent):
    inside = (64 + PIXELS // 4).astype(np.uint8)  # muted: inside sRGB's gamut, too
    expected = 255 * encode_srgb((inside / 255) ** exponent @ (np.linalg.inv(SRGB) @ P3).T)
    assert np.abs(expected - inside).max() > 4, "the profile must matter"
    data = encoded(Image.fromarray(inside), "PNG", icc_profile=rgb_profile(P3, exponent))
    np.testing.assert_allclose(as_array(images.load(data)), expected, atol=1.5)


def test_profile_with_alpha_palette_and_grey():
    profile = rgb_profile(SRGB, 1.0)
    expected = 255 * encode_srgb(np.array([100, 150, 200]) / 255)
    rgba = Image.new("RGBA", (2, 1), (100, 150, 200, 255))
    rgba.putpixel((1, 0), (100, 150, 200, 0))
    loaded = as_array(images.load(encoded(rgba, "PNG", icc_profile=profile)))[0]
    np.testing.assert_allclose(loaded, [expected, [255] * 3], atol=1.5)
    palette = Image.new("RGB", (2, 1), (100, 150, 200)).quantize(4)
    loaded = as_array(images.load(encoded(palette, "PNG", icc_profile=profile)))[0, 0]
    np.testing.assert_allclose(loaded, expected, atol=1.5)
    # A grey picture under an RGB profile, as some programs write.
    loaded = as_array(images.load(encoded(Image.new("L", (1, 1), 100), "PNG", icc_profile=profile)))[0, 0]
    np.testing.assert_allclose(loaded, [expected[0]] * 3, atol=1.5)


def test_grey_profile_at_8_and_16_bits():
    profile = icc(b"GRAY", {b"kTRC": gamma(1.0)})
    for grey in (np.array([[0, 3, 64, 128, 255]], np.uint8), DEEP):
        loaded = as_array(images.load(encoded(Image.fromarray(grey), "PNG", icc_profile=profile)))
        expected = 255 * encode_srgb(grey / np.iinfo(grey.dtype).max)
        np.testing.assert_allclose(loaded, np.repeat(expected[..., None], 3, 2), atol=1)


def test_cmyk_profile_is_used():
    # A made-up press that prints with black only: lightness falls with K, and C, M and Y leave no trace.
    ramp = bytes(range(256))
    nodes = b"".join(bytes([0 if corner & 1 else 255, 128, 128]) for corner in range(16))  # K varies fastest
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + s15(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + nodes + ramp * 3
    profile = icc(b"CMYK", {b"A2B0": lut}, pcs=b"Lab ", device=b"prtr")
    for kind in ("JPEG", "TIFF"):
        for ink, colour in (((255, 0, 255, 0), 255), ((0, 0, 0, 255), 0), ((90, 0, 0, 128), 118)):
            image = Image.new("CMYK", (16, 16), ink)
            loaded = as_array(images.load(encoded(image, kind, icc_profile=profile)))[8, 8]
            np.testing.assert_allclose(loaded, [colour] * 3, atol=4)


@pytest.mark.parametrize("profile", [
    b"no profile at all", rgb_profile(P3, 1.0)[:300], icc(b"GRAY", {b"kTRC": gamma(1.0)}),
], ids=["noise", "cut", "of another colour space"])
def test_broken_or_foreign_profile_is_ignored(profile):
    data = encoded(Image.fromarray(PIXELS), "PNG", icc_profile=profile)
    np.testing.assert_allclose(as_array(images.load(data)), PIXELS, atol=1e-4)


# What cannot be read


@pytest.mark.parametrize("fraction", [0.001, 0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_truncated_files(kind, fraction, tmp_path):
    noise = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    path = tmp_path / "holiday photo.img"
    path.write_bytes(data[:int(len(data) * fraction)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for size in (None, 8):
            with pytest.raises(InputError) as error:
                images.load(path, size=size)
            assert "holiday photo.img" in one_sentence(error)


def test_truncated_picture_behind_an_open_pil_image():
    data = encoded(Image.fromarray(smooth(400, 400)), "JPEG")
    with Image.open(io.BytesIO(data[:len(data) // 2])) as image, pytest.raises(InputError) as error:
        images.load(image)
    one_sentence(error)


def test_flipped_bytes_give_a_picture_or_a_sentence():
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        data = encoded(Image.fromarray(smooth(24, 24)), kind)
        for _ in range(60):
            broken = bytearray(data)
            for position in RNG.integers(0, min(len(data), 400), 3):
                broken[position] = RNG.integers(0, 256)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    assert as_array(images.load(broken, size=16)).shape[2] == 3
                except InputError:
                    pass


@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"hello, this is text\n" * 20, b"%!PS-Adobe-3.0 EPSF-3.0\n",
                                  b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_no_picture(data, tmp_path):
    path = tmp_path / "notes.png"
    path.write_bytes(data)
    with pytest.raises(InputError) as error:
        images.load(path)
    assert "notes.png" in one_sentence(error)
    with pytest.raises(InputError) as error:
        images.load(data)
    one_sentence(error)


@pytest.mark.parametrize("kind", ["EPS", "PPM", "TGA", "PCX", "ICNS", "PDF"])
def test_formats_outside_the_list_are_refused(kind):
    data = encoded(Image.fromarray(smooth(32, 32)), kind)
    with pytest.raises(InputError, match="known format"):
        images.load(data)


def test_missing_file_folder_and_nothing(tmp_path):
    with pytest.raises(InputError, match="nowhere.jpg") as error:
        images.load(tmp_path / "nowhere.jpg")
    one_sentence(error)
    with pytest.raises(InputError, match="folder") as error:
        images.load(tmp_path)
    one_sentence(error)
    for source in (None, 5, "", "a\0b.png"):
        with pytest.raises(InputError):
            images.load(source)
    with pytest.raises(InputError):
        images.load(io.StringIO("text"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "secret.png"
    Image.fromarray(PIXELS).save(path)
    path.chmod(0)
    with pytest.raises(InputError, match="permissions"):
        images.load(path)


def png_header(w, h):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("w, h", [(60000, 60000), (20000, 10001)])
@pytest.mark.parametrize("strict", [True, False])
def test_too_many_pixels_are_refused_from_the_header(w, h, strict, tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(w, h))
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore")
        for size in (None, 64):
            with pytest.raises(InputError, match="200,000,000") as error:
                images.load(path, size=size)
            assert "bomb.png" in one_sentence(error)


def test_limit_holds_for_pil_images_and_counts_exactly(monkeypatch):
    image = Image.fromarray(PIXELS)
    for load in (images.load, images.read):
        load(image, limit=35)
        with pytest.raises(InputError, match="more than 34"):
            load(image, limit=34)
    monkeypatch.setattr(images, "MAX_PIXELS", 35)
    assert images.from_pil(image).shape == (1, 3, 5, 7)
    monkeypatch.setattr(images, "MAX_PIXELS", 34)
    with pytest.raises(InputError, match="more than 34"):
        images.from_pil(image)


@pytest.mark.parametrize("w, h", [(10000, 9001), (20000, 9000), (20000, 10000)])
def test_pillows_own_limits_refuse_nothing_below_ours(w, h, tmp_path, monkeypatch):
    path, theirs = tmp_path / "scan.png", Image.MAX_IMAGE_PIXELS
    path.write_bytes(png_header(w, h))
    sizes = []
    monkeypatch.setattr(Image.Image, "load", lambda self: (sizes.append(self.size), 1 / 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="damaged"):  # the decoder is reached, and there is nothing to decode
            images.load(path)
    assert sizes[-1] == (w, h) and Image.MAX_IMAGE_PIXELS == theirs


def test_picture_without_pixels():
    with pytest.raises(InputError, match="no pixels"):
        images.from_pil(Image.new("RGB", (0, 5)))


# Sizes


@pytest.mark.parametrize("h, w, long_side, expected", [
    (600, 800, 400, (300, 400)), (800, 600, 400, (400, 300)), (1, 1000, 100, (1, 100)), (1, 1, 7, (7, 7)),
    (3, 2, 300, (300, 200)), (333, 1000, 100, (33, 100)),
])
def test_fit(h, w, long_side, expected):
    assert images.fit(h, w, long_side) == expected


@pytest.mark.parametrize("size", [0, -3, float("nan"), float("inf"), 10**12, 15000])
def test_impossible_sizes(size):
    with pytest.raises(InputError) as error:
        images.load(encoded(Image.fromarray(smooth(30, 30)), "PNG"), size=size)
    one_sentence(error)
    with pytest.raises(InputError):
        images.resize(torch.rand(1, 3, 4, 4), size)
    with pytest.raises(InputError):
        images.resize(torch.rand(1, 3, 4, 4), (size, 15000))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("size", [1, 37, 100, 333])
def test_load_at_a_size(kind, size):
    picture = smooth(217, 301)
    loaded = images.load(encoded(Image.fromarray(picture), kind, quality=95), size=size)
    h, w = max(1, round(217 * size / 301)), size
    assert tuple(loaded.shape[-2:]) == (h, w)
    assert psnr(as_array(loaded), Image.fromarray(picture).resize((w, h), Image.Resampling.BICUBIC)) > 33


def test_draft_is_used_and_costs_no_quality(monkeypatch):
    # Detail at every scale, where a decoder that only drops pixels would alias.
    detail = np.clip(smooth(1024, 1024) * 0.6 + RNG.normal(0, 40, (1024, 1024, 1)) + 40, 0, 255).astype(np.uint8)
    data = encoded(Image.fromarray(detail), "JPEG", quality=95)
    exact = as_array(images.resize(images.load(data), 100))
    decoded = []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: (decoded.append(self.size), load(self))[1])
    drafted = as_array(images.load(data, size=100))
    assert decoded[0] == (256, 256)
    assert psnr(drafted, exact) > 40


def test_callers_image_is_left_as_it_is():
    image = Image.open(io.BytesIO(encoded(Image.fromarray(smooth(512, 512)), "JPEG")))
    images.load(image, size=32)
    assert image.size == (512, 512)


def test_resize():
    picture = smooth(90, 120)
    tensor = images.from_pil(Image.fromarray(picture))
    for size, h, w in ((40, 30, 40), ((45, 17), 45, 17), (240, 180, 240), ((1, 1), 1, 1)):
        resized = images.resize(tensor, size)
        assert resized.shape == (1, 3, h, w)
        assert psnr(as_array(resized), Image.fromarray(picture).resize((w, h), Image.Resampling.BICUBIC)) > 45
    assert torch.equal(images.resize(tensor, 120), tensor)
    assert images.resize(torch.rand(4, 1, 6, 9), (3, 4)).shape == (4, 1, 3, 4)


def test_resize_is_antialiased_and_stays_in_range():
    checkers = torch.from_numpy(np.indices((64, 64)).sum(0) % 2).float().expand(1, 3, 64, 64)
    assert (images.resize(checkers, 8) - 0.5).abs().max() < 0.06
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    enlarged = images.resize(edge, 40)
    assert enlarged.min() == 0 and enlarged.max() == 1


# Out


def test_round_trip_is_exact():
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None].repeat(3, 2)
    tensor = images.from_pil(Image.fromarray(every))
    for value in (tensor, tensor[0], tensor.double(), tensor.clone().requires_grad_()):
        result = images.to_pil(value)
        assert result.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(result), every)


def test_to_pil_clamps_and_rounds():
    values = torch.tensor([-0.3, 0.0, 0.49 / 255, 0.51 / 255, 127.6 / 255, 254.6 / 255, 1.0, 7.0])
    result = np.asarray(images.to_pil(values.expand(1, 3, 1, 8)))[0, :, 2]
    assert result.tolist() == [0, 0, 0, 1, 128, 255, 255, 255]


def test_to_pil_keeps_channels_rows_and_columns():
    tensor = torch.zeros(3, 2, 4)
    tensor[1, 0, 3] = 1
    result = images.to_pil(tensor)
    assert result.size == (4, 2) and result.getpixel((3, 0)) == (0, 255, 0) and result.getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_to_pil_refuses_what_is_no_number(value, tmp_path):
    tensor = torch.rand(1, 3, 4, 4)
    tensor[0, 1, 2, 3] = value
    with pytest.raises(StyleTransferError, match="NaN") as error:
        images.to_pil(tensor)
    one_sentence(error)
    with pytest.raises(StyleTransferError):
        images.save(tensor, tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 4, 4), (4, 4), (1, 1, 4, 4), (1, 3, 0, 4)])
def test_to_pil_refuses_other_shapes(shape):
    with pytest.raises(InputError):
        images.to_pil(torch.rand(shape))


@pytest.mark.parametrize("suffix, kind, lossless", [
    (".png", "PNG", True), (".PNG", "PNG", True), (".bmp", "BMP", True), (".tif", "TIFF", True),
    (".tiff", "TIFF", True), (".jpg", "JPEG", False), (".jpeg", "JPEG", False), (".webp", "WEBP", False),
])
def test_save(suffix, kind, lossless, tmp_path):
    picture = smooth(60, 80)
    path = tmp_path / f"out.of.order{suffix}"
    path.write_bytes(b"an older file")
    images.save(images.from_pil(Image.fromarray(picture)), path)
    with Image.open(path) as written:
        assert written.format == kind
        if lossless:
            np.testing.assert_array_equal(np.asarray(written), picture)
        else:
            assert psnr(written, picture) > 38
    assert list(tmp_path.iterdir()) == [path]


def test_save_quality_and_permissions(tmp_path):
    tensor = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    sizes = []
    for quality in (30, 95):
        images.save(tensor, str(tmp_path / "a.jpg"), quality=quality)
        sizes.append((tmp_path / "a.jpg").stat().st_size)
    assert sizes[1] > 2 * sizes[0]
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.jpg").stat().st_mode == (tmp_path / "plain").stat().st_mode


# Transparency


def cut_out(h=60, w=80):
    """A red disc of soft edge before nothing, where the file holds green: RGBA, uint8."""
    y, x = np.mgrid[:h, :w]
    alpha = np.clip(20 - np.hypot(y - 30, x - 40), 0, 1)
    return np.dstack([np.where(alpha[..., None] > 0, (200, 60, 40), (0, 255, 0)), 255 * alpha]).astype(np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_read_gives_colours_and_alpha(kind, orientation):
    rgba, exif = cut_out(), Image.Exif()
    exif[0x0112] = orientation
    picture, alpha = images.read(encoded(Image.fromarray(rgba), kind, exif=exif))
    rgba = UPRIGHT[orientation](rgba)
    assert alpha.dtype == torch.float32 and alpha.shape == (1, 1, *rgba.shape[:2])
    np.testing.assert_allclose(255 * alpha[0, 0], rgba[..., 3], atol=1e-4)
    seen = rgba[..., 3] > 0
    np.testing.assert_allclose(as_array(picture)[seen], rgba[seen][:, :3], atol=1e-4)
    # What is not seen has the colours from beside it, not the file's green.
    np.testing.assert_allclose(as_array(picture)[~seen], np.broadcast_to((200, 60, 40), rgba[~seen][:, :3].shape), atol=0.5)


def test_read_of_what_is_opaque():
    data = encoded(Image.fromarray(PIXELS), "PNG")
    opaque = encoded(Image.fromarray(PIXELS).convert("RGBA"), "PNG")
    for source in (data, opaque, Image.fromarray(PIXELS)):
        picture, alpha = images.read(source)
        assert alpha is None and torch.equal(picture, images.load(data))


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_read_of_other_modes_with_transparency(mode):
    image = Image.new(mode, (2, 1))
    if mode == "P":
        image.putpalette([100] * 3 + [7] * 3)
    image.putdata([(100, 51), (100, 255)] if mode == "LA" else [0, 0])
    options = {} if mode == "LA" else {"transparency": bytes([51])}
    picture, alpha = images.read(encoded(image, "PNG", **options))
    np.testing.assert_allclose(as_array(picture), np.full((1, 2, 3), 100), atol=1e-4)
    np.testing.assert_allclose(alpha[0, 0, 0], [0.2, 1.0] if mode == "LA" else [0.2, 0.2], atol=1e-6)


def test_filled_colours_change_smoothly_and_a_smaller_size_has_no_fringe():
    rgba = np.zeros((64, 257, 4), np.uint8)
    rgba[..., 2] = 255
    rgba[:, :8], rgba[:, -8:] = (255, 0, 0, 255), (255, 255, 0, 255)
    data = encoded(Image.fromarray(rgba), "PNG")
    picture, _ = images.read(data)
    assert picture[0, 2].max() == 0 and (picture[0, 0] == 1).all()  # no blue
    assert picture[0, 1].diff(dim=1).abs().max() < 0.15 and 0.2 < picture[0, 1, :, 128].mean() < 0.8
    small, alpha = images.read(data, size=64)
    assert small.shape == (1, 3, 16, 64) and alpha.shape == (1, 1, 16, 64) and small[0, 2].max() < 0.01


def test_read_of_nothing_but_transparency():
    picture, alpha = images.read(Image.new("RGBA", (9, 5), (10, 20, 30, 0)))
    assert alpha.max() == 0 and picture.isfinite().all()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparency_comes_back(suffix, tmp_path):
    picture, alpha = images.read(Image.fromarray(cut_out()))
    path = tmp_path / f"out{suffix}"
    images.save(picture, path, alpha=alpha)
    again, same = images.read(path)
    torch.testing.assert_close(same, alpha, atol=1e-6, rtol=0)
    assert psnr(255 * again * alpha, 255 * picture * alpha) > (36 if suffix == ".webp" else 100)
    images.save(picture, path, alpha=torch.nn.functional.avg_pool2d(alpha, 2))
    assert (images.read(path)[1] - alpha).abs().mean() < 0.02


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_formats_without_transparency_show_white(suffix, tmp_path):
    picture, alpha = images.read(Image.fromarray(cut_out()))
    images.save(picture, tmp_path / f"out{suffix}", alpha=alpha, quality=100)
    written = images.load(tmp_path / f"out{suffix}")
    assert psnr(255 * written, 255 * (1 - alpha + picture * alpha)) > 40


@pytest.mark.parametrize("alpha", [torch.rand(60, 80), torch.rand(1, 3, 9, 9), "alpha", torch.rand(1, 1, 0, 4)])
def test_no_alpha(alpha, tmp_path):
    with pytest.raises(InputError, match="transparency") as error:
        images.save(torch.rand(1, 3, 6, 8), tmp_path / "out.png", alpha=alpha)
    one_sentence(error)
    assert list(tmp_path.iterdir()) == []


# 16 bits


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("transparent", [False, True])
def test_sixteen_bits(suffix, transparent, tmp_path):
    cv2 = pytest.importorskip("cv2")
    picture = torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(0))
    alpha = 0.1 + 0.8 * torch.rand(1, 1, 40, 30, generator=torch.Generator().manual_seed(1)) if transparent else None
    path = tmp_path / f"out{suffix}"
    images.save(picture, path, alpha=alpha, bits=16)
    written = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    expected = torch.cat([picture.flip(1)] + [alpha] * transparent, 1)[0].permute(1, 2, 0)
    assert written.dtype == np.uint16
    np.testing.assert_allclose(written / 65535, expected, atol=0.51 / 65535)
    again, same = images.read(path)
    torch.testing.assert_close(again, picture, atol=1.01 / 255, rtol=0)
    assert (same is None) == (alpha is None)


@pytest.mark.parametrize("suffix, bits, match", [(".jpg", 16, "JPEG holds 8 bits"), (".webp", 16, "WEBP holds 8 bits"),
                                                 (".bmp", 16, "BMP holds 8 bits"), (".png", 10, "choose among 8, 16")])
def test_other_depths_are_refused(suffix, bits, match, tmp_path):
    for refused in (lambda: images.save(torch.rand(1, 3, 4, 4), tmp_path / f"a{suffix}", bits=bits),
                    lambda: images.output_format(tmp_path / f"a{suffix}", bits)):
        with pytest.raises(InputError, match=match) as error:
            refused()
        one_sentence(error)
    assert list(tmp_path.iterdir()) == []


def test_sixteen_bits_that_opencv_cannot_write(tmp_path):
    pytest.importorskip("cv2")
    with pytest.raises(StyleTransferError, match="could not be written") as error:
        images.save(torch.rand(1, 3, 1, 1_000_001), tmp_path / "a.png", bits=16)  # libpng's limit
    one_sentence(error)
    assert list(tmp_path.iterdir()) == []


def test_sixteen_bits_without_opencv(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(StyleTransferError, match="pip install") as error:
        images.save(torch.rand(1, 3, 4, 4), tmp_path / "a.png", bits=16)
    one_sentence(error)
    assert list(tmp_path.iterdir()) == []


# Memory


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_pictures_need_one_tensor_and_one_picture(kind, tmp_path):
    """A picture of 24 megapixels: the float32 tensor is 275 MB, Pillow's picture 92 MB."""
    path = tmp_path / "large"
    Image.fromarray(smooth(100, 150)).resize((6000, 4000)).save(path, kind, **({"compress_level": 1} if kind == "PNG" else {}))
    code = f"""if True:
        import resource, sys
        from style_transfer import guided, images
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        before = peak()
        picture = images.load({str(path)!r})
        print(peak() - before)
        images.save(images.check(picture), {str(tmp_path / "out.jpg")!r})
        print(peak() - before)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(images.__file__).parents[1])
    loaded, saved = map(float, done.stdout.split())
    assert loaded < 275 + 92 + 60 and saved < 275 + 92 + 80


@pytest.mark.parametrize("orientation", range(1, 9))
def test_blocks_of_rows_meet(orientation, tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = orientation
    rgba = np.dstack([smooth(50, 30), smooth(50, 30)[..., 0]])
    data = encoded(Image.fromarray(rgba), "PNG", exif=exif, icc_profile=rgb_profile(P3, 2.2))
    wholes = images.load(data), *images.read(data)
    images.save(wholes[1], tmp_path / "whole.png", alpha=wholes[2])
    monkeypatch.setattr(guided, "BLOCK", 7 * 30)
    for whole, blocks in zip(wholes, (images.load(data), *images.read(data)), strict=True):
        torch.testing.assert_close(blocks, whole, atol=1e-6, rtol=0)
    images.save(wholes[1], tmp_path / "blocks.png", alpha=wholes[2])
    assert (tmp_path / "blocks.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


@pytest.mark.parametrize("name, match", [("out.xyz", "suffix"), ("out", "suffix"), ("no/such/out.png", "folder"),
                                         ("taken.png", "folder")])
def test_save_refuses_bad_paths(name, match, tmp_path):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(InputError, match=match) as error:
        images.save(torch.rand(1, 3, 4, 4), tmp_path / name)
    one_sentence(error)
    with pytest.raises(InputError, match=match):
        images.output_format(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["taken.png"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_save_leaves_the_old_file(failure, tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")

    def fail(self, file, *_, **__):
        file.write(b"half")
        raise failure

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(StyleTransferError if isinstance(failure, OSError) else KeyboardInterrupt) as error:
        images.save(torch.rand(1, 3, 4, 4), path)
    if isinstance(failure, OSError):
        assert "No space left" in one_sentence(error)
    assert path.read_bytes() == b"precious" and list(tmp_path.iterdir()) == [path]


def test_a_side_too_long_for_the_format(tmp_path):
    tensor = torch.zeros(1, 3, 1, 70000)
    for suffix in (".webp", ".jpg"):
        with pytest.raises(InputError, match="70000") as error:
            images.save(tensor, tmp_path / f"long{suffix}")
        assert f"long{suffix}" in one_sentence(error)
    images.save(tensor, tmp_path / "long.png")
    assert [path.name for path in tmp_path.iterdir()] == ["long.png"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float32])
def test_check_converts_what_holds_the_same_picture(dtype):
    image = torch.rand(1, 3, 20, 30).to(dtype)
    assert torch.equal(images.check(image), image.float())


@pytest.mark.parametrize("image, words", [
    (None, "no tensor"), ("a.jpg", "no tensor"), (np.zeros((1, 3, 9, 9)), "no tensor"), ([1.0], "no tensor"),
    (torch.rand(3, 9, 9), r"one picture \[1, 3, H, W\], not \[3, 9, 9\]"), (torch.rand(2, 3, 9, 9), "one picture"),
    (torch.rand(1, 1, 9, 9), "one picture"), (torch.rand(1, 4, 9, 9), "one picture"), (torch.tensor(1.0), "one picture"),
    (torch.rand(1, 3, 0, 9), "at least 1 pixels"), (torch.rand(1, 3, 4, 9), "at least 8 pixels"),
    (torch.zeros(1, 3, 9, 9, dtype=torch.uint8), "floating-point"), (torch.zeros(1, 3, 9, 9).bool(), "floating-point"),
    (torch.zeros(1, 3, 9, 9).cfloat(), "floating-point"), (torch.rand(1, 3, 9, 9, requires_grad=True), "gradients"),
    (torch.full((1, 3, 9, 9), float("nan")), "not numbers"), (torch.full((1, 3, 9, 9), float("inf")), "not numbers"),
])
def test_check_refuses_everything_else_in_one_sentence(image, words):
    with pytest.raises(InputError, match=words):
        images.check(image, "content", 1 if "at least 1" in words else 8)
