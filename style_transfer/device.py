"""Where and in which precision the networks run: decided here and nowhere else."""

import functools
import time

import torch


def pick(device=None):
    """The device named, or the best there is: cuda, then mps, then cpu."""
    if device not in (None, "auto"):
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@functools.cache
def bf16_is_faster(device_type):
    """Whether bfloat16 convolutions beat float32 here by a margin that counts, measured once (about 0.1 s).

    Processors without bf16 instructions emulate them, many times slower; some emulate only in part.
    """
    if device_type != "cpu":
        return device_type == "cuda" and torch.cuda.is_bf16_supported()
    conv = torch.nn.Conv2d(64, 64, 3).to(memory_format=torch.channels_last)
    x = torch.rand(1, 64, 96, 96).contiguous(memory_format=torch.channels_last)

    def seconds(dtype):
        module, y = conv.to(dtype), x.to(dtype)
        with torch.inference_mode():
            module(y)
            best = float("inf")
            for _ in range(3):
                start = time.perf_counter()
                for _ in range(4):
                    module(y)
                best = min(best, time.perf_counter() - start)
        return best

    return seconds(torch.float32) > 1.3 * seconds(torch.bfloat16)


def autocast(device):
    """Context in which convolutions run in bfloat16 where that is faster, in float32 elsewhere."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=bf16_is_faster(kind))
