// From the outputs of one example to what is seen, and what is said of it.

import { asPercent, bars, heatMap, taggedWords } from "./charts.js";
import { element } from "./dom.js";
import { layOut } from "./json.js";
import { classesOf, objectsSeen, regionsSeen } from "./overlay.js";
import { inWords } from "./signatures.js";

const TEXTS = ["translation", "text", "answer"];
const SIDES = ["premise_tokens", "hypothesis_tokens"]; // the rows and columns of `attention`
const MOST_CHARACTERS = 20_000; // of the JSON that is shown
const MOST_BARS = 10;

/**
 * Return {shown: elements, words: a sentence}.
 *
 * @param {object} outputs name -> value of the one example.
 * @param {object} model an entry of the list.
 * @param {{picture: ImageBitmap}} context what the answer is about.
 */
export function answerTo(outputs, model, context) {
  const names = model.assets?.class_names;
  const parts = [
    seen(outputs, names, context),
    written(outputs),
    classes(outputs, names),
    words(outputs),
    looks(outputs),
    numbers(outputs),
  ].filter(Boolean);
  const notes = notesOn(outputs);
  const shown = parts.map((part) => part.shown);
  if (notes.length) {
    shown.push(element("ul", { class: "notes" }, notes.map((note) => element("li", {}, note))));
  }
  shown.push(all(outputs, parts.length === 0));
  return { shown, words: [...parts.map((part) => part.words), ...notes].filter(Boolean).join(" ") };
}

function seen(outputs, names, { picture }) {
  if (!picture) return null;
  if (Array.isArray(outputs.boxes) && Array.isArray(outputs.scores)) {
    return objectsSeen(outputs, picture);
  }
  const isMask = Array.isArray(outputs.mask) && Array.isArray(outputs.mask[0]);
  return isMask ? regionsSeen(outputs, outputs.class_names ?? names ?? [], picture) : null;
}

function written(outputs) {
  const name = TEXTS.find((text) => typeof outputs[text] === "string");
  if (!name) return null;
  const text = outputs[name];
  const shown = [element("p", { class: "written" }, text || "(no words)")];
  const { probability, score } = outputs;
  if (typeof probability === "number") shown.push(element("p", {}, `Probability ${asPercent(probability)}`));
  if (typeof score === "number") shown.push(element("p", {}, `Score ${short(score)}`));
  return { shown: element("div", {}, shown), words: text || "No words." };
}

function classes(outputs, known) {
  const { probabilities, neighbours, similarities } = outputs;
  if (isList(neighbours, "string") && isList(similarities, "number")) {
    const pairs = neighbours.map((name, i) => [name, similarities[i]]).filter(([name]) => name);
    if (!pairs.length) return { shown: element("p", {}, "No neighbours."), words: "No neighbours." };
    return { shown: bars(pairs, short), words: `Nearest: ${pairs[0][0]}.` };
  }
  if (!isList(probabilities, "number") || isList(outputs.words, "string")) return null;
  const names = classesOf(known, probabilities.length, outputs);
  const pairs = probabilities.map((value, i) => [names[i], value]);
  pairs.sort((a, b) => b[1] - a[1]);
  const [best, likely] = pairs[0];
  const shown = [
    element("p", { class: "best" }, element("strong", {}, best), ` ${asPercent(likely)}`),
    bars(pairs.slice(0, MOST_BARS), asPercent),
  ];
  if (pairs.length > MOST_BARS) {
    shown.push(element("p", { class: "time" }, `The best ${MOST_BARS} of ${pairs.length} classes.`));
  }
  return { shown: element("div", {}, shown), words: `Most probable: ${best}, ${asPercent(likely)}.` };
}

function words(outputs) {
  const { words: texts, tags, probabilities } = outputs;
  if (!Array.isArray(texts)) return null;
  if (isList(texts, "string") && isList(tags, "string")) {
    const tagged = texts.map((word, i) => [word, tags[i], probabilities?.[i]]);
    const real = tagged.filter(([word]) => word);
    return { shown: taggedWords(real), words: real.map(([w, tag]) => `${w}: ${tag}`).join(", ") };
  }
  const masks = texts.filter((row) => Array.isArray(row) && row[0]);
  if (!masks.length) {
    const none = "The text has no <mask> to fill in.";
    return { shown: element("p", {}, none), words: none };
  }
  const shown = masks.map((row, i) => {
    const title = masks.length > 1 ? `Word ${i + 1}` : "The hidden word";
    const pairs = row.map((word, k) => [word, probabilities[i][k]]).filter(([word]) => word);
    return element("div", {}, element("h4", {}, title), bars(pairs, asPercent));
  });
  return { shown: element("div", {}, shown), words: `${masks.map((row) => row[0]).join(", ")}.` };
}

function looks(outputs) {
  const { attention } = outputs;
  const [rows, columns] = SIDES.map((name) => outputs[name]);
  if (!Array.isArray(rows) || !Array.isArray(columns)) return null;
  if (!Array.isArray(attention?.[0]) || typeof attention[0][0] !== "number") return null;
  return { shown: heatMap(attention, rows, columns), words: "" };
}

function numbers(outputs) {
  const some = Object.entries(outputs).filter(
    ([name, value]) =>
      (typeof value === "number" || isList(value, "number")) && !isReported(name, outputs),
  );
  if (!some.length) return null;
  const rows = some.map(([name, value]) => {
    const all = Array.isArray(value) ? value : [value];
    const text = name === "probability" ? asPercent(value) : all.slice(0, 20).map(short).join(", ");
    return [inWords(name), all.length > 20 ? `${text}, ... (${all.length} numbers)` : text];
  });
  const shown = rows.map(([name, text]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, text)),
  );
  const said = rows.map(([name, text]) => `${name}: ${text}.`).join(" ");
  return { shown: element("dl", { class: "numbers" }, shown), words: said };
}

/** Whether an output of numbers is shown, or told in words, elsewhere. */
function isReported(name, outputs) {
  if (/(_left_out|_unknown|_read|_known)$/.test(name)) return true;
  if (["class_ids", "num_detections", "scores", "similarities", "sizes", "encoding"].includes(name)) {
    return true;
  }
  if (name === "probabilities") return true;
  return ["probability", "score"].includes(name) && TEXTS.some((text) => text in outputs);
}

/** Say what of a text was not read or known. */
export function notesOn(outputs) {
  const notes = [];
  for (const [name, value] of Object.entries(outputs)) {
    const side = name.match(/^(premise|hypothesis)_/)?.[1];
    const where = side ? ` of the ${side}` : "";
    const kind = name.match(/(words|characters)_(left_out|unknown|read|known)$/);
    if (kind) {
      const [, unit, what] = kind;
      const counted = `${value} ${value === 1 ? unit.slice(0, -1) : unit}${where}`;
      const verb = value === 1 ? "was" : "were";
      if (what === "left_out" && value > 0) notes.push(`${counted} ${verb} left out: not read.`);
      if (what === "unknown" && value > 0) {
        notes.push(`${counted} ${value === 1 ? "is" : "are"} not in the model's vocabulary.`);
      }
      if (["read", "known"].includes(what) && value === 0) {
        notes.push(`The model knows none of the ${unit}${where}: the answer is a guess.`);
      }
    }
    if (name === "known" && value === false) notes.push("The model does not know this word.");
  }
  return notes;
}

function all(outputs, open) {
  const text = layOut(Object.fromEntries(Object.entries(outputs).map(([k, v]) => [k, cutShort(v)])));
  const cut = text.length > MOST_CHARACTERS;
  const code = element("code", {}, cut ? `${text.slice(0, MOST_CHARACTERS)} ...` : text);
  return element(
    "details",
    { class: "command", open },
    element("summary", {}, "All outputs"),
    element("pre", { tabindex: "0", role: "region", "aria-label": "All outputs" }, code),
    cut && element("p", { class: "time" }, `${text.length} characters, cut here.`),
  );
}

/** Return a value to be shown: a picture of numbers becomes a word about it. */
function cutShort(value) {
  if (typeof value === "string") return value.length > 500 ? `${value.slice(0, 500)} ...` : value;
  const sizes = [];
  for (let part = value; Array.isArray(part); part = part[0]) sizes.push(part.length);
  const count = sizes.reduce((product, size) => product * size, 1);
  return count > 2000 ? `(${sizes.join(" x ")} values)` : value;
}

function isList(value, type) {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === type);
}

/** Write a number with about four digits that count. */
export function short(value) {
  if (!Number.isFinite(value) || Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-4 ? value.toExponential(3) : String(Number(value.toPrecision(5)));
}
