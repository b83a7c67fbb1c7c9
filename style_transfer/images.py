"""Pictures in and out: decoding with limits, orientation and colour profiles; resizing; writing.

Everything in between works on float32 tensors [N, 3, H, W], sRGB in [0, 1]. Large pictures are converted in blocks of rows:
what is needed at most is the tensor and one picture of Pillow's.
"""

import contextlib
import io
import json
import os
import secrets
import threading
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo, putchunk

from .errors import InputError, StyleTransferError
from .guided import rows, stretch
from .options import Option

MAX_PIXELS = 200_000_000
BITS = Option(8, "Bits a channel of the written file: 16, in PNG and TIFF, keep what later editing needs.",
              choices={8: "8 bits", 16: "16 bits"})
SIZE = Option(None, "Long side of the result in pixels.", 16, 16384)
STYLE_SIZE = Option(512, "Long side to which the styles are brought: more gives larger strokes.", 16, 4096)
# Image.open tries nothing else, so that no exotic decoder (EPS runs Ghostscript) ever sees a stranger's file.
# (MPO, what phones write, opens as JPEG.)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")
SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF",
            ".bmp": "BMP"}
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
WITH_ALPHA = ("PNG", "WEBP", "TIFF")
WITH_16_BITS = {"PNG": ".png", "TIFF": ".tiff"}
WITH_SETTINGS = ("PNG", "JPEG", "WEBP")
SETTINGS = "style-transfer"  # keyword of a PNG's text, which is JSON
MOST_SETTINGS = 16384  # characters
EXIF_ORIENTATION = 0x0112
EXIF_IFD, EXIF_COMMENT, EXIF_ASCII = 0x8769, 0x9286, b"ASCII\0\0\0"
PNG_HEADER = 33  # bytes: signature and first chunk, after which others may stand
TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_SAMPLE_FORMAT = 258, 262, 339
STORED = {  # EXIF's orientation: the rows as the file has them, as a view of the upright picture [C, H, W]
    2: lambda x: x[:, :, ::-1],
    3: lambda x: x[:, ::-1, ::-1],
    4: lambda x: x[:, ::-1],
    5: lambda x: x.swapaxes(1, 2),
    6: lambda x: np.rot90(x, 1, (1, 2)),
    7: lambda x: x.swapaxes(1, 2)[:, ::-1, ::-1],
    8: lambda x: np.rot90(x, -1, (1, 2)),
}
_PILLOWS_LIMIT = threading.Lock()


def load(source, size=None, limit=None):
    """Read a picture: float32 [1, 3, H, W], sRGB in [0, 1], upright, transparency over white, first frame.

    source: path, bytes, binary file object or PIL image; JPEG, PNG, WebP, GIF, TIFF or BMP, of any colour mode and
    with any embedded colour profile. size: the long side in pixels that it is scaled to, None for as it is. limit: the most
    pixels that the source may have, None for MAX_PIXELS.
    Raises InputError, one sentence, for what is missing, damaged, no picture, or above the limit.
    """
    return _read(source, size, limit, over_white=True)[0]


def read(source, size=None, limit=None):
    """What `load` reads, and its transparency: (picture [1, 3, H, W], alpha [1, 1, H, W] in [0, 1], None where all is opaque).

    The colours are those below the transparency, not mixed with anything. Where nothing is to be seen they go on smoothly from
    what is, so that no foreign colour is painted into the edges. Arguments and errors are those of `load`.
    """
    picture, alpha = _read(source, size, limit, over_white=False)
    return (picture, alpha) if alpha is None else (_fill(picture, alpha), alpha)


def _read(source, size, limit, over_white):
    if isinstance(source, Image.Image):
        return _decode(source, size, "The picture", limit, over_white)
    image, name = _open(source)
    with image:
        return _decode(image, size, name, limit, over_white, draft=True)


def _open(source):
    """(PIL image of which the header is read, what to call it) of a path, bytes or a binary file object."""
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
        with _without_pillows_limit():
            return Image.open(source, formats=FORMATS), name
    except FileNotFoundError:
        raise InputError(f"There is no file '{source}': check its name and folder.") from None
    except Exception as error:  # decoders meet broken headers with errors of any class
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"'{source}' cannot be opened ({error.strerror}): check the file's permissions.") from None
        raise InputError(f"{name} is empty, damaged or no picture of a known format: use a JPEG, PNG, WebP, GIF, TIFF "
                         "or BMP file that opens in an image viewer.") from error


@contextlib.contextmanager
def _without_pillows_limit():
    """Pillow warns of 90 million pixels and refuses 180 million as it reads a header, where `_decode` has limits of its own."""
    with _PILLOWS_LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


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
    return load(image, size)


def to_pil(tensor):
    """[1, 3, H, W] or [3, H, W], sRGB, to an 8-bit RGB PIL image; values outside [0, 1] are clamped, then rounded.

    Raises InputError for another shape and StyleTransferError where a value is NaN or infinite.
    """
    return _to_8_bits(_planes(tensor))


def _planes(tensor):
    if not torch.is_tensor(tensor):
        raise InputError("The picture is no tensor: one that style_transfer.load or a method gave is needed.")
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] != 3 or tensor.numel() == 0:
        raise InputError(f"One RGB picture of shape [1, 3, H, W] is needed, not {list(tensor.shape)}.")
    return tensor.detach()


def _levels(tensor, alpha, part, bits, over_white=False):
    """The rows `part` of [3, H, W] and of alpha [1, H, W], None = opaque, as an array [h, w, 3 or 4] of whole numbers."""
    block = tensor[:, part].float()
    if not block.sum().isfinite():
        raise StyleTransferError("The picture has values that are no numbers (NaN or infinite): the computation "
                                 "diverged, try smaller weights or another picture.")
    if alpha is not None:
        block = 1 + alpha[:, part] * (block - 1) if over_white else torch.cat([block, alpha[:, part]])
    values = block.clamp(0, 1).mul_(2**bits - 1).round_().permute(1, 2, 0).contiguous()
    return values.to(torch.uint8 if bits == 8 else torch.int32).cpu().numpy()


def _to_8_bits(tensor, alpha=None, over_white=False):
    image = Image.new("RGB" if alpha is None or over_white else "RGBA", tensor.shape[:0:-1])
    for part in rows(*tensor.shape[1:]):
        image.paste(Image.fromarray(_levels(tensor, alpha, part, 8, over_white)), (0, part.start))
    return image


def _encode_16_bits(tensor, alpha, kind):
    """A PNG's or TIFF's bytes, which Pillow cannot make of 16 bits."""
    try:
        import cv2
    except ImportError:
        raise StyleTransferError("16 bits a channel need OpenCV: pip install opencv-python-headless.") from None
    array = np.empty((*tensor.shape[1:], 3 if alpha is None else 4), np.uint16)
    for part in rows(*tensor.shape[1:]):
        array[part] = _levels(tensor, alpha, part, 16)[..., [2, 1, 0, 3][:array.shape[2]]]  # OpenCV's order: blue first
    try:
        done, data = cv2.imencode(WITH_16_BITS[kind], array)
    except cv2.error:
        done = False
    if not done:
        raise ValueError("the encoder failed")
    return data


def settings(source):
    """The settings that `save` wrote into a PNG, JPEG or WebP file: a dictionary as JSON has it, None where there are none.

    source: path, bytes or binary file object, of which no pixel is decoded. Whoever made the file chose what is in it: nothing
    but the size is checked here, all else by style_transfer.settings.check.
    Raises InputError where the file is no picture, or its settings are damaged or too long.
    """
    image, name = _open(source)
    with image:
        try:
            text = image.info.get(SETTINGS) if image.format == "PNG" else _comment(image)
            if not text:
                return None
            found = json.loads(text) if len(text) <= MOST_SETTINGS else None
        except Exception:  # broken metadata fails in many ways
            found = None
    if not isinstance(found, dict):
        raise InputError(f"The settings in {name} are damaged or too long: use the picture as the method that painted it wrote "
                         "it.")
    return found


def _comment(image):
    """The text of an image's EXIF comment where it is one of `save`, or None."""
    comment = image.getexif().get_ifd(EXIF_IFD).get(EXIF_COMMENT)
    mark = EXIF_ASCII + SETTINGS.encode() + b" "
    return comment[len(mark):] if isinstance(comment, bytes) and comment.startswith(mark) else None


def _carrier(kind, found):
    """Settings as the argument of Pillow's `save` that writes them; none for formats that hold none."""
    if found is None or kind not in WITH_SETTINGS:
        return {}
    try:
        text = json.dumps(found, allow_nan=False)
    except (TypeError, ValueError):
        text = None
    if not isinstance(found, dict) or text is None or len(text) > MOST_SETTINGS:
        raise InputError(f"The settings must be a dictionary that JSON holds in {MOST_SETTINGS:,} characters.")
    if kind == "PNG":
        info = PngInfo()
        info.add_itxt(SETTINGS, text)
        return {"pnginfo": info}
    exif = Image.Exif()
    exif.get_ifd(EXIF_IFD)[EXIF_COMMENT] = EXIF_ASCII + f"{SETTINGS} {text}".encode()
    return {"exif": exif}


def save(tensor, path, quality=95, alpha=None, bits=8, settings=None):
    """Write one picture ([1, 3, H, W] or [3, H, W] in [0, 1]) in the format of the suffix, whole or not at all.

    quality: 1 to 100, for JPEG and WebP. alpha: the transparency that `read` gave, [1, 1, h, w] of any size, None = opaque;
    JPEG and BMP show the picture over white. bits: 8, or 16 for PNG and TIFF. settings: a dictionary for the function of that
    name, written into PNG, JPEG and WebP; others hold none. Raises what output_format and to_pil raise, InputError for settings
    that are none, and StyleTransferError where the file cannot be written.
    """
    kind, quality = output_format(path, bits), Option(95, "", 1, 100).check("quality", quality)
    path, tensor = Path(path), _planes(tensor)
    if max(tensor.shape) > LONGEST_SIDE.get(kind, float("inf")):
        raise InputError(f"{kind} holds at most {LONGEST_SIDE[kind]} pixels a side, and '{path.name}' would have "
                         f"{max(tensor.shape)}: write a .png or .tif file.")
    if alpha is not None:
        if not torch.is_tensor(alpha) or alpha.ndim != 4 or alpha.shape[:2] != (1, 1) or not alpha.numel():
            raise InputError("The transparency must be a tensor [1, 1, H, W] in [0, 1]: what style_transfer.images.read gives.")
        alpha = resize(alpha.detach().float(), tensor.shape[1:])[0].to(tensor.device)
    options = {"JPEG": {"quality": quality, "subsampling": 0}, "WEBP": {"quality": quality},
               "PNG": {"compress_type": Image.RLE}}.get(kind, {})  # a third of the time, and paintings are no larger by it
    carrier = _carrier(kind, settings)
    picture = _to_8_bits(tensor, alpha, kind not in WITH_ALPHA) if bits == 8 else None
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with open(part, "x+b") as file:
            if picture:
                picture.save(file, kind, **options, **carrier)
            else:
                data = _encode_16_bits(tensor, alpha, kind)
                file.write(data[:PNG_HEADER])
                for name, text, *_ in carrier["pnginfo"].chunks if carrier else ():
                    putchunk(file, name, text)
                file.write(data[PNG_HEADER:])
        os.replace(part, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"'{path}' could not be written ({reason}): choose another place or format."
        raise StyleTransferError(message) from error
    finally:
        part.unlink(missing_ok=True)


def output_format(path, bits=8):
    """The format ("PNG", "JPEG", ...) that save writes to a path; to be asked before any long work.

    Raises InputError for a suffix that is not in SUFFIXES, a folder that is missing or may not be written to, a folder in the
    file's place, or more bits than the format holds.
    """
    if not isinstance(path, (str, os.PathLike)) or os.path.isdir(path):
        raise InputError(f"'{path}' is a folder or no path: name a file in it.")
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"'{path.name}' does not end in a known picture suffix: use one of {', '.join(SUFFIXES)}.")
    if not os.path.isdir(path.parent) or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"The folder '{path.parent}' does not exist or may not be written to: create it or write elsewhere.")
    kind = SUFFIXES[path.suffix.lower()]
    if BITS.check("bits", bits) == 16 and kind not in WITH_16_BITS:
        raise InputError(f"{kind} holds 8 bits a channel, and '{path.name}' should have 16: write a .png or .tif file.")
    return kind


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
    return F.interpolate(tensor, size=size, mode="bicubic", antialias=True, align_corners=False).clamp_(0, 1)


def fit(h, w, long_side):
    """(h, w) scaled so that the longer one is long_side, the other at least 1.

    Raises InputError for a long_side below 1 or a result above MAX_PIXELS.
    """
    long_side = Option(None, "", 1, MAX_PIXELS).check("The long side in pixels", long_side)
    h, w = (max(1, round(side * long_side / max(h, w))) for side in (h, w))
    if h * w > MAX_PIXELS:
        raise InputError(f"At {w} x {h} the picture would have more than {MAX_PIXELS:,} pixels: use a smaller size.")
    return h, w


def _decode(image, size, name, limit, over_white, draft=False):
    """([1, 3, H, W], alpha [1, 1, H, W] or None) of a PIL image, which is left as it is."""
    limit = MAX_PIXELS if limit is None else limit
    full = image.size
    if min(full) < 1:
        raise InputError(f"{name} has no pixels: use another one.")
    if full[0] * full[1] > limit:
        raise InputError(f"{name} has more than {limit:,} pixels: make it smaller first.")
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
        orientation = _orientation(image)
        convert = _converter(image, over_white)
        if size is not None:
            h, w = fit(full[1], full[0], size)
            if image.size != (w, h):
                image, convert = convert(image).resize((w, h), Image.Resampling.BICUBIC), lambda block: block
        picture = torch.from_numpy(_upright(image, convert, orientation))[None]
    except _NotFinite:
        raise InputError(f"{name} has pixels that are no numbers (NaN or infinite): export it again.") from None
    except Exception as error:  # decoders meet broken data with errors of any class
        raise InputError(f"{name} is damaged or incomplete: get the file again, or save it anew with another "
                         "program.") from error
    picture, alpha = picture[:, :3], picture[:, 3:]
    return picture, alpha if alpha.numel() and alpha.min() < 1 else None


def _upright(image, convert, orientation):
    """What `convert` makes of an image's blocks of rows, turned by EXIF's orientation: an array [3 or 4, H, W] in [0, 1]."""
    width, height = image.size
    out = target = None
    for part in rows(height, width):
        block = convert(image if part.stop - part.start == height else image.crop((0, part.start, width, part.stop)))
        if out is None:
            out = np.empty((len(block.getbands()) if block.mode != "F" else 3,
                            *((width, height) if orientation in (5, 6, 7, 8) else (height, width))), np.float32)
            target = STORED.get(orientation, lambda x: x)(out)
        if block.mode == "F":
            target[:, part] = np.asarray(block).clip(0, 1)  # bicubic resizing overshoots
        else:
            np.divide(np.asarray(block).transpose(2, 0, 1), 255, out=target[:, part], dtype=np.float32)
    return out


class _NotFinite(Exception):
    pass


def _orientation(image):
    try:
        return image.getexif().get(EXIF_ORIENTATION)
    except Exception:  # broken metadata fails in many ways, none of which should cost the picture
        return None


def _converter(image, over_white):
    """A function that turns blocks of an image into sRGB: RGB, over white or opaque, RGBA, or grey of mode F in [0, 1]."""
    if image.mode[0] in "IF":
        return _deep_grey(image)
    profile = image.info.get("icc_profile")
    grey, transparent = image.mode in ("1", "L", "LA", "La"), image.has_transparency_data
    if grey:
        curve = _grey_curve(profile).tolist()
    else:
        to_srgb = _to_srgb("CMYK" if image.mode == "CMYK" else "RGB", profile)

    def convert(block):
        alpha = None
        if transparent:
            block = block.convert("LA" if grey else "RGBA")
            alpha = block.getchannel("A")
        block = block.convert("L").point(curve).convert("RGB") if grey else to_srgb(block)
        if alpha is None:
            return block
        if not over_white:
            block.putalpha(alpha)
            return block
        white = Image.new("RGB", block.size, "white")
        white.paste(block, mask=alpha)
        return white

    return convert


def _to_srgb(mode, profile, flags=ImageCms.Flags.NONE):
    """A function from images of a mode, L, RGB or CMYK, to RGB through an ICC profile (bytes or None)."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if mode == "L" and source.profile.xcolor_space.strip() == "RGB":
                mode = "RGB"
            transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)
            return lambda image: ImageCms.applyTransform(image.convert(mode), transform)
        except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
            pass  # broken, or of another colour space than the picture: viewers ignore it, too
    return lambda image: image.convert("RGB")


def _grey_curve(profile):
    """What a profile makes of the greys 0 to 255: 256 greys in sRGB, uint8."""
    greys = Image.frombytes("L", (256, 1), bytes(range(256)))
    # The engine's shortcut for grey is several levels off in the shadows, and for 256 pixels not needed.
    return np.asarray(_to_srgb("L", profile, ImageCms.Flags.NOOPTIMIZE)(greys).convert("L"))[0]


def _deep_grey(image):
    """A function from blocks of an image of the modes I, I;16 or F to mode F, sRGB in [0, 1]."""
    values = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    signed = image.mode != "F" and tags.get(TIFF_SAMPLE_FORMAT, (1,))[0] == 2
    unsigned = image.mode == "I" and TIFF_BITS in tags and not signed
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise _NotFinite
        full = next((top for top in (1, 255, 65535) if values.max() <= top), values.max())
    elif TIFF_BITS in tags:
        full = 2 ** (tags[TIFF_BITS][0] - signed) - 1
    else:
        full = 65535 if values.max() <= 65535 else 2**31 - 1
    white_is_zero = image.mode != "F" and tags.get(TIFF_PHOTOMETRIC) == 0  # which Pillow undoes for 8 bits only
    profile = image.info.get("icc_profile")
    curve = profile and _grey_curve(profile) / 255

    def convert(block):
        values = np.asarray(block)
        values = ((values.view(np.uint32) if unsigned else values) / full).clip(0, 1)
        values = 1 - values if white_is_zero else values
        if profile:
            values = np.interp(values, np.linspace(0, 1, 256), curve)
        return Image.fromarray(values.astype(np.float32))

    return convert


def _fill(picture, alpha):
    """A picture [1, 3, H, W], in place, with colours where alpha [1, 1, H, W] is 0: smooth, from the pixels around.

    Push and pull (Gortler et al. 1996, "The Lumigraph", section 3.4): means weighted by alpha at half the size, filled in the
    same way, stand where a picture has nothing of its own.
    """
    if alpha.min() > 0 or max(picture.shape[2:]) == 1:
        return picture
    height, width = picture.shape[2:]
    half = torch.empty(1, 4, -(-height // 2), -(-width // 2))
    for part in rows(*half.shape[2:]):
        source = slice(2 * part.start, 2 * part.stop)
        weighted = torch.cat([picture[:, :, source] * alpha[:, :, source], alpha[:, :, source]], 1)
        half[:, :, part] = F.avg_pool2d(weighted, 2, ceil_mode=True)
    colours, weights = half.split((3, 1), 1)
    colours.div_(weights.clamp_min(1e-12))
    _fill(colours, weights)
    for part in rows(height, width):
        block, kept = picture[:, :, part], alpha[:, :, part] > 0
        block.copy_(torch.where(kept, block, stretch(colours, 2 * half.shape[2], 2 * half.shape[3], part)[..., :width]))
    return picture
