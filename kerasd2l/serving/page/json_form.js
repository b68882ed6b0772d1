// Whatever a signature takes, as JSON.

import { Asker } from "./ask.js";
import { element, newId, say } from "./dom.js";
import { layOut } from "./json.js";
import { examplesOf, inputsOf, plainValue } from "./signatures.js";

const MOST_CHARACTERS = 50_000; // of an answer that is shown

export function jsonForm(model, way, { signal, gone }) {
  const asker = new Asker(model, signal, gone);
  const ids = { signature: newId("signature"), body: newId("body") };
  const names = Object.keys(model.signatures);
  const options = names.map((name) => element("option", { value: name }, name));
  const choice = element("select", { id: ids.signature }, options);
  const body = element("textarea", { id: ids.body, rows: 12, class: "code", spellcheck: "false" });
  const shape = element("div");
  const fill = () => {
    body.value = layOut(exampleBody(model, choice.value));
    shape.replaceChildren(describe(model.signatures[choice.value]));
    asker.clear();
  };
  choice.value = way.signature;
  choice.addEventListener("change", fill);
  fill();

  async function send() {
    const reply = await asker.send(body.value);
    if (!reply) return;
    const text = layOut(reply.content);
    const cut = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)} ...` : text;
    const attributes = { tabindex: "0", role: "region", "aria-label": "Answer as JSON" };
    asker.answer.replaceChildren(element("pre", attributes, element("code", {}, cut)));
    say("Answered.");
  }

  const form = element(
    "form",
    {
      novalidate: true,
      on: {
        submit: (event) => {
          event.preventDefault();
          send();
        },
      },
    },
    element("div", { class: "field" }, element("label", { for: ids.signature }, "Signature"), choice),
    shape,
    element("div", { class: "field" }, element("label", { for: ids.body }, "Body of the request"), body),
    element("p", { class: "buttons" }, element("button", { class: "main" }, "Ask the model")),
  );
  return [form, asker.element];
}

/** Return a body that the signature takes: by columns, with the first examples. */
function exampleBody(model, name) {
  const row = examplesOf(model, name)[0] ?? {};
  const inputs = inputsOf(model.signatures[name]).map((input) => {
    const value = input.name in row && !input.optional ? [row[input.name]] : plainValue(input);
    return [input.name, value];
  });
  return { signature_name: name, inputs: Object.fromEntries(inputs) };
}

function describe(signature) {
  const rows = (side, specs) =>
    Object.entries(specs).map(([name, spec]) => {
      const sizes = spec.shape?.map((size) => size ?? "any").join(", ") ?? "of any rank";
      const usual = spec.default === undefined ? "" : `, default ${spec.default}`;
      return element(
        "tr",
        {},
        element("td", {}, side),
        element("th", { scope: "row" }, name),
        element("td", {}, `${spec.dtype} (${sizes})${usual}`),
      );
    });
  const titles = ["In or out", "Name", "Type and shape"];
  const head = titles.map((title) => element("th", { scope: "col" }, title));
  const table = element(
    "table",
    { class: "signature" },
    element("caption", { class: "heard" }, "Inputs and outputs"),
    element("thead", {}, element("tr", {}, head)),
    element("tbody", {}, rows("in", signature.inputs), rows("out", signature.outputs)),
  );
  const attributes = { class: "wide", tabindex: "0", role: "region", "aria-label": "Signature" };
  return element("div", attributes, table);
}
