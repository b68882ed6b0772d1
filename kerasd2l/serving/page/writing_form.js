// A language model continues a text, a token at a time.

import { notesOn } from "./answers.js";
import { Asker } from "./ask.js";
import { button, element, newId, say } from "./dom.js";
import { exampleButtons } from "./field_form.js";
import { settingField, settingsOf } from "./settings.js";
import { examplesOf, inputsOf } from "./signatures.js";

const SLOW = 150; // milliseconds of a request; if it takes longer, more tokens are asked for at once
const MOST_AT_ONCE = 8;
const MOST_TOKENS = 10_000;

export function writingForm(model, way, { signal, gone }) {
  const signature = model.signatures[way.signature];
  const inputs = Object.fromEntries(inputsOf(signature).map((input) => [input.name, input]));
  const asker = new Asker(model, signal, gone);
  const written = element("p", { class: "written", "aria-label": "The text" });
  const id = newId("prefix");
  const prefix = element("textarea", { id, rows: 3 });
  const rows = examplesOf(model, way.signature);
  prefix.value = rows.find((row) => row.prefix)?.prefix ?? "";
  const heat = inputs.temperature && settingField(inputs.temperature);
  const settings = settingsOf(signature, () => {}, ["num_tokens", "temperature", "seed"]);
  const length = lengthField(inputs.num_tokens);
  let turn = 0;

  function values(step, seed, number) {
    const asked = { num_tokens: number, ...heat?.value(), ...settings.values() };
    if (inputs.seed) asked.seed = seed + step;
    return asked;
  }

  async function write() {
    const mine = (turn += 1);
    const seed = Math.floor(Math.random() * 1e6);
    const wanted = length.read();
    buttons(true);
    let text = prefix.value;
    let begin = null;
    let done = 0;
    let number = 0; // first, none: how the model reads the beginning
    do {
      const asked = performance.now();
      const all = { prefix: [text], ...values(done, seed, number) };
      const outputs = await asker.outputs(way.signature, all);
      if (mine !== turn || signal.aborted) return;
      if (!outputs) break;
      text = outputs.text;
      begin ??= text;
      done += number;
      show(begin, text, outputs);
      const slow = performance.now() - asked > SLOW;
      number = Math.max(slow ? Math.min(2 * number, MOST_AT_ONCE) : number, 1);
      number = Math.min(number, wanted - done);
    } while (number > 0);
    finish(text);
  }

  function show(begin, text, outputs) {
    const rest = element("mark", {}, text.slice(begin.length));
    written.replaceChildren(element("span", {}, begin), rest);
    asker.answer.replaceChildren(...notesOn(outputs).map((note) => element("p", {}, note)));
  }

  function finish(text) {
    turn += 1;
    asker.stop();
    buttons(false);
    if (text) say(`Written: ${text.slice(-300)}`);
  }

  const go = element("button", { class: "main" }, "Write on");
  const stop = button("Stop", () => finish(written.textContent), { disabled: true });
  const goOn = () => {
    prefix.value = written.textContent;
    write();
  };
  const keep = button("Go on from here", goOn, { disabled: true });

  function buttons(running) {
    go.disabled = running;
    stop.disabled = !running;
    keep.disabled = running || !written.textContent;
  }

  const submit = (event) => {
    event.preventDefault();
    write();
  };
  const form = element(
    "form",
    { novalidate: true, on: { submit } },
    element("div", { class: "field" }, element("label", { for: id }, "Beginning of the text"), prefix),
    element("div", { class: "fields" }, length.element, heat?.element ?? ""),
    settings.element,
    element("p", { class: "buttons" }, go, stop, keep),
  );
  const chosen = (row) => {
    prefix.value = row.prefix;
    write();
  };
  const examples = exampleButtons(rows, [inputs.prefix], chosen);
  return [form, examples, written, asker.element].filter(Boolean);
}

function lengthField(input) {
  const id = newId("length");
  const field = element("input", {
    id,
    type: "number",
    min: 1,
    max: MOST_TOKENS,
    step: 1,
    value: input.default ?? 50,
  });
  const read = () => Math.min(Math.max(Math.round(Number(field.value)) || 1, 1), MOST_TOKENS);
  const label = element("label", { for: id }, "Tokens to write");
  return { element: element("div", { class: "field" }, label, field), read };
}
