"""SMNet in PyTorch, written from the same description as `model`, to be read beside it and compared with it.

Parameter names are the published ones, so the authors' checkpoints load strictly (`fivek` files carry a further
`module.` prefix). Parameters that the published forward pass never uses exist here for the same reason and carry no
gradient. Tensors are NCHW. Needs the extra `torch`; the rest of the package never imports this file.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvAct(nn.Module):
    """Convolution with zero padding, then PReLU."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(x))


class FEM(nn.Module):
    """Feature extraction module, (N,k,H,W) -> (N,k,H,W)."""

    def __init__(self, k: int, variant: str) -> None:
        super().__init__()
        self.prelu = nn.PReLU()  # never used
        squeeze, expand = (
            (nn.Conv2d(k, k // 4, 1), nn.Conv2d(k // 4, k, 1))
            if variant == "lol"
            else (ConvAct(k, k // 4, 1), ConvAct(k // 4, k, 1))
        )
        self.SGblock = nn.Sequential(ConvAct(k, k, 3), squeeze, expand, ConvAct(k, k, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.SGblock(x) + x


class BlurDown(nn.Module):
    """Reflect-pad by one, [1 2 1] x [1 2 1] / 16 per channel, every second pixel."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        tap = torch.tensor([1.0, 2.0, 1.0])
        self.register_buffer("filt", (torch.outer(tap, tap) / 16).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


class Down(nn.Module):
    """(N,k,H,W) -> (N,2k,H/2,W/2)."""

    def __init__(self, k: int) -> None:
        super().__init__()
        body = nn.Module()
        body.prelu = nn.PReLU()
        body.conv1 = nn.Conv2d(k, k, 3, padding=1, bias=False)
        body.downsamp = BlurDown(k)
        body.conv2 = nn.Conv2d(k, 2 * k, 1, bias=False)
        self.residualdownsample = body

    def forward(self, x: Tensor) -> Tensor:
        body: Any = self.residualdownsample
        return body.conv2(body.downsamp(body.prelu(body.conv1(x))))


class Up(nn.Module):
    """(N,k,H,W) -> (N,k/2,2H,2W)."""

    def __init__(self, k: int) -> None:
        super().__init__()
        body = nn.Module()
        body.top = nn.Sequential(
            nn.Conv2d(k, k, 1, bias=False),
            nn.PReLU(),
            nn.ConvTranspose2d(k, k, 3, stride=2, padding=1, output_padding=1, bias=False),
            nn.PReLU(),
            nn.Conv2d(k, k // 2, 1, bias=False),
        )
        body.bot = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), nn.Conv2d(k, k // 2, 1, bias=False)
        )
        self.residualupsample = body

    def forward(self, x: Tensor) -> Tensor:
        body: Any = self.residualupsample
        return body.top(x) + body.bot(x)


class GFRM(nn.Module):
    """Global feature recalibration, (N,3c,H,W) -> (N,3c,H,W)."""

    def __init__(self, k: int, variant: str) -> None:
        super().__init__()
        squeezed = max(1, k // 16)
        self.variant = variant
        self.fc = nn.Sequential(
            nn.Linear(k, squeezed, bias=False), nn.ReLU(), nn.Linear(squeezed, k, bias=False), nn.Sigmoid()
        )
        self.fusion = ConvAct(k, k, 1)  # never used in fivek
        self.outlayer = ConvAct(k, k, 1)

    def forward(self, z: Tensor) -> Tensor:
        s = (self.fc(z.mean((2, 3))) + self.fc(z.amax((2, 3))))[:, :, None, None]
        if self.variant == "lol":
            s = self.fusion(s)
        return self.outlayer(z * s + z)


class TorchSMNet(nn.Module):
    """Low-light RGB in [0, 1] to enhanced RGB, (N,3,H,W) -> (N,3,H,W), not clipped; H and W multiples of 4."""

    def __init__(self, variant: str = "lol", width: int = 64, blocks: int = 3) -> None:
        super().__init__()
        c, self.variant, self.blocks = width, variant, blocks
        self.prelu = nn.PReLU()
        self.out_fushion = GFRM(3 * c, variant)
        self.out_conv2 = nn.Conv2d(3 * c, c, 3, padding=1)
        self.out_conv3 = nn.Conv2d(c, 4, 3, padding=1)  # never used in fivek
        self.out_conv4 = nn.Conv2d(4, 3, 1)
        if variant == "fivek":
            self.dim2four = ConvAct(c, 4, 3)
        self.firstconv = nn.Sequential(ConvAct(4, c, 3), FEM(c, variant))
        self.downsample = Down(c)
        self.downsample2x = Down(2 * c)
        self.upsample = Up(c)  # never used
        self.upsample2x = Up(2 * c)
        self.upsample4x = Up(4 * c)
        self.endecoder1x = FEM(c, variant)
        self.endecoder2x = FEM(2 * c, variant)
        self.endecoder4x = FEM(4 * c, variant)
        if variant == "fivek":
            self.fourto32 = ConvAct(4, 32, 3)  # never used; of this size at every width
            self.sanshierto64 = ConvAct(32, 64, 3)  # never used, likewise

    def embed(self, low: Tensor) -> Tensor:
        """Stem: (N,3,H,W) -> (N,c,H,W)."""
        return self.firstconv(torch.cat([low, low.amax(1, keepdim=True)], 1))

    def block(self, x: Tensor, taps: dict[str, Tensor] | None = None) -> Tensor:
        """One L&G block, (N,c,H,W) -> (N,c,H,W); its intermediate features go into `taps`, if given."""
        half = self.downsample(x)
        quarter = self.downsample2x(half)
        q = self.endecoder4x(quarter)
        q_up = self.upsample4x(q)
        q_up_up = self.upsample2x(q_up)
        h = self.endecoder2x(self.prelu(half) + q_up)
        h_up = self.upsample2x(h)
        f = self.endecoder1x(self.prelu(x) + h_up)
        others = [h_up, q_up_up] if self.variant == "lol" else [q_up_up, h_up]
        y = self.out_fushion(torch.cat([f, *others], 1))
        if taps is not None:
            taps |= {"half": half, "quarter": quarter, "fem_quarter": q, "quarter_up": q_up}
            taps |= {"fem_half": h, "fem_full": f, "gfrm": y}
        return self.out_conv2(y) + x

    def decode(self, x: Tensor, low: Tensor) -> Tensor:
        """Head: a block's features and the input picture to a picture."""
        four = self.out_conv3(self.prelu(x)) if self.variant == "lol" else self.dim2four(x)
        return self.out_conv4(four + low.amax(1, keepdim=True))

    def forward(self, low: Tensor) -> Tensor:
        x = self.embed(low)
        for _ in range(self.blocks):
            x = self.block(x)
        return self.decode(x, low)
