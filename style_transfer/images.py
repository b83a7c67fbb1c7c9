"""Pictures in and out: decoding with limits, orientation and colour profiles; resizing; writing.

Everything in between works on float32 tensors [N, 3, H, W], sRGB in [0, 1].
"""

import io
import os
import secrets
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms

from .errors import InputError, StyleTransferError
from .options import Option

MAX_PIXELS = 64_000_000
SIZE = Option(None, "Long side of the result in pixels.", 16, 16384)
# Image.open tries nothing else, so that no exotic decoder (EPS runs Ghostscript) ever sees a stranger's file.
# (MPO, what phones write, opens as JPEG.)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
            ".bmp": "BMP"}
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
EXIF_ORIENTATION = 0x0112
TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_SAMPLE_FORMAT = 258, 262, 339
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def load(source, size=None):
    """Read a picture: float32 [1, 3, H, W], sRGB in [0, 1], upright, transparency over white, first frame.

    source: path, bytes, binary file object or PIL image; JPEG, PNG, WebP, GIF, TIFF or BMP, of any colour mode and
    with any embedded colour profile. size: the long side in pixels that it is scaled to, None for as it is.
    Raises InputError, one sentence, for what is missing, damaged, no picture, or above MAX_PIXELS.
    """
    if isinstance(source, Image.Image):
        return from_pil(source, size)
    name = "The picture"
    if isinstance(source, (bytes, bytearray, memoryview)):
        source = io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)):
        name = os.path.basename(source) or name
        if os.path.exists(source) and not os.path.isfile(source):  # a pipe would wait for ever
            raise InputError(f"'{source}' is a folder or a device: name a picture file.")
    elif not hasattr(source, "read"):
        raise InputError("No picture was given: choose a file.")
    try:
        image = Image.open(source, formats=FORMATS)
    except FileNotFoundError:
        raise InputError(f"There is no file '{source}': check its name and folder.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name) from None
    except Exception as error:  # decoders meet broken headers with errors of any class
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"'{source}' cannot be opened ({error.strerror}): check the file's permissions.") from None
        raise InputError(f"{name} is empty, damaged or no picture of a known format: use a JPEG, PNG, WebP, GIF, TIFF "
                         "or BMP file that opens in an image viewer.") from error
    with image:
        return _decode(image, size, name, draft=True)


def check(image, what="picture", smallest=1):
    """A picture tensor as the core works on it: float32 [1, 3, H, W], finite, both sides of at least `smallest` pixels.

    Half, bfloat16 and double are converted. Raises InputError, one sentence about `what`, for everything else.
    """
    if not torch.is_tensor(image):
        raise InputError(f"The {what} is missing or no tensor: read one with style_transfer.load.")
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise InputError(f"The {what} must be one picture [1, 3, H, W], not {list(image.shape)}.")
    if not image.is_floating_point() or image.requires_grad:
        found = "one that asks for gradients" if image.requires_grad else image.dtype
        raise InputError(f"The {what} must be a tensor of floating-point numbers in [0, 1] without gradients, not {found}.")
    if min(image.shape[2:]) < max(smallest, 1):
        raise InputError(f"The {what} of {image.shape[3]} x {image.shape[2]} pixels is too small: "
                         f"both sides must have at least {max(smallest, 1)} pixels.")
    image = image.float()
    if not torch.isfinite(image.sum()):  # not finite when one value is not, and had in a tenth of the time
        raise InputError(f"The {what} holds values that are not numbers: save it again as a PNG or JPEG.")
    return image


def from_pil(image, size=None):
    """A PIL image of any mode to float32 [1, 3, H, W], sRGB in [0, 1]; treated as load treats a file.

    Grey images deeper than 8 bits: a TIFF says its depth; otherwise integers (mode I) are taken as 16 bits, or as 31
    where they exceed that; floats (mode F) as the smallest of [0, 1], [0, 255] and [0, 65535] that holds them.
    Raises InputError for damaged, empty, non-finite and too large images.
    """
    return _decode(image, size, "The picture", draft=False)


def to_pil(tensor):
    """[1, 3, H, W] or [3, H, W], sRGB, to an 8-bit RGB PIL image; values outside [0, 1] are clamped, then rounded.

    Raises InputError for another shape and StyleTransferError where a value is NaN or infinite.
    """
    if not torch.is_tensor(tensor):
        raise InputError("The picture is no tensor: one that style_transfer.load or a method gave is needed.")
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] != 3 or tensor.numel() == 0:
        raise InputError(f"One RGB picture of shape [1, 3, H, W] is needed, not {list(tensor.shape)}.")
    tensor = tensor.detach().float()
    if not tensor.isfinite().all():
        raise StyleTransferError("The picture has values that are no numbers (NaN or infinite): the computation "
                                 "diverged, try smaller weights or another picture.")
    values = tensor.clamp(0, 1).mul(255).round().permute(1, 2, 0).contiguous().to(torch.uint8)
    return Image.fromarray(values.cpu().numpy())


def save(tensor, path, quality=95):
    """Write one picture ([1, 3, H, W] or [3, H, W] in [0, 1]) in the format of the suffix, whole or not at all.

    quality: 1 to 100, for JPEG and WebP. Raises what output_format and to_pil raise, and StyleTransferError where the
    file cannot be written.
    """
    kind, quality = output_format(path), Option(95, "", 1, 100).check("quality", quality)
    path, picture = Path(path), to_pil(tensor)
    if max(picture.size) > LONGEST_SIDE.get(kind, float("inf")):
        raise InputError(f"{kind} holds at most {LONGEST_SIDE[kind]} pixels a side, and '{path.name}' would have "
                         f"{max(picture.size)}: write a .png or .tif file.")
    options = {"JPEG": {"quality": quality, "subsampling": 0}, "WEBP": {"quality": quality},
               "PNG": {"compress_type": Image.RLE}}.get(kind, {})  # a third of the time, and paintings are no larger by it
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(part, "x+b") as file:
            picture.save(file, kind, **options)
        os.replace(part, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"'{path}' could not be written ({reason}): choose another place or format."
        raise StyleTransferError(message) from error
    finally:
        part.unlink(missing_ok=True)


def output_format(path):
    """The format ("PNG", "JPEG", ...) that save writes to a path; to be asked before any long work.

    Raises InputError for a suffix that is not in SUFFIXES, a folder that is missing or may not be written to, or a folder in
    the file's place.
    """
    if not isinstance(path, (str, os.PathLike)) or os.path.isdir(path):
        raise InputError(f"'{path}' is a folder or no path: name a file in it.")
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"'{path.name}' does not end in a known picture suffix: use one of {', '.join(SUFFIXES)}.")
    if not os.path.isdir(path.parent) or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"The folder '{path.parent}' does not exist or may not be written to: create it or write elsewhere.")
    return SUFFIXES[path.suffix.lower()]


def resize(tensor, size):
    """[N, C, H, W] in [0, 1] to another size, bicubic with antialiasing, clamped to [0, 1].

    size: (H, W), or the long side in pixels. Raises InputError for sizes below 1 or above MAX_PIXELS.
    """
    if isinstance(size, (tuple, list, torch.Size)):
        size = tuple(size)
        if not min(size) >= 1 or size[0] * size[1] > MAX_PIXELS:
            raise InputError(f"{size[1]} x {size[0]} is no possible size: use 1 to {MAX_PIXELS:,} pixels.")
    else:
        size = fit(*tensor.shape[-2:], size)
    if size == tuple(tensor.shape[-2:]):
        return tensor
    return F.interpolate(tensor, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def fit(h, w, long_side):
    """(h, w) scaled so that the longer one is long_side, the other at least 1.

    Raises InputError for a long_side below 1 or a result above MAX_PIXELS.
    """
    long_side = Option(None, "", 1, MAX_PIXELS).check("The long side in pixels", long_side)
    h, w = (max(1, round(side * long_side / max(h, w))) for side in (h, w))
    if h * w > MAX_PIXELS:
        raise InputError(f"At {w} x {h} the picture would have more than {MAX_PIXELS:,} pixels: use a smaller size.")
    return h, w


def _too_large(name):
    return InputError(f"{name} has more than {MAX_PIXELS:,} pixels: make it smaller first.")


def _decode(image, size, name, draft):
    full = image.size
    if min(full) < 1:
        raise InputError(f"{name} has no pixels: use another one.")
    if full[0] * full[1] > MAX_PIXELS:
        raise _too_large(name)
    drafted = None
    if size is not None:
        h, w = fit(full[1], full[0], size)
        if draft:
            # JPEG decodes at 1/2, 1/4 or 1/8 almost for free; twice the size leaves the filtering to the resize below.
            drafted = image.draft(None, (2 * w, 2 * h))
    try:
        image.load()
        if not drafted:
            full = image.size  # a TIFF turns itself upright as it loads
        turn = TURNS.get(_orientation(image))
        picture = _deep_grey(image) if image.mode[0] in "IF" else _rgb(image)
        if turn is not None:
            picture = picture.transpose(turn)
            if turn in (TURNS[5], TURNS[6], TURNS[7], TURNS[8]):
                full = full[::-1]
        if size is not None:
            h, w = fit(full[1], full[0], size)
            if picture.size != (w, h):
                picture = picture.resize((w, h), Image.Resampling.BICUBIC)
        return _tensor(picture)
    except _NotFinite:
        raise InputError(f"{name} has pixels that are no numbers (NaN or infinite): export it again.") from None
    except Exception as error:  # decoders meet broken data with errors of any class
        raise InputError(f"{name} is damaged or incomplete: get the file again, or save it anew with another "
                         "program.") from error


class _NotFinite(Exception):
    pass


def _orientation(image):
    try:
        return image.getexif().get(EXIF_ORIENTATION)
    except Exception:  # broken metadata fails in many ways, none of which should cost the picture
        return None


def _rgb(image):
    """Any mode of up to 8 bits to RGB in sRGB, over white."""
    profile = image.info.get("icc_profile")
    grey = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if grey else "RGBA")
        alpha = image.getchannel("A")
    if grey:
        image = image.convert("L").point(_grey_curve(profile).tolist()).convert("RGB")
    else:
        image = _to_srgb(image if image.mode == "CMYK" else image.convert("RGB"), profile)
    if alpha is None:
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=alpha)
    return white


def _to_srgb(image, profile, flags=ImageCms.Flags.NONE):
    """L, RGB or CMYK to RGB through an ICC profile (bytes or None)."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if image.mode == "L" and source.profile.xcolor_space.strip() == "RGB":
                image = image.convert("RGB")
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, srgb, outputMode="RGB", flags=flags)
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass  # broken, or of another colour space than the picture: viewers ignore it, too
    return image.convert("RGB")


def _grey_curve(profile):
    """What a profile makes of the greys 0 to 255: 256 greys in sRGB, uint8."""
    greys = Image.frombytes("L", (256, 1), bytes(range(256)))
    # The engine's shortcut for grey is several levels off in the shadows, and for 256 pixels not needed.
    return np.asarray(_to_srgb(greys, profile, ImageCms.Flags.NOOPTIMIZE).convert("L"))[0]


def _deep_grey(image):
    """The modes I, I;16 and F to mode F, sRGB in [0, 1]."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise _NotFinite
        full = next((top for top in (1, 255, 65535) if values.max() <= top), values.max())
    elif TIFF_BITS in tags:
        signed = tags.get(TIFF_SAMPLE_FORMAT, (1,))[0] == 2
        if image.mode == "I" and not signed:
            values = values.view(np.uint32)
        full = 2 ** (tags[TIFF_BITS][0] - signed) - 1
    else:
        full = 65535 if values.max() <= 65535 else 2**31 - 1
    values = (values / full).clip(0, 1)
    if image.mode != "F" and tags.get(TIFF_PHOTOMETRIC) == 0:
        values = 1 - values  # "white is zero", which Pillow undoes for 8 bits only
    if profile := image.info.get("icc_profile"):
        values = np.interp(values, np.linspace(0, 1, 256), _grey_curve(profile) / 255)
    return Image.fromarray(values.astype(np.float32))


def _tensor(picture):
    """An RGB image, or a grey one of mode F in [0, 1], to [1, 3, H, W]."""
    values = torch.from_numpy(np.array(picture))
    if picture.mode == "F":
        return values.clamp(0, 1).expand(1, 3, -1, -1).contiguous()  # bicubic resizing overshoots
    return values.float().div_(255).permute(2, 0, 1).unsqueeze(0).contiguous()  # of bytes, PyTorch permutes ten times slower
