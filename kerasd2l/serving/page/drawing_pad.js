// A black sheet to draw on in white: with a mouse, a finger, a pen, or the keyboard.

import { drawStrokes } from "./digit.js";
import { element, newId, say } from "./dom.js";

const SIDE = 560; // pixels of the canvas; it is shown smaller
const PEN = 0.07; // of the side
const STEP = 0.04; // of the side, for each press of an arrow key
const SMALL_STEP = 0.01;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** `changed(strokes)` is called after each change; points are in [0, 1]. */
export class DrawingPad {
  constructor(changed) {
    this.changed = changed;
    this.strokes = [];
    this.pointer = null;
    this.cursor = { x: 0.5, y: 0.5 };
    this.penDown = false; // of the keyboard
    this.pressed = new Set();
    const help = newId("help");
    this.canvas = element("canvas", {
      width: SIDE,
      height: SIDE,
      tabindex: "0",
      role: "application",
      "aria-label": "Drawing area",
      "aria-describedby": help,
      class: "pad",
    });
    const words =
      "Keyboard: arrow keys move the pen (two at once: slanting, Shift: small steps), Space puts " +
      "it down and lifts it, Backspace takes the last line back, Delete clears.";
    this.element = element("div", {}, this.canvas, element("p", { id: help, class: "help" }, words));
    this.listen();
    this.paint();
  }

  listen() {
    const on = (event, listener) => this.canvas.addEventListener(event, listener.bind(this));
    on("pointerdown", this.begin);
    on("pointermove", this.move);
    on("pointerup", this.end);
    on("pointercancel", this.end);
    on("keydown", this.key);
    on("keyup", (event) => this.pressed.delete(event.key));
    on("focus", this.paint);
    on("blur", () => {
      this.pressed.clear();
      this.lift();
      this.paint();
    });
  }

  undo() {
    this.strokes.pop();
    this.lift();
    this.update();
  }

  clear() {
    this.strokes = [];
    this.lift();
    this.update();
  }

  begin(event) {
    if (this.pointer !== null || event.button > 0) return;
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.lift();
    this.strokes.push([this.pointOf(event)]);
    this.update();
  }

  move(event) {
    if (event.pointerId !== this.pointer) return;
    const between = event.getCoalescedEvents?.() ?? [];
    for (const one of between.length ? between : [event]) this.strokes.at(-1)?.push(this.pointOf(one));
    this.update();
  }

  end(event) {
    if (event.pointerId === this.pointer) this.pointer = null;
  }

  pointOf(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const part = (value) => Math.min(Math.max(value, 0), 1);
    this.cursor = { x: part((event.clientX - left) / width), y: part((event.clientY - top) / height) };
    return { ...this.cursor };
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in ARROWS) this.step(event);
    else if (event.key === " ") this.toggle();
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
  }

  step(event) {
    this.pressed.add(event.key);
    const step = event.shiftKey ? SMALL_STEP : STEP;
    for (const key of this.pressed) {
      const [x, y] = ARROWS[key] ?? [0, 0];
      this.cursor.x = Math.min(Math.max(this.cursor.x + x * step, 0), 1);
      this.cursor.y = Math.min(Math.max(this.cursor.y + y * step, 0), 1);
    }
    if (!this.penDown) return this.paint();
    this.strokes.at(-1).push({ ...this.cursor });
    return this.update();
  }

  toggle() {
    this.penDown = !this.penDown;
    say(this.penDown ? "Pen down." : "Pen lifted.");
    if (this.penDown) this.strokes.push([{ ...this.cursor }]);
    this.update();
  }

  lift() {
    this.penDown = false;
  }

  update() {
    this.paint();
    this.changed(this.strokes);
  }

  paint() {
    const context = this.canvas.getContext("2d");
    context.setTransform(SIDE, 0, 0, SIDE, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, 1, 1);
    context.strokeStyle = "#fff";
    drawStrokes(context, this.strokes, PEN);
    if (!this.strokes.length) this.invite(context);
    if (this.canvas.matches(":focus-visible")) this.paintCursor(context);
  }

  invite(context) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#9aa3b2";
    context.font = "32px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("Draw here", SIDE / 2, SIDE / 2 + 10);
    context.setTransform(SIDE, 0, 0, SIDE, 0, 0);
  }

  paintCursor(context) {
    const { x, y } = this.cursor;
    context.strokeStyle = this.penDown ? "#ffb454" : "#8fb0ff";
    context.lineWidth = 0.008;
    context.beginPath();
    context.arc(x, y, PEN / 2 + 0.01, 0, 2 * Math.PI);
    context.stroke();
  }
}
