"""Transformers. Attention's products have no weights and stay dense."""

from sat_hdl.compiler.networks.table import Layer, Matmul, Network, Vector, Weighted

__all__ = ["bert", "gpt2", "vit"]


def _block(
    name: str, tokens: int, width: int, heads: int, head: int, hidden: int, *, bias: bool
) -> list[Layer]:
    """Attention and MLP, each with a layer normalisation and a residual. Whether the normalisation comes before
    (ViT, GPT-2) or after (BERT) changes neither operations nor sizes."""
    inner = heads * head

    def linear(part: str, cin: int, cout: int, has_bias: bool = True) -> list[Layer]:
        layers: list[Layer] = [
            Weighted(name=f"{name}.{part}", cin=cin, cout=cout, height=1, width=tokens, bias=has_bias)
        ]
        return [*layers, vector(f"{part}.bias", "bias", tokens * cout)] if has_bias else layers

    def vector(part: str, kind: str, elements: int, parameters: int = 0) -> Vector:
        return Vector(name=f"{name}.{part}", kind=kind, elements=elements, parameters=parameters)

    return [
        vector("norm1", "layernorm", tokens * width, 2 * width),
        *linear("qkv", width, 3 * inner, bias),
        Matmul(name=f"{name}.qk", m=tokens, k=head, n=tokens, count=heads),
        vector("softmax", "softmax", heads * tokens * tokens),
        Matmul(name=f"{name}.pv", m=tokens, k=tokens, n=head, count=heads),
        *linear("out", inner, width),
        vector("add1", "add", tokens * width),
        vector("norm2", "layernorm", tokens * width, 2 * width),
        *linear("mlp1", width, hidden),
        vector("gelu", "gelu", tokens * hidden),
        *linear("mlp2", hidden, width),
        vector("add2", "add", tokens * width),
    ]


def vit(
    *,
    size: int = 32,
    patch: int = 4,
    width: int = 512,
    depth: int = 6,
    heads: int = 8,
    head: int = 64,
    hidden: int = 512,
    classes: int = 100,
    batch: int = 128,
    qkv_bias: bool = False,
) -> Network:
    """ViT (Dosovitskiy et al., 2021). The default is the small one that is usual for CIFAR: patches of 4 × 4, width
    512, 6 blocks of 8 heads of 64, MLP of 512."""
    side = size // patch
    tokens = side * side + 1
    layers: list[Layer] = [
        Weighted(
            name="patches", cin=3, cout=width, height=size, width=size, kernel=patch, stride=patch,
            bias=True, first=True,
        ),
        Vector(name="patches.bias", kind="bias", elements=side * side * width),
        Vector(name="positions.add", kind="add", elements=tokens * width),
    ]  # fmt: skip
    for number in range(1, depth + 1):
        layers += _block(f"block{number}", tokens, width, heads, head, hidden, bias=qkv_bias)
    layers += [
        Vector(name="norm", kind="layernorm", elements=width, parameters=2 * width),
        Weighted(name="classifier", cin=width, cout=classes, bias=True),
        Vector(name="classifier.bias", kind="bias", elements=classes),
    ]
    return Network(
        name="vit",
        title=f"ViT, CIFAR-100 ({size} × {size}, patch {patch}, width {width}, {depth} blocks of {heads} heads, "
        f"MLP {hidden}), batch {batch}",
        batch=batch,
        layers=tuple(layers),
        other_parameters=(tokens + 1) * width,
    )


def _base_blocks(tokens: int) -> tuple[Layer, ...]:
    """12 blocks of width 768, 12 heads of 64, MLP of 3072."""
    return tuple(
        layer
        for number in range(1, 13)
        for layer in _block(f"block{number}", tokens, 768, 12, 64, 3072, bias=True)
    )


def bert(*, tokens: int = 128, batch: int = 32) -> Network:
    """The encoder of BERT-base (Devlin et al., 2019): 12 blocks, without embeddings and heads."""
    return Network(
        name="bert-base",
        title=f"BERT-base, its 12 blocks, sequences of {tokens}, batch {batch}",
        batch=batch,
        layers=_base_blocks(tokens),
    )


def gpt2(*, tokens: int = 1024, batch: int = 8) -> Network:
    """The blocks of GPT-2 small (Radford et al., 2019), without embeddings; attention's products are counted over
    the full square, as nothing skips what the causal mask hides."""
    return Network(
        name="gpt2-small",
        title=f"GPT-2 small, its 12 blocks, sequences of {tokens}, batch {batch}",
        batch=batch,
        layers=_base_blocks(tokens),
    )
