// Texts and numbers for a model: a field for each input.

import { Asker } from "./ask.js";
import { button, element, newId } from "./dom.js";
import { settingsOf } from "./settings.js";
import * as signatures from "./signatures.js";

const MOST_LETTERS = 80; // of an example on its button

export function fieldForm(model, way, { signal, gone }) {
  const signature = model.signatures[way.signature];
  const inputs = signatures.inputsOf(signature);
  const asked = inputs.filter((input) => !input.optional);
  const asker = new Asker(model, signal, gone);
  const fields = asked.map((input) => makeField(input, inputs, model.assets ?? {}));
  const settings = settingsOf(signature, () => {});

  async function send() {
    const values = {};
    for (const field of fields) {
      const { value, wrong } = field.read();
      field.mark(wrong);
      if (wrong) {
        asker.complain(wrong);
        return;
      }
      values[field.input.name] = [value];
    }
    await asker.ask(way.signature, { ...values, ...settings.values() });
  }

  const examples = signatures.examplesOf(model, way.signature);
  const fill = (row) => fields.forEach((field) => field.fill(row[field.input.name]));
  if (examples.length && asked.length > 3) fill(examples[0]); // nobody types 80 numbers to try
  const form = element(
    "form",
    {
      novalidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          send();
        },
        keydown: (event) => {
          const isEnter = event.key === "Enter" && (event.ctrlKey || event.metaKey);
          if (isEnter) form.requestSubmit();
        },
      },
    },
    element("div", { class: asked.length > 3 ? "fields many" : "fields" }, fields.map((f) => f.element)),
    settings.element,
    element("p", { class: "buttons" }, element("button", { class: "main" }, "Ask the model")),
  );
  const chosen = (row) => {
    fill(row);
    send();
  };
  return [form, exampleButtons(examples, asked, chosen), asker.element].filter(Boolean);
}

/** Return buttons that fill a form with an example; null without any. */
export function exampleButtons(rows, asked, chosen) {
  const buttons = rows.map((row, i) => {
    const said = asked.map((input) => String(row[input.name] ?? ""));
    const text = asked.length > 3 ? `Row ${i + 1}` : said.join(" / ");
    const cut = text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)} ...` : text;
    return button(cut.trim() ? cut : "(an empty text)", () => chosen(row), { class: "example" });
  });
  if (!buttons.length) return null;
  return element("div", { class: "examples" }, element("h3", {}, "Examples"), buttons);
}

/** Return {input, element, read(), fill(value), mark(wrong)}. */
function makeField(input, inputs, assets) {
  const id = newId("field");
  const name = signatures.inWords(input.name);
  const kind = kindOfField(input, inputs, assets);
  const problem = element("p", { id: `${id}-wrong`, class: "wrong" });
  const field = kind.make({ id, "aria-describedby": problem.id });
  const parts = [element("label", { for: id }, name + (kind.more ?? "")), field, problem];
  if (kind.codes) {
    const options = kind.codes.map((code) => element("option", { value: code }));
    field.setAttribute("list", `${id}-codes`);
    parts.push(element("datalist", { id: `${id}-codes` }, options));
  }
  return {
    input,
    element: element("div", { class: "field" }, parts),
    read: () => kind.read(field, name),
    fill: (value) => kind.fill(field, value),
    mark: (wrong) => {
      problem.textContent = wrong ?? "";
      if (wrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
      if (wrong) field.focus();
    },
  };
}

function kindOfField(input, inputs, assets) {
  const fill = (field, value) => {
    field.value = Array.isArray(value) ? value.join(", ") : missing(value) ? "" : String(value);
  };
  if (signatures.isFlag(input)) {
    return {
      make: (attributes) => element("input", { type: "checkbox", ...attributes }),
      read: (field) => ({ value: field.checked }),
      fill: (field, value) => {
        field.checked = Boolean(value);
      },
    };
  }
  if (signatures.isText(input)) {
    const long = signatures.isLong(input, inputs);
    const codes = columnOf(assets.categorical, input.name);
    const make = (attributes) =>
      long
        ? element("textarea", { rows: 3, ...attributes })
        : element("input", { type: "text", autocomplete: "off", ...attributes });
    return { make, read: (field) => ({ value: field.value }), fill, codes };
  }
  const length = signatures.listLength(input);
  if (length) {
    return {
      make: (attributes) => element("textarea", { rows: length > 20 ? 4 : 2, ...attributes }),
      read: (field, name) => readList(field.value, length, name),
      fill,
      more: ` (${length} ${length === 1 ? "number" : "numbers"})`,
    };
  }
  const optional = columnOf(assets.numeric, input.name) !== undefined;
  const make = (attributes) =>
    element("input", { type: "text", inputmode: "decimal", autocomplete: "off", ...attributes });
  return { make, read: (field, name) => readNumber(field.value, input, name, optional), fill };
}

const missing = (value) => value === undefined || value === null || Number.isNaN(value);

/** Return what the assets say of the column of an input. */
function columnOf(columns, name) {
  const plain = name.replace(/^column_/, "");
  return columns?.[name] ?? columns?.[plain];
}

function readNumber(text, input, name, optional) {
  if (!text.trim() && optional) return { value: NaN }; // the model knows what to do without it
  const value = Number(text.replace(",", "."));
  const whole = signatures.isInteger(input);
  if (!text.trim() || Number.isNaN(value) || (whole && !Number.isInteger(value))) {
    const kind = whole ? "a whole number" : "a number";
    return { wrong: `${name} must be ${kind}${text.trim() ? `, not "${text}"` : ""}.` };
  }
  return { value };
}

function readList(text, length, name) {
  const words = text.split(/[\s,;[\]]+/).filter(Boolean);
  const values = words.map(Number);
  const bad = words.find((word, i) => Number.isNaN(values[i]) && word !== "NaN");
  if (bad !== undefined) return { wrong: `${name}: "${bad}" is not a number.` };
  if (values.length !== length) {
    return { wrong: `${name} must be ${length} numbers. There are ${values.length}.` };
  }
  return { value: values };
}
