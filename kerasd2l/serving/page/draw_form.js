// Draw a digit, and see at once what a model takes it for.

import { Asker } from "./ask.js";
import { asDigit, SIDE } from "./digit.js";
import { button, element, later } from "./dom.js";
import { DrawingPad } from "./drawing_pad.js";

const PAUSE = 80; // milliseconds without a change before the model is asked

export function drawForm(model, way, { signal, gone }) {
  const asker = new Asker(model, signal, gone);
  const small = element("canvas", {
    width: SIDE,
    height: SIDE,
    class: "small",
    role: "img",
    "aria-label": "The 28 x 28 pixels that the model sees",
  });
  show(small, null);

  let pixels = null;
  let asking = false;

  /** Ask for the newest drawing; while one is asked for, those that came meanwhile wait for one. */
  async function send() {
    if (asking) return;
    asking = true;
    while (pixels && !signal.aborted) {
      const rows = rowsOf(pixels);
      pixels = null;
      await asker.ask(way.signature, { pixels: [rows] });
    }
    asking = false;
  }

  const soon = later(PAUSE, send, signal);
  const pad = new DrawingPad((strokes) => {
    pixels = asDigit(strokes);
    show(small, pixels);
    if (pixels) soon();
    else asker.clear();
  });
  const sheet = element(
    "div",
    { class: "sheet" },
    element(
      "div",
      {},
      pad.element,
      element(
        "p",
        { class: "buttons" },
        button("Undo", () => pad.undo()),
        button("Clear", () => pad.clear()),
      ),
    ),
    element("figure", {}, small, element("figcaption", {}, "What the model sees: 28 x 28 pixels")),
  );
  return [element("div", { class: "side" }, sheet, asker.element)];
}

/** Return (28, 28, 1) numbers, short enough to be read. */
function rowsOf(pixels) {
  return Array.from({ length: SIDE }, (_, y) =>
    Array.from({ length: SIDE }, (_, x) => [Number(pixels[y * SIDE + x].toFixed(4))]),
  );
}

function show(canvas, pixels) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  for (let i = 0; i < SIDE * SIDE; i += 1) {
    const grey = Math.round(255 * (pixels?.[i] ?? 0));
    image.data.set([grey, grey, grey, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}
