// Inputs that have a default: a number, a slider, a text or a tick each, folded away.

import { element, newId } from "./dom.js";
import { inWords, inputsOf, isFlag, isInteger, isText } from "./signatures.js";

// Settings with a range that one may slide through; others are typed.
const RANGES = {
  temperature: [0, 2, 0.05],
  top_p: [0.05, 1, 0.05],
  score_threshold: [0, 0.99, 0.01],
  iou_threshold: [0, 1, 0.01],
};

/**
 * Make the fields.
 *
 * @param {function} changed called when a value changed.
 * @param {string[]} apart names that the form asks for itself.
 * @returns {{element: Element | null, values: function(): object}} values: of the fields that
 *   differ from their default.
 */
export function settingsOf(signature, changed, apart = []) {
  const inputs = inputsOf(signature).filter(({ name, optional }) => optional && !apart.includes(name));
  const fields = inputs.map((input) => settingField(input, changed));
  const values = () => Object.assign({}, ...fields.map((field) => field.value()));
  if (!fields.length) return { element: null, values };
  const shown = element(
    "details",
    { class: "settings" },
    element("summary", {}, "Settings"),
    element("div", { class: "fields" }, fields.map((field) => field.element)),
  );
  return { element: shown, values };
}

/** Return {element, value()} of one input; value() is {} where it is the default. */
export function settingField(input, changed = () => {}) {
  const id = newId(input.name);
  const range = RANGES[input.name];
  let field, read;
  if (isFlag(input)) {
    field = element("input", { id, type: "checkbox", checked: Boolean(input.default) });
    read = () => field.checked;
  } else if (isText(input)) {
    field = element("input", { id, type: "text", value: input.default });
    read = () => field.value;
  } else {
    const [min, max, step] = range ?? [null, null, isInteger(input) ? 1 : "any"];
    const type = range ? "range" : "number";
    field = element("input", { id, type, min, max, step, value: rounded(input.default) });
    read = () => (field.value === "" ? input.default : Number(field.value));
  }
  const shown = range ? element("output", { for: id }, field.value) : "";
  field.addEventListener("input", () => {
    if (range) shown.textContent = field.value;
    changed();
  });
  const value = () => {
    const now = read();
    return now === input.default || now === rounded(input.default) ? {} : { [input.name]: now };
  };
  const label = element("label", { for: id }, inWords(input.name));
  return { element: element("div", { class: "field" }, label, field, shown), value };
}

/** Return a float32 as it was meant: 0.3 for 0.30000001192092896. */
export function rounded(value) {
  return typeof value === "number" ? Number(value.toPrecision(7)) : value;
}
