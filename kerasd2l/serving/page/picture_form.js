// A picture for a model: dropped, pasted, chosen, photographed, or an example.

import { Asker } from "./ask.js";
import { button, element, later, newId } from "./dom.js";
import { fromBase64, readPicture } from "./pictures.js";
import { settingsOf } from "./settings.js";
import { examplesOf, inputsOf } from "./signatures.js";

const PREVIEW = 320; // pixels

/** Return the elements of the form; `signal` ends it. */
export function pictureForm(model, way, { signal, gone }) {
  const signature = model.signatures[way.signature];
  const input = inputsOf(signature).find((one) => !one.optional);
  const asker = new Asker(model, signal, gone);
  const preview = element("div", { class: "preview" });
  const sees = ["boxes", "mask"].some((name) => name in signature.outputs); // draws on it
  let file = null;
  let turn = 0;

  const again = later(200, () => file && send(), signal);
  const settings = settingsOf(signature, again);

  async function send() {
    const inputs = { [input.name]: [{ b64: file.base64 }], ...settings.values() };
    const named = file.isFile ? file : null; // the command reads the file; an example has none
    await asker.ask(way.signature, inputs, { picture: file.bitmap, file: named });
  }

  async function take(blob, name) {
    const mine = (turn += 1);
    const read = await readPicture(blob, name);
    if (mine !== turn || signal.aborted) return; // another one came meanwhile
    file = { ...read, isFile: blob instanceof File };
    preview.replaceChildren(...previewOf(file, sees));
    await send();
  }

  function takeFirst(list) {
    const files = [...(list ?? [])];
    const first = files.find((one) => one.type.startsWith("image/")) ?? files[0];
    if (first) take(first, first.name || "picture.png");
    return Boolean(first);
  }

  const zone = element(
    "div",
    { class: "drop" },
    chooser("Choose a picture", {}, takeFirst),
    chooser("Take a photograph", { capture: "environment" }, takeFirst),
    element("p", {}, "or drop or paste one here."),
    preview,
  );
  listen(zone, takeFirst, signal);
  const examples = thumbnails(examplesOf(model, way.signature), input.name, take);
  return [zone, examples, settings.element, asker.element].filter(Boolean);
}

function chooser(text, attributes, takeFirst) {
  const id = newId("file");
  const field = element("input", {
    id,
    type: "file",
    accept: "image/*",
    class: "heard",
    ...attributes,
    on: {
      change: () => {
        takeFirst(field.files);
        field.value = ""; // the same file may be chosen again
      },
    },
  });
  const kind = attributes.capture ? "file camera" : "file";
  return element("span", { class: kind }, field, element("label", { for: id, class: "button" }, text));
}

function listen(zone, takeFirst, signal) {
  const over = (event) => {
    event.preventDefault();
    zone.classList.add("over");
  };
  zone.addEventListener("dragover", over, { signal });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"), { signal });
  zone.addEventListener("drop", () => zone.classList.remove("over"), { signal });
  // a picture that misses the zone must not be opened in place of the page
  document.addEventListener("dragover", (event) => event.preventDefault(), { signal });
  const take = (event, data) => {
    if (takeFirst(data?.files)) event.preventDefault();
  };
  document.addEventListener(
    "drop",
    (event) => {
      event.preventDefault();
      take(event, event.dataTransfer);
    },
    { signal },
  );
  document.addEventListener("paste", (event) => take(event, event.clipboardData), { signal });
}

function previewOf({ name, bitmap, note }, isDrawnOn) {
  const parts = [];
  if (bitmap && isDrawnOn) {
    parts.push(element("p", {}, `${name}, ${bitmap.width} x ${bitmap.height} pixels`));
  } else if (bitmap) {
    const scale = Math.min(1, PREVIEW / Math.max(bitmap.width, bitmap.height));
    const canvas = element("canvas", {
      width: Math.max(1, Math.round(bitmap.width * scale)),
      height: Math.max(1, Math.round(bitmap.height * scale)),
      role: "img",
      "aria-label": `The picture ${name}`,
    });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    parts.push(canvas, element("p", {}, `${name}, ${bitmap.width} x ${bitmap.height} pixels`));
  } else {
    parts.push(element("p", {}, `${name}: this browser cannot show it.`));
  }
  if (note) parts.push(element("p", {}, note));
  return parts;
}

function thumbnails(rows, name, take) {
  const texts = rows.map((row) => row[name]?.b64).filter((text) => typeof text === "string");
  if (!texts.length) return null;
  const buttons = texts.map((text, i) => {
    const shown = element("img", { alt: `Example ${i + 1}`, src: `data:image/png;base64,${text}` });
    const made = button("", () => take(fromBase64(text), `example-${i + 1}.png`), { class: "example" });
    made.append(shown);
    return made;
  });
  return element("div", { class: "examples" }, element("h3", {}, "Examples"), buttons);
}
