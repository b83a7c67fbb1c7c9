"""Write Johnson's networks as ONNX files that a browser's camera can run.

    python -m training.export_onnx [NAME ...] [-o FOLDER]      default: all that training.slim left in checkpoints/camera

A file holds the weights in half precision, computes in float32, and makes `painting` of `picture`: both [1, 3, H, W] in [0, 1],
H and W multiples of 16, at least 32. It paints what `fixed.outputs` paints, margin included, but is written for the one or two
threads that a browser may have, where multiplications and the windows of wide kernels cost most:

- residual blocks are Winograd's minimal filtering F(4x4, 3x3): 36 multiplications for 16 pixels instead of 144
  (Lavin and Gray 2016, section 4.2 and appendix);
- nearest resize and 3x3 convolution are four 2x2 convolutions, one for each pixel of four;
- the first layer is two of 1x9 and 9x1 pixels, of rank 12: the only step that is not exact;
- the last layer works on the 2x2 cells of pixels that it is given, as 1x5 convolutions whose rows are added.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from style_transfer import checkpoints, weights
from style_transfer.errors import InputError, StyleTransferError
from style_transfer.fixed import MARGIN
from style_transfer.networks.johnson import Johnson
from training import slim

OPSET, IR_VERSION = 17, 8
RANK = 12  # of the first layer's 9x9 kernels, 27 in full; the picture changes by less than a grey level of 255
TILE = 4  # side of what one of Winograd's tiles paints
END = 1 << 31
# Winograd's F(4, 3): output = OUTPUT ((KERNEL g) * (INPUT d)) for a kernel g of 3 and an input d of 6 pixels
INPUT = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                  [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], np.float32)
KERNEL = np.array([[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6],
                   [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]], np.float32)
OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32)
# which of the two pixels below an enlarged pixel and its neighbours lie: [pixel of two, pixel below, tap of three]
BELOW = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)


class Graph:
    """Nodes and constants of an ONNX graph, named in the order in which they are added."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def add(self, kind, *inputs, **attributes):
        """A node; returns the name of its output."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, values, kind=np.float32):
        """Numbers as they are."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, kind), f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def integers(self, *values):
        """Shapes, axes, bounds."""
        return self.constant(values, np.int64)

    def weights(self, values):
        """Numbers kept in half precision; whoever loads the file makes them float32 once."""
        return self.add("Cast", self.constant(values, np.float16), to=TensorProto.FLOAT)

    def pad(self, x, pixels, mode="reflect"):
        """The same number of pixels at each side."""
        return self.add("Pad", x, self.integers(0, 0, pixels, pixels, 0, 0, pixels, pixels), mode=mode)

    def slice(self, x, axes, starts, ends):
        return self.add("Slice", x, self.integers(*starts), self.integers(*ends), self.integers(*axes))

    def reshape(self, x, *shape):
        """0: as it is; -1: what is left."""
        return self.add("Reshape", x, self.integers(*shape))

    def convolve(self, x, kernels, *bias, stride=1):
        """kernels: [out, in, height, width]; without padding."""
        return self.add("Conv", x, self.weights(kernels), *bias, kernel_shape=kernels.shape[2:], strides=[stride, stride])

    def normalize(self, x, norm, relu=True):
        """Instance normalisation. The bias of the convolution before it has gone with the mean."""
        x = self.add("InstanceNormalization", x, self.weights(_array(norm.weight)), self.weights(_array(norm.bias)),
                     epsilon=norm.eps)
        return self.add("Relu", x) if relu else x


def _array(tensor):
    return tensor.detach().float().cpu().numpy()


def _first(graph, x, kernels):
    """9x9 as 1x9 and 9x1 pixels of rank `RANK`."""
    out, channels, side, _ = kernels.shape
    u, s, v = np.linalg.svd(kernels.transpose(1, 3, 0, 2).reshape(channels * side, out * side), full_matrices=False)
    rank = min(RANK, len(s))
    root = np.sqrt(s[:rank])  # shared, that both factors keep their digits in half precision
    across = (u[:, :rank] * root).T.reshape(rank, channels, 1, side)
    down = (root[:, None] * v[:rank]).reshape(rank, out, side, 1).transpose(1, 0, 2, 3)
    return graph.convolve(graph.convolve(graph.pad(x, side // 2), across), down)


def _winograd(graph, x, kernels):
    """3x3 with reflection padding, tile by tile."""
    out, channels = kernels.shape[:2]
    spread = np.kron(KERNEL, KERNEL)  # [36, 9]
    taps = graph.weights(kernels.transpose(2, 3, 0, 1).reshape(9, out * channels))
    filters = graph.reshape(graph.add("MatMul", graph.constant(spread), taps), 36, out, channels)
    one_by_one = graph.add("Transpose", graph.pad(x, 1), perm=[1, 0, 2, 3])  # channels as pictures of their own
    window = graph.constant(np.kron(INPUT, INPUT).reshape(36, 1, 6, 6))  # no groups: WebGPU computes those wrongly
    tiles = graph.add("Conv", one_by_one, window, kernel_shape=[6, 6], strides=[TILE, TILE])
    tiles = graph.add("Transpose", tiles, perm=[1, 0, 2, 3])  # [36, channels, rows, columns]
    product = graph.add("MatMul", filters, graph.reshape(tiles, 0, 0, -1))
    pixels = graph.add("MatMul", graph.constant(np.kron(OUTPUT, OUTPUT)), graph.reshape(product, 36, -1))
    sides = graph.slice(graph.add("Shape", tiles), [0], [2], [4])
    shape = graph.add("Concat", graph.integers(1, TILE * TILE * out), sides, axis=0)
    return graph.add("DepthToSpace", graph.add("Reshape", pixels, shape), blocksize=TILE, mode="DCR")


def _block(graph, x, block):
    y = graph.normalize(_winograd(graph, x, _array(block.conv1.weight)), block.norm1)
    return graph.add("Add", x, graph.normalize(_winograd(graph, y, _array(block.conv2.weight)), block.norm2, relu=False))


def _enlarged(graph, x, kernels):
    """Nearest resize and 3x3: the pixels of each 2x2 cell as four pictures, [1, out, h, w] each."""
    out, channels = kernels.shape[:2]
    four = np.einsum("pyd,qxe,oide->pqoiyx", BELOW, BELOW, kernels).reshape(4 * out, channels, 2, 2)
    x = graph.convolve(graph.pad(x, 1, "edge"), four)  # the reflection of what was doubled is the pixel beside it
    return [graph.slice(x, [1, 2, 3], [out * (2 * p + q), p, q], [out * (2 * p + q + 1), p - 1 or END, q - 1 or END])
            for p, q in itertools.product(range(2), repeat=2)]


def _last(graph, cells, kernels, bias):
    """9x9 of the pixels in 2x2 cells, [1, channels * 4, h, w] to [1, out, 2 (h - 4), 2 (w - 4)]."""
    out, channels, side, _ = kernels.shape
    wide = np.zeros((5, out, 2, 2, channels, 2, 2, 5), np.float32)  # row; out, its pixel of the cell; in, its pixel; column
    for row, column, p, q, r, s in itertools.product(range(5), range(5), range(2), range(2), range(2), range(2)):
        y, x = 2 * row + r - p, 2 * column + s - q
        if 0 <= y < side and 0 <= x < side:
            wide[row, :, p, q, :, r, s, column] = kernels[:, :, y, x]
    wide = graph.convolve(cells, wide.reshape(5 * 4 * out, 4 * channels, 1, 5))
    rows = [graph.slice(wide, [1, 2], [4 * out * k, k], [4 * out * (k + 1), k - 4 or END]) for k in range(5)]
    x = graph.add("DepthToSpace", graph.add("Sum", *rows), blocksize=2, mode="CRD")
    return graph.add("Add", x, graph.weights(bias.reshape(1, out, 1, 1)))


def model(network, **metadata):
    """A Johnson network as onnx.ModelProto. Raises InputError for another network."""
    if type(network) is not Johnson:
        raise InputError(f"Only Johnson's networks are written as ONNX, and this is a {type(network).__name__}.")
    graph, n = Graph(), network
    x = graph.pad("picture", MARGIN)
    x = graph.normalize(_first(graph, x, _array(n.conv1.weight)), n.norm1)
    x = graph.normalize(graph.convolve(graph.pad(x, 1), _array(n.conv2.weight), stride=2), n.norm2)
    x = graph.normalize(graph.convolve(graph.pad(x, 1), _array(n.conv3.weight), stride=2), n.norm3)
    for block in n.blocks:
        x = _block(graph, x, block)
    x = graph.add("DepthToSpace", graph.add("Concat", *_enlarged(graph, x, _array(n.up1.weight)), axis=1), blocksize=2,
                  mode="DCR")
    x = graph.normalize(x, n.norm4)
    # one below the other, the four pixels of a cell share their channel's statistics; then they are channels of the last layer
    x = graph.normalize(graph.add("Concat", *_enlarged(graph, x, _array(n.up2.weight)), axis=2), n.norm5)
    cells = graph.reshape(x, 1, 4 * n.up2.out_channels, -1, 0)
    edge = (MARGIN - n.last.kernel_size[0] // 2) // 2  # what the last layer's window need not see
    cells = graph.slice(cells, [2, 3], [edge, edge], [-edge, -edge])
    x = _last(graph, cells, _array(n.last.weight), _array(n.last.bias))
    graph.nodes.append(helper.make_node("Clip", [x, graph.constant(0), graph.constant(1)], ["painting"]))
    first, last = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "height", "width"])
                   for name in ("picture", "painting"))
    made = helper.make_graph(graph.nodes, "johnson", [first], [last], graph.constants)
    made = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(made, metadata)
    onnx.checker.check_model(made)
    return made


def export(name, folder):
    """Write a style's network, by name or path, to FOLDER/NAME.onnx with the SHA-256 of its weight file; returns the path.

    Raises InputError for a style of another architecture, CheckpointError for weights that are missing or damaged.
    """
    path = weights.find(name)
    made = model(checkpoints.load(path), sha256=checkpoints.sha256(path), **slim.origin(path))
    target = Path(folder, f"{path.stem}.onnx")
    with checkpoints.replacing(target) as part:
        onnx.save(made, part)
    return target


def main():
    parser = argparse.ArgumentParser("training.export_onnx", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a style, or a weight file's path; default: all in the folder")
    parser.add_argument("-o", "--output", type=Path, default=slim.FOLDER, help="folder")
    options = parser.parse_args()
    try:
        for name in options.names or sorted(options.output.glob("*.safetensors")):
            path = export(name, options.output)
            print(f"{path}, {path.stat().st_size / 1e6:.2f} MB")
    except StyleTransferError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
