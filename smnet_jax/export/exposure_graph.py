"""ExposureNet as an ONNX graph, written node by node: whole pictures of any size in, whole pictures out.

Inside, tensors are NCHW. The matrices that resample (`exposure.resampling`) are computed in the graph from the
picture's height and width, so that every runtime gives the same thumbnail. Each picture of a batch may have another
frame, so what lies in it is counted by matrices and masks, not cut out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from smnet_jax.checkpoints.trees import flatten
from smnet_jax.export.onnx_nodes import OPSET, PICTURE, Nodes, Shape, check_opset
from smnet_jax.exposure import detail, frame
from smnet_jax.exposure.detail import DILATIONS
from smnet_jax.exposure.frame import ENDS, PLAIN, RINGS, SAME
from smnet_jax.exposure.network import BINS, EXTREMES, LIFT, NEARLY
from smnet_jax.exposure.noise import BLACK_BELOW, BLOTCHES, DARK_FROM, FULL, LEAST, NEAR_BLACK_RADIUS, NOISE, RADIUS
from smnet_jax.exposure.tone import BLACK, GRID, KNOTS, LUMA, THUMBNAIL


def to_onnx(model: Any, params: Mapping[str, Any], *, opset: int = OPSET) -> bytes:
    """Serialise an `ExposureNet` with its weights: `low` (N,H,W,3) float32 in [0, 1] -> `high`, the same.

    `opset` is 17 to 23. Never in float16: the curves' exponents and logarithms, and places in large pictures, need
    float32's digits. The result has passed ONNX's checker. Raises InputError without the package onnx.
    """
    check_opset(opset)
    graph = _ExposureGraph(flatten(params), opset)
    graph.picture()
    return graph.serialised(f"ExposureNet-{model.features}")


def to_onnx_parts(model: Any, params: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The two steps of `exposure.picture.enhance`, for photos of any size in little memory: look, and render.

    look: `thumbnail` (N,THUMBNAIL,THUMBNAIL,3) -> `rate` (N,1,1,1), `grid` (N,KNOTS,GRID,GRID), `saturation`
    (N,KNOTS,1,1). render: these three, `low` (N,h,w,3), a part of the photo, and the rows `rows` (h,GRID) and `columns`
    (w,GRID) of `resampling.linear` that belong to it -> `high` (N,h,w,3), right but for `tone.HALO` pixels where
    the photo goes on. Raises InputError without the package onnx.
    """
    tone: dict[str, Shape] = {
        "rate": ["batch", 1, 1, 1],
        "grid": ["batch", KNOTS, GRID, GRID],
        "saturation": ["batch", KNOTS, 1, 1],
    }
    check_opset(OPSET)
    look = _ExposureGraph(flatten(params))
    small = look.node("Transpose", ["thumbnail"], perm=[0, 3, 1, 2])
    for name, value in zip(tone, look.predict(small), strict=True):
        look.node("Identity", [value], name)
    render = _ExposureGraph(flatten(params))
    render.render("low", "rate", "grid", "saturation", "rows", "columns")
    place: dict[str, Shape] = {"rows": ["height", GRID], "columns": ["width", GRID]}
    return (
        look.serialised(f"ExposureNet-{model.features}", {"thumbnail": ["batch", THUMBNAIL, THUMBNAIL, 3]}, tone),
        render.serialised("ExposureNet-render", {"low": PICTURE, **tone, **place}, {"high": PICTURE}),
    )


class _ExposureGraph(Nodes):
    """Nodes of `exposure.network` and `exposure.tone`, method by method; every method takes and returns names."""

    # Arithmetic

    def number(self, value: float) -> str:
        return self.constant(f"float_{value!r}", value)

    def add(self, a: str, b: str) -> str:
        return self.node("Add", [a, b])

    def sub(self, a: str, b: str) -> str:
        return self.node("Sub", [a, b])

    def mul(self, a: str, b: str) -> str:
        return self.node("Mul", [a, b])

    def div(self, a: str, b: str) -> str:
        return self.node("Div", [a, b])

    def power_of_two(self, x: str) -> str:
        return self.node("Exp", [self.mul(x, self.number(float(np.log(2))))])

    def act(self, x: str, slope: float = 0.2) -> str:
        return self.node("LeakyRelu", [x], alpha=slope)

    # Layers

    def pointwise(self, x: str, path: str) -> str:
        """A dense layer on the channels of (N,C,H,W)."""
        kernel = self.params[f"{path}/kernel"].T[:, :, None, None]
        inputs = [
            x,
            self.constant(f"{path}/kernel", kernel),
            self.constant(f"{path}/bias", self.params[f"{path}/bias"]),
        ]
        return self.node("Conv", inputs, kernel_shape=[1, 1])

    def patches(self, x: str, size: int) -> str:
        return self.node("SpaceToDepth", [x], blocksize=size)

    def from_part(self, first: str, count: str, size: str, new_size: int) -> str:
        """`resampling.from_part`: first and count (N,1,1,1), size a scalar -> (N,1,new_size,size)."""
        place, counted = self.places(first, count, size)
        new = self.constant(f"steps_{new_size}", np.arange(new_size).reshape(new_size, 1))
        return self.weights(new, self.div(count, self.number(float(new_size))), place, counted)

    def to_part(self, old_size: int, first: str, count: str, size: str) -> str:
        """`resampling.to_part`: first and count (N,1,1,1), size a scalar -> (N,1,size,old_size)."""
        place, counted = (self.node("Transpose", [x], perm=[0, 1, 3, 2]) for x in self.places(first, count, size))
        old = self.constant(f"steps_{old_size}_across", np.arange(old_size).reshape(1, old_size))
        return self.weights(place, self.div(self.number(float(old_size)), count), old, counted)

    def places(self, first: str, count: str, size: str) -> tuple[str, str]:
        """Where each pixel lies in the part, and 1 where it does, else 0: (N,1,1,size) both."""
        place = self.sub(self.steps(size), first)
        after = self.node("Cast", [self.node("Less", [place, self.number(0.0)])], to=1)
        before = self.node("Cast", [self.node("Less", [place, count])], to=1)
        return place, self.sub(before, after)

    def steps(self, size: str) -> str:
        """0, 1, ... below a float scalar."""
        return self.node("Range", [self.number(0.0), size, self.number(1.0)])

    def weights(self, new: str, scale: str, old: str, counted: str) -> str:
        centre = self.sub(self.mul(self.add(new, self.number(0.5)), scale), self.number(0.5))
        distance = self.node("Abs", [self.sub(centre, old)])
        distance = self.div(distance, self.node("Max", [scale, self.number(1.0)]))
        weights = self.mul(self.node("Relu", [self.sub(self.number(1.0), distance)]), counted)
        return self.div(weights, self.node("Max", [self.reduce("Sum", weights, 3), self.number(1e-9)]))

    def hats(self, position: str, count: int) -> str:
        """Shares of `count` knots, (...,1,H,W) in [0, 1] -> (...,count,H,W)."""
        knots = self.constant(f"knots_{count}", np.arange(count).reshape(count, 1, 1))
        distance = self.node("Abs", [self.sub(self.mul(position, self.number(float(count - 1))), knots)])
        return self.node("Relu", [self.sub(self.number(1.0), distance)])

    # `exposure.frame`

    def inside_each(self, low: str, height: str, width: str) -> tuple[str, str, str, str]:
        """(N,3,H,W), and H and W as float scalars -> top, height, left and width of the photos, (N,1,1,1) each."""
        first = self.integers(0)
        colour = self.node("Gather", [self.node("Gather", [low, first], axis=2), first], axis=3)
        dark = self.node("LessOrEqual", [self.level(colour), self.number(ENDS)])
        white = self.node("GreaterOrEqual", [self.level(colour, "Min"), self.number(1 - RINGS)])
        away = self.level(self.node("Abs", [self.sub(low, colour)]))
        dimmest = self.level(low, "Min")
        same = self.node("Cast", [self.node("Less", [away, self.number(SAME)])], to=1)
        places: list[str] = []
        for lines, pixels, count, size in ((2, 3, height, width), (3, 2, width, height)):
            dim = self.node("Less", [self.reduce("Min", dimmest, pixels), self.number(1 - RINGS)])
            far = self.node("Greater", [self.reduce("Max", away, pixels), self.number(PLAIN)])
            far = self.node("And", [self.node("Not", [white]), far])
            busy = self.node("Or", [self.node("And", [white, dim]), far])
            outermost = self.node("Gather", [same, self.integers(0, -1)], axis=lines)
            fewest = self.reduce("Min", self.reduce("Sum", outermost, pixels), lines)
            plain = self.node("GreaterOrEqual", [fewest, self.mul(size, self.number(frame.MOST))])
            ends = self.node("Or", [white, self.node("And", [dark, plain])])
            if lines == 2:
                busy = self.node("Transpose", [busy], perm=[0, 1, 3, 2])
            places += self.between_bars(busy, count, ends)
        top, tall, left, wide = places
        return top, tall, left, wide

    def between_bars(self, busy: str, size: str, ends: str) -> tuple[str, str]:
        """(N,1,1,size), `size` as a float scalar, (N,1,1,1) -> first line and number of lines, (N,1,1,1) both."""
        line, none = self.steps(size), self.number(0.0)
        first = self.reduce("Min", self.node("Where", [busy, line, size]), 3)
        end = self.node("Where", [busy, self.add(line, self.number(1.0)), none])
        end = self.reduce("Max", end, 3)
        count = self.sub(end, first)
        quarter = self.node("Floor", [self.mul(size, self.number(0.25))])
        enough = self.node("GreaterOrEqual", [count, self.node("Max", [quarter, self.number(8.0)])])
        bars = self.node("Greater", [self.node("Min", [first, self.sub(size, end)]), none])
        framed = self.node("And", [ends, self.node("And", [enough, bars])])
        return self.node("Where", [framed, first, none]), self.node("Where", [framed, count, size])

    # `exposure.tone`

    def level(self, x: str, operation: str = "Max") -> str:
        return self.reduce(operation, x, 1)

    def curve(self, level: str, rate: str) -> str:
        rest = self.node("Max", [self.sub(self.number(1.0), level), self.number(1e-12)])
        return self.sub(self.number(1.0), self.node("Exp", [self.mul(rate, self.node("Log", [rest]))]))

    def picture(self) -> None:
        low = self.node("Transpose", ["low"], perm=[0, 3, 1, 2])
        sizes = self.node("Cast", [self.node("Shape", ["low"])], to=1)
        height, width = (self.node("Gather", [sizes, self.constant(f"at_{i}", i, np.int64)]) for i in (1, 2))
        top, tall, left, wide = self.inside_each(low, height, width)
        small = self.node("MatMul", [self.from_part(top, tall, height, THUMBNAIL), low])
        columns = self.node("Transpose", [self.from_part(left, wide, width, THUMBNAIL)], perm=[0, 1, 3, 2])
        tone = self.predict(self.node("MatMul", [small, columns]))
        rows, columns = self.to_part(GRID, top, tall, height), self.to_part(GRID, left, wide, width)
        in_rows = self.node("Transpose", [self.places(top, tall, height)[1]], perm=[0, 1, 3, 2])
        photo = self.mul(in_rows, self.places(left, wide, width)[1])
        counted = self.node("Max", [self.share_counted(photo), self.number(1e-3)])
        self.render("low", *tone, rows, columns, (photo, counted))

    def render(
        self,
        low: str,
        rate: str,
        grid: str,
        saturation: str,
        rows: str,
        columns: str,
        photo: tuple[str, str] | None = None,
    ) -> None:
        """`render_part`: `low` (N,h,w,3), what `predict` gives, rows (h,GRID), columns (w,GRID) -> `high` (N,h,w,3).

        photo: 1 where the photo is and 0 round it, where all stays as it is, and the share of each window that this is,
        (N,1,h,w) both; then rows are (N,1,h,GRID) and columns (N,1,w,GRID).
        """
        self.photo = photo
        low = untouched = self.node("Transpose", [low], perm=[0, 3, 1, 2])
        at_place = self.node("MatMul", [rows, grid])
        lying = [1, 0] if photo is None else [0, 1, 3, 2]
        at_place = self.node("MatMul", [at_place, self.node("Transpose", [columns], perm=lying)])

        around = self.window_mean(self.node("Max", [self.level(low), self.number(BLACK)]))
        around = self.node("Max", [around, self.number(BLACK)])
        gain = self.div(self.brightened(around, rate, at_place), around)
        stops = self.mul(self.node("Log", [gain]), self.number(float(1 / np.log(2))))
        amount = self.amount(stops, self.level(low))
        grainy = self.node("Max", [self.level(low), self.number(BLACK)])
        low = self.without_noise(low, around, amount)
        level = self.node("Max", [self.level(low), self.number(BLACK)])
        lit = self.mul(low, self.div(self.brightened(level, rate, at_place), level))
        factor = self.reduce("Sum", self.mul(self.hats(self.node("Sqrt", [level]), KNOTS), saturation), 1)
        if "detail/needs/kernel" in self.params:
            more = self.mul(amount, self.detail(lit, self.brightened(grainy, rate, at_place), stops))
            lit = self.mul(low, self.div(self.brightened(level, rate, at_place, more), level))
        result = self.saturate(lit, factor)
        if photo is not None:
            result = self.node("Where", [self.node("Cast", [photo[0]], to=9), result, untouched])
        self.node("Transpose", [result], "high", perm=[0, 2, 3, 1])

    def brightened(self, level: str, rate: str, at_place: str, more: str = "") -> str:
        local = self.reduce("Sum", self.mul(self.hats(self.curve(level, rate), KNOTS), at_place), 1)
        if more:
            local = self.add(local, more)
        return self.curve(level, self.mul(rate, self.power_of_two(local)))

    # `exposure.noise`

    def window_mean(self, x: str) -> str:
        if self.photo is None:
            return self.share_counted(x)
        inside, counted = self.photo
        return self.div(self.share_counted(self.mul(x, inside)), counted)

    def share_counted(self, x: str) -> str:
        """Means over windows, of what lies in the picture."""
        side, pads = 2 * RADIUS + 1, [RADIUS] * 4
        return self.node("AveragePool", [x], kernel_shape=[side, side], pads=pads, count_include_pad=0)

    def amount(self, stops: str, level: str) -> str:
        share = self.mul(self.sub(stops, self.number(LEAST)), self.number(1 / (FULL - LEAST)))
        share = self.node("Clip", [share, self.number(0.0), self.number(1.0)])
        from_white = self.mul(self.number(2.0), self.sub(self.number(1.0), level))
        return self.mul(share, self.node("Clip", [from_white, self.number(0.0), self.number(1.0)]))

    def without_noise(self, low: str, around: str, share: str) -> str:
        return self.add(low, self.mul(share, self.sub(self.smoothed(self.evened(low, around)), low)))

    def evened(self, low: str, around: str) -> str:
        black = self.mul(self.sub(self.number(DARK_FROM), around), self.number(1 / (DARK_FROM - BLACK_BELOW)))
        black = self.inside(self.node("Clip", [black, self.number(0.0), self.number(1.0)]))
        weight = self.node("Max", [self.wide_mean(black), self.number(1e-8)])
        guide = self.reduce("Mean", low, 1)
        of_low, of_square = (
            self.div(self.wide_mean(self.mul(black, x)), weight) for x in (low, self.mul(guide, guide))
        )
        of_guide = self.reduce("Mean", of_low, 1)
        variance = self.node("Relu", [self.sub(of_square, self.mul(of_guide, of_guide))])
        moved = self.mul(black, self.number(BLOTCHES**2))
        moved = self.div(moved, self.add(variance, self.number(BLOTCHES**2)))
        return self.add(low, self.mul(moved, self.sub(of_low, low)))

    def wide_mean(self, x: str) -> str:
        """Means over the windows that `evened` sees, zeros round the picture; along one axis after the other."""
        side, radius = 2 * NEAR_BLACK_RADIUS + 1, NEAR_BLACK_RADIUS
        for kernel, pads in (([side, 1], [radius, 0] * 2), ([1, side], [0, radius] * 2)):
            x = self.node("AveragePool", [x], kernel_shape=kernel, pads=pads, count_include_pad=1)
        return x

    def smoothed(self, low: str) -> str:
        """Channel by channel: a whole photo with all windows' moments at once would take much memory."""
        guide = self.reduce("Mean", low, 1)
        of_guide = self.window_mean(guide)
        variance = self.sub(self.window_mean(self.mul(guide, guide)), self.mul(of_guide, of_guide))
        variance = self.add(self.node("Relu", [variance]), self.number(NOISE**2))
        channels = []
        for number in range(3):
            channel = self.node("Gather", [low, self.integers(number)], axis=1)
            of_channel = self.window_mean(channel)
            covariance = self.sub(self.window_mean(self.mul(guide, channel)), self.mul(of_guide, of_channel))
            slope = self.div(covariance, variance)
            offset = self.sub(of_channel, self.mul(slope, of_guide))
            smooth = self.add(self.mul(self.window_mean(slope), guide), self.window_mean(offset))
            channels.append(self.node("Clip", [smooth, self.number(0.0), self.number(1.0)]))
        return self.node("Concat", channels, axis=1)

    def saturate(self, rgb: str, factor: str) -> str:
        luma = self.reduce("Sum", self.mul(rgb, self.constant("luma", np.array(LUMA).reshape(3, 1, 1))), 1)
        tiny, one = self.number(1e-4), self.number(1.0)
        to_white = self.div(self.sub(one, luma), self.node("Max", [self.sub(self.level(rgb), luma), tiny]))
        to_black = self.div(luma, self.node("Max", [self.sub(luma, self.level(rgb, "Min")), tiny]))
        most = self.node("Max", [one, self.node("Min", [to_white, to_black])])
        return self.add(luma, self.mul(self.node("Min", [factor, most]), self.sub(rgb, luma)))

    # `exposure.detail`

    def detail(self, lit: str, grainy: str, stops: str) -> str:
        """(N,3,H,W), (N,1,H,W) twice -> (N,1,H,W)."""
        root = self.node("Sqrt", [self.add(self.level(lit), self.number(1e-3))])
        x = self.node("Concat", [lit, root, grainy, self.mul(stops, self.number(0.25))], axis=1)
        x = self.act(self.conv(self.inside(x), "detail/entry"), 0.1)
        for number, dilation in enumerate(DILATIONS):
            x = self.add(x, self.act(self.conv(self.inside(x), f"detail/body_{number}", dilation), 0.1))
        return self.node(
            "Clip", [self.pointwise(x, "detail/needs"), self.number(-detail.MOST), self.number(detail.MOST)]
        )

    def inside(self, x: str) -> str:
        """Zeros round the photo."""
        return x if self.photo is None else self.mul(x, self.photo[0])

    # `exposure.network`

    def predict(self, thumbnail: str) -> tuple[str, str, str]:
        """(N,3,THUMBNAIL,THUMBNAIL) -> rate (N,1,1,1), grid (N,KNOTS,GRID,GRID), saturation (N,KNOTS,1,1)."""
        exchanged = [0, 1, 3, 2]
        glances = []
        for factor in (1 / NEARLY, NEARLY):
            seen = self.mul(thumbnail, self.number(factor))
            seen = self.node("Clip", [seen, self.number(0.0), self.number(1.0)])
            glances.append(self.look_at(seen))
            log2_rate, grid, saturation = self.look_at(self.node("Transpose", [seen], perm=exchanged))
            glances.append((log2_rate, self.node("Transpose", [grid], perm=exchanged), saturation))
        log2_rate, grid, saturation = (self.node("Mean", list(found)) for found in zip(*glances, strict=True))
        return self.power_of_two(log2_rate), grid, saturation

    def look_at(self, thumbnail: str) -> tuple[str, str, str]:
        """(N,3,THUMBNAIL,THUMBNAIL) -> the rate's binary logarithm, grid and saturation, in the shapes of `predict`."""
        small = self.node("AveragePool", [thumbnail], kernel_shape=[2, 2], strides=[2, 2])
        x = self.act(self.pointwise(self.patches(self.features(small), 4), "glance_in"))
        for number in range(2):
            x = self.add(x, self.act(self.conv(x, f"glance_{number}")))
        counts = [self.histogram(self.level(thumbnail, operation)) for operation in ("Max", "Min")]
        pooled = [self.node("GlobalAveragePool", [x]), self.node("GlobalMaxPool", [x])]
        summary = self.node("Concat", [*pooled, *counts, self.extremes(self.level(thumbnail))], axis=1)
        for number in range(2):
            summary = self.act(self.pointwise(summary, f"summary_{number}"))
        log2_rate = self.add(self.number(1.0), self.pointwise(summary, "rate"))

        level = self.level(thumbnail)
        factor = self.div(self.curve(level, self.power_of_two(log2_rate)), self.node("Max", [level, self.number(1e-3)]))
        lit = self.mul(thumbnail, factor)
        x = self.node("Concat", [self.features(lit), level], axis=1)
        x = self.act(self.pointwise(self.patches(x, 4), "look_in"))
        x = self.add(x, self.act(self.conv(x, "look_fine")))
        cell = [THUMBNAIL // GRID] * 2
        peaks = self.stops(self.node("MaxPool", [self.level(lit)], kernel_shape=cell, strides=cell))
        x = self.node("Concat", [self.patches(x, THUMBNAIL // 4 // GRID), peaks], axis=1)
        x = self.act(self.pointwise(x, "look_merge"))
        x = self.add(x, self.pointwise(summary, "context"))
        for number in range(3):
            x = self.add(x, self.act(self.conv(x, f"look_{number}")))
        lifted = self.mul(self.number(LIFT), self.node("Relu", [self.sub(log2_rate, self.number(1.0))]))
        log2_rate = self.add(log2_rate, lifted)
        grid = self.add(self.pointwise(x, "grid"), self.pointwise(summary, "curve"))
        grid = self.node("Clip", [grid, self.number(-3.0), self.number(3.0)])
        saturation = self.node("Clip", [self.pointwise(summary, "saturation"), self.number(-1.0), self.number(1.0)])
        return log2_rate, grid, self.power_of_two(saturation)

    def features(self, rgb: str) -> str:
        roots = self.node("Sqrt", [self.add(rgb, self.number(1e-3))])
        stops = self.add(self.mul(self.stops(self.level(rgb)), self.number(1 / 16)), self.number(0.5))
        return self.node("Concat", [rgb, roots, stops], axis=1)

    def extremes(self, level: str) -> str:
        """(N,1,H,W) -> (N,2*EXTREMES,1,1)."""
        found = [self.reduce(operation, level, 2, 3) for operation in ("Max", "Min")]
        for _ in range(EXTREMES - 1):
            level = self.node("AveragePool", [level], kernel_shape=[2, 2], strides=[2, 2])
            found += [self.reduce(operation, level, 2, 3) for operation in ("Max", "Min")]
        return self.stops(self.node("Concat", found, axis=1))

    def stops(self, level: str) -> str:
        stops = self.node("Log", [self.add(level, self.number(1 / 256))])
        return self.mul(stops, self.number(float(2 / np.log(2))))

    def histogram(self, level: str) -> str:
        """(N,1,H,W) -> (N,BINS,1,1), four times the shares."""
        clipped = self.node("Clip", [level, self.number(0.0), self.number(1.0)])
        shares = self.hats(self.node("Sqrt", [clipped]), BINS)
        return self.mul(self.reduce("Mean", shares, 2, 3), self.number(4.0))
