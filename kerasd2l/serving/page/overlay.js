// What a model saw in a picture, drawn over it: boxes, objects, regions.

import { asPercent } from "./charts.js";
import { element, newId } from "./dom.js";

const LEAST_WIDTH = 480; // pixels of the drawing: lines on a small picture stay thin
const MOST_NAMED = 20; // objects in the legend
const NO_CLASS = 255; // outside of a picture

/** Return the names of K classes: those of the manifest if they are as many, else numbers. */
export function classesOf(known, number, outputs = {}) {
  if (Array.isArray(known) && known.length === number) return known.map(String);
  const names = Array.from({ length: number }, (_, i) => `class ${i}`);
  const best = outputs.label ?? outputs.class_names;
  if (typeof best === "string" && Number.isInteger(outputs.class_ids)) names[outputs.class_ids] = best;
  return names;
}

/** Return boxes (and the pixels of each object, where the model tells them) over the picture. */
export function objectsSeen(outputs, picture) {
  const count = outputs.num_detections ?? outputs.boxes.filter((box) => box.some(Boolean)).length;
  const objects = outputs.boxes.slice(0, count).map((box, i) => ({
    box,
    score: outputs.scores[i],
    name: String(outputs.class_names?.[i] ?? `class ${outputs.class_ids?.[i]}`),
    colour: colourOf(outputs.class_ids?.[i] ?? i),
    mask: outputs.masks?.[i],
  }));
  const { canvas, context, scale } = drawingOn(picture);
  for (const object of [...objects].reverse()) drawObject(context, scale, object);
  const texts = objects.map(({ name, score }) => `${name} ${asPercent(score)}`);
  const none = "Nothing was found.";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", objects.length ? `Picture with boxes: ${texts.join(", ")}` : none);
  const legend = objects
    .slice(0, MOST_NAMED)
    .map((object, i) => element("li", {}, swatch(object.colour), ` ${texts[i]}`));
  if (count > MOST_NAMED) legend.push(element("li", {}, `and ${count - MOST_NAMED} more`));
  const list = objects.length ? element("ol", { class: "legend" }, legend) : element("p", {}, none);
  const words = objects.length ? `${count} found: ${texts.slice(0, 10).join(", ")}.` : none;
  return { shown: element("div", { class: "seen" }, canvas, list), words };
}

function drawObject(context, scale, { box, score, name, colour, mask }) {
  const [x1, y1, x2, y2] = box.map((side) => side * scale);
  if (mask) {
    context.globalAlpha = 0.5;
    context.drawImage(painted(mask, (likely) => likely >= 0.5 && colour), x1, y1, x2 - x1, y2 - y1);
    context.globalAlpha = 1;
  }
  context.strokeStyle = colour;
  context.lineWidth = 3;
  context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  const text = `${name} ${asPercent(score)}`;
  context.font = "600 15px system-ui, sans-serif";
  const width = context.measureText(text).width + 8;
  const left = Math.max(0, Math.min(x1, context.canvas.width - width));
  const top = y1 > 22 ? y1 - 22 : y1;
  context.fillStyle = colour;
  context.fillRect(left, top, width, 22);
  context.fillStyle = "#000";
  context.fillText(text, left + 4, top + 16);
}

/** Return the class of each pixel as colours over the picture, with a legend. */
export function regionsSeen(outputs, names, picture) {
  const { mask } = outputs;
  const counts = new Map();
  for (const row of mask) for (const id of row) counts.set(id, (counts.get(id) ?? 0) + 1);
  counts.delete(NO_CLASS);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const ranked = [...counts].sort((a, b) => b[1] - a[1]);
  const colours = painted(mask, (id) => id !== NO_CLASS && colourOf(id));
  const { canvas, context } = drawingOn(picture);
  const strength = element("input", { id: newId("strength"), type: "range", min: 0, max: 100, value: 55 });
  const draw = () => {
    context.globalAlpha = 1;
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    context.globalAlpha = Number(strength.value) / 100;
    context.imageSmoothingEnabled = false;
    context.drawImage(colours, 0, 0, canvas.width, canvas.height);
  };
  strength.addEventListener("input", draw);
  draw();
  const texts = ranked.map(([id, count]) => `${names[id] ?? `class ${id}`} ${asPercent(count / total)}`);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Picture with regions: ${texts.join(", ")}`);
  const legend = ranked.map(([id], i) => element("li", {}, swatch(colourOf(id)), ` ${texts[i]}`));
  const shown = element(
    "div",
    { class: "seen" },
    canvas,
    element("p", {}, element("label", { for: strength.id }, "Strength of the colours "), strength),
    element("ol", { class: "legend" }, legend),
  );
  return { shown, words: `Regions: ${texts.slice(0, 10).join(", ")}.` };
}

/** Return a canvas with the picture on it, and how many of its pixels are one of the picture's. */
function drawingOn(picture) {
  const scale = Math.max(1, LEAST_WIDTH / picture.width);
  const canvas = element("canvas", {
    width: Math.round(picture.width * scale),
    height: Math.round(picture.height * scale),
  });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = scale < 2;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return { canvas, context, scale };
}

/** Return a canvas of the size of `values` (rows of numbers) with the colour of each. */
function painted(values, colour) {
  const canvas = element("canvas", { width: values[0]?.length || 1, height: values.length || 1 });
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const known = new Map();
  values.forEach((row, y) =>
    row.forEach((value, x) => {
      const name = colour(value);
      if (!name) return;
      if (!known.has(name)) known.set(name, bytesOf(name));
      image.data.set(known.get(name), 4 * (y * canvas.width + x));
    }),
  );
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Return a colour that differs from those of the classes next to it, as #rrggbb. */
function colourOf(id) {
  const hue = (210 + id * 137.5) % 360;
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    return 0.64 - 0.3 * Math.max(-1, Math.min(k - 3, 9 - k, 1));
  };
  const bytes = [0, 8, 4].map((n) => Math.round(255 * part(n)));
  return `#${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function bytesOf(colour) {
  return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)).concat(255);
}

function swatch(colour) {
  const made = element("span", { class: "swatch", "aria-hidden": "true" });
  made.style.backgroundColor = colour;
  return made;
}
