"""2.5 Automatic differentiation."""

from __future__ import annotations

from kerasd2l import figures
from kerasd2l._lazy import lazy
from kerasd2l.recipe import Demo, DemoResult
from kerasd2l.scratch import computation_graph as graph

np = lazy("numpy")
tf = lazy("tensorflow")


def autograd() -> Demo:
    """Differentiate with GradientTape: what is recorded, what is not, and at what cost.

    Section: "autograd". x = [0, 1, 2, 3]: y = x . x and its gradient 2 x; gradients added up
    instead of started anew; vectors; constants by stop_gradient; a function with `while` and `if`.
    Then forward against reverse accumulation on a graph of numbers, and numeric against symbolic
    derivatives of 4 x^3 + x^2 + 3. Figures: the error of numeric derivatives; the function with
    control flow.
    Expected: y = 14, gradient [0, 2, 4, 6]; every check True.
    Command: kerasd2l run autograd --out figures
    """
    return Demo(section="autograd", run=_autograd)


def _autograd() -> DemoResult:
    numbers, steps = _numeric()
    flow, drawn = _control_flow()
    values = {
        **_gradients(),
        "control flow": flow,
        "forward and reverse accumulation": _accumulation(),
        "numeric and symbolic": numbers,
    }
    return DemoResult(values, {"numeric_error": steps, "control_flow": drawn})


def _gradients() -> dict:
    """Compute the gradients of the section, in its order."""
    x = tf.Variable(tf.range(4.0))
    with tf.GradientTape() as tape:
        y = tf.tensordot(x, x, axes=1)
    gradient = tape.gradient(y, x)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(x)
    of_sum = tape.gradient(total, x)
    # A tape starts anew each time. Adding up is for who wants it, e.g. over several batches:
    added = tf.Variable(gradient)
    added.assign_add(of_sum)
    with tf.GradientTape() as tape:
        squares = x * x  # a vector: the tape differentiates the sum of its elements
    of_squares = tape.gradient(squares, x)
    with tf.GradientTape(persistent=True) as tape:  # persistent: asked twice
        squares = x * x
        u = tf.stop_gradient(squares)  # a constant, whatever it was made of
        z = u * x
    of_z, of_y = tape.gradient(z, x), tape.gradient(squares, x)
    return {
        "x": x.numpy().tolist(),
        "y = x . x": float(y),
        "gradient of x . x": gradient.numpy().tolist(),
        "it is 2 x": (gradient == 2 * x).numpy().tolist(),
        "gradient of sum(x)": of_sum.numpy().tolist(),
        "the two added up": added.numpy().tolist(),
        "gradient of x * x": of_squares.numpy().tolist(),
        "dz/dx is the constant u": (of_z == u).numpy().tolist(),
        "dy/dx is 2 x": (of_y == 2 * x).numpy().tolist(),
    }


def _control_flow():
    """Differentiate a function with a loop and a branch; in a graph, too."""

    def f(a):
        b = a * 2
        while tf.norm(b) < 1000:
            b = b * 2
        if tf.reduce_sum(b) > 0:
            c = b
        else:
            c = 100 * b
        return c

    def slope(function, a):
        a = tf.constant(a)
        with tf.GradientTape() as tape:
            tape.watch(a)
            d = function(a)
        return float(tape.gradient(d, a)), float(d / a)

    points = [-2.5, -0.3, 0.1, 1.0, 700.0]
    eager = [slope(f, a) for a in points]
    compiled_f = tf.function(f, input_signature=[tf.TensorSpec((), tf.float32)])
    compiled = [slope(compiled_f, a) for a in points]
    values = {
        "a": points,
        "gradient": [gradient for gradient, _ in eager],
        "d / a": [ratio for _, ratio in eager],
        "gradient in a graph": [gradient for gradient, _ in compiled],
    }
    grid = np.linspace(-3, 3, 300, dtype=np.float32)  # without 0, where the loop never ends
    figure, (panels,) = figures.new_figure(1, 2)
    panels[0].plot(grid, [abs(float(compiled_f(a))) for a in grid], ".", markersize=3)
    panels[0].set(title="A loop and a branch", xlabel="a", ylabel="|f(a)|", yscale="log")
    panels[1].plot(grid, [slope(compiled_f, a)[0] for a in grid], ".", markersize=3)
    panels[1].set(title="Its gradient is f(a) / a", xlabel="a", ylabel="f'(a)", yscale="log")
    for axes in panels:
        axes.grid(alpha=0.3)
    return values, figure


def _accumulation(size: int = 4) -> dict:
    """Differentiate (<x, w> - y)^2 by all w: forwards, backwards, and with TensorFlow."""
    x, w, y = np.arange(1.0, size + 1), np.linspace(-1, 1, size), 2.0
    variables = [graph.Node(value) for value in w]
    product = sum((value * node for value, node in zip(x, variables, strict=True)), graph.Node(0))
    z = (product - y) ** 2
    upwards = [graph.forward(z, variable) for variable in variables]
    downwards, visits = graph.reverse(z, variables)
    v = tf.Variable(w)
    with tf.GradientTape() as tape:
        loss = (tf.tensordot(tf.constant(x), v, axes=1) - y) ** 2
    columns = []
    for direction in np.eye(size):
        with tf.autodiff.ForwardAccumulator(v, tf.constant(direction)) as accumulator:
            same = (tf.tensordot(tf.constant(x), v, axes=1) - y) ** 2
        columns.append(float(accumulator.jvp(same)))
    return {
        "z = (<x, w> - y)^2": z.value,
        "forward": [derivative for derivative, _ in upwards],
        "reverse": downwards,
        "ForwardAccumulator": columns,
        "GradientTape": tape.gradient(loss, v).numpy().tolist(),
        "nodes visited forwards": sum(count for _, count in upwards),
        "nodes visited backwards": visits,
    }


def _numeric(at: float = 1.5):
    """Compare (f(x + h) - f(x)) / h with the symbolic derivative of 4 x^3 + x^2 + 3."""

    def f(x):
        return 4 * x**3 + x**2 + 3

    symbolic = 12 * at**2 + 2 * at
    x = tf.Variable(at, dtype=tf.float64)
    with tf.GradientTape() as tape:
        y = f(x)
    steps = 10.0 ** np.arange(-14, 0.5, 0.5)
    errors = {}
    for kind in (np.float32, np.float64):
        h, a = steps.astype(kind), kind(at)
        one_sided = np.abs((f(a + h) - f(a)) / h - symbolic)
        central = np.abs((f(a + h) - f(a - h)) / (2 * h) - symbolic)
        errors[f"one-sided, {kind.__name__}"] = one_sided
        errors[f"central, {kind.__name__}"] = central
    values = {
        "x": at,
        "symbolic 12 x^2 + 2 x": symbolic,
        "automatic": float(tape.gradient(y, x)),
        "smallest numeric error": {name: float(e.min()) for name, e in errors.items()},
        "best step h": {name: float(steps[e.argmin()]) for name, e in errors.items()},
    }
    figure = figures.lines(
        steps,
        {name: np.maximum(error, 1e-16) for name, error in errors.items()},
        title="Numeric derivatives: neither too far nor too near",
        xlabel="step h",
        ylabel="error of the derivative",
        xscale="log",
        yscale="log",
    )
    return values, figure
