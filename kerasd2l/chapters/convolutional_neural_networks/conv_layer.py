"""6.2 Convolutions for images."""

from __future__ import annotations

from kerasd2l import figures, layers, scratch
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult

keras = lazy("keras")
np = lazy("numpy")


def cross_correlation() -> Demo:
    """Slide a 2 x 2 kernel over a 3 x 3 picture, and follow sizes through stacked layers.

    Section: "conv-layer". Also: a convolution as mathematics has it, with the kernel turned.
    Expected: 19, 25, 37, 43; two 2 x 2 kernels see 9 pixels; 55 layers of 5 x 5 leave 4 x 4 pixels
    of 224 x 224 (course notes).
    Command: kerasd2l run cross_correlation --out figures
    """
    return Demo(section="conv-layer", run=_run_cross_correlation)


def _run_cross_correlation() -> DemoResult:
    X = np.arange(9, dtype="float32").reshape(3, 3)
    K = np.array([[0, 1], [2, 3]], "float32")
    Y = np.asarray(scratch.corr2d(X, K))
    turned = np.asarray(scratch.corr2d(X, K[::-1, ::-1].copy()))
    layer = keras.layers.Conv2D(1, 2, use_bias=False)
    layer.build((None, 3, 3, 1))
    layer.kernel.assign(K[..., None, None])
    twin = np.asarray(layer(X[None, ..., None]))[0, ..., 0]
    size = 224
    for _ in range(55):
        size = layers.conv_output_size(size, 5)
    values = {
        "cross-correlation": Y.tolist(),
        "convolution (kernel turned)": turned.tolist(),
        "largest difference from Keras": float(np.abs(Y - twin).max()),
        "pixels seen through two 2 x 2 kernels": layers.receptive_field([2, 2]) ** 2,
        "224 pixels after 55 layers of 5 x 5": size,
    }
    figure, panels = figures.new_figure(1, 4, width=2.6, height=3)
    for axes, matrix, title in zip(
        panels[0],
        (X, K, Y, turned),
        ("input", "kernel", "cross-correlation", "convolution"),
        strict=True,
    ):
        figures.heatmap(axes, matrix, title=title)
    return DemoResult(values, {"cross_correlation": figure})


def edge_detection(*, kernel: tuple[float, ...] = (-1.0, 1.0)) -> Demo:
    """Find vertical edges with a kernel of one row, in a drawn picture and in a photograph.

    Section: "conv-layer". A 6 x 8 picture of ones with zeros in columns 2 to 5, and scikit-learn's
    photograph of a temple (427 x 640).
    Expected: rows 0, -1, 0, 0, 0, 1, 0 and, for the picture on its side, zeros (course notes). The
    book's kernel has the other sign: --set kernel=1,-1.
    Command: kerasd2l run edge_detection --out figures
    """
    if not 1 <= len(kernel) <= 6:
        raise ValueError(
            "`kernel` must have 1 to 6 numbers: the picture on its side is 6 wide. "
            f"Received: kernel={kernel}."
        )
    return Demo(section="conv-layer", run=lambda: _run_edge_detection(kernel))


def _run_edge_detection(kernel: tuple[float, ...]) -> DemoResult:
    K = np.array([kernel], "float32")
    picture = _bars()
    found = np.asarray(scratch.corr2d(picture, K))
    on_its_side = np.asarray(scratch.corr2d(picture.T.copy(), K))
    values = {
        "edges": found.tolist(),
        "edges of the picture on its side": on_its_side.tolist(),
    }
    drawn, panels = figures.new_figure(2, 3, width=2.8, height=2)
    for axes, matrix, title in zip(
        panels.flat,
        (picture, K, found, picture.T, K, on_its_side),
        ("input", "kernel", "feature map", "input on its side", "kernel", "feature map"),
        strict=True,
    ):
        figures.heatmap(axes, matrix, title=title)
    return DemoResult(values, {"drawn": drawn, "photograph": _photograph_edges(K)})


def _photograph_edges(K):
    """Draw a photograph and what the kernel, upright and lying, makes of it."""
    from sklearn.datasets import load_sample_image

    photograph = load_sample_image("china.jpg") / np.float32(255)
    grey = photograph.mean(-1)[None, ..., None]  # (1, 427, 640, 1)
    maps = []
    for kernel in (K, K.T):
        layer = keras.layers.Conv2D(1, kernel.shape, use_bias=False)
        layer.build(grey.shape)
        layer.kernel.assign(kernel[..., None, None])
        maps.append(np.abs(np.asarray(layer(grey))[0, ..., 0]).clip(0, 0.4))
    sheet = figures.pictures(
        [photograph, *maps],
        ["input 427 x 640", "vertical edges (absolute value)", "horizontal edges"],
        columns=3,
        title="A kernel of one row and the same kernel as a column",
    )
    sheet.set_size_inches(12, 3.4)  # the photograph is half as wide again as it is high
    return sheet


def learned_kernel(
    *,
    learning_rate: float = 0.06,
    steps: int = 10,
    start: tuple[float, float] = (-0.4498, -0.1932),
    halved: bool = True,
) -> Demo:
    """Learn the edge detector from a picture and its edges, by gradient descent.

    Section: "conv-layer". Half the squared error; the start is the one that gives the printed
    table. Two updates leave between (1 - 0.06 * 6)^4 = 0.17 and (1 - 0.06 * 30)^4 = 0.41 of the
    loss: 6 and 30 are the curvatures of this quadratic.
    Expected: 3.852, 1.126, 0.386, 0.145, 0.057 at updates 2, 4, 6, 8, 10 (course notes).
    Command: kerasd2l run learned_kernel --out figures
    """
    if steps < 2:
        raise ValueError(f"`steps` must be at least 2. Received: steps={steps}.")
    return Demo(
        section="conv-layer",
        run=lambda: _run_learned_kernel(learning_rate, steps, start, halved),
    )


def _run_learned_kernel(learning_rate, steps, start, halved) -> DemoResult:
    picture = _bars()
    wanted = np.array([[-1, 1]], "float32")
    edges = np.asarray(scratch.corr2d(picture, wanted))
    kernel, losses = scratch.learn_kernel(
        picture, edges, [start], learning_rate=learning_rate, steps=steps, halved=halved
    )
    every_second = {f"batch {i + 1}": round(losses[i], 3) for i in range(1, steps, 2)}
    values = {
        "loss": every_second,
        "ratio of the last two": losses[-1] / losses[-3] if steps > 2 else losses[-1] / losses[0],
        "kernel": kernel[0].tolist(),
        "wanted": wanted[0].tolist(),
    }
    curve = figures.lines(
        range(1, steps + 1),
        {"loss": losses},
        title="Learning the kernel [-1, 1]",
        xlabel="update (number)",
        ylabel="half the squared error" if halved else "squared error",
        yscale="log",
    )
    figure, panels = figures.new_figure(2, 2, width=3.6, height=2.9)
    learned = np.asarray(scratch.corr2d(picture, kernel))
    for axes, matrix, title in zip(
        panels.flat,
        (picture, edges, kernel, learned),
        ("input", "wanted", "learned kernel", "its feature map"),
        strict=True,
    ):
        figures.heatmap(axes, matrix, title=title, numbers="{:.1f}")
    return DemoResult(values, {"loss": curve, "maps": figure})


def _bars():
    """Make the 6 x 8 picture of ones with zeros in columns 2 to 5."""
    picture = np.ones((6, 8), "float32")
    picture[:, 2:6] = 0
    return picture
