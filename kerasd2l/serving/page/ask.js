// One place of the page that asks a model: its answer, errors, time, and the request as curl.

import { answerTo } from "./answers.js";
import { ask, bodyOf, firstOf, outputsOf } from "./client.js";
import { commandOf } from "./curl.js";
import { button, element, say } from "./dom.js";

/**
 * What stands below a form.
 *
 * @param {object} model an entry of the list.
 * @param {AbortSignal} signal ends with the form.
 * @param {function} gone reads the list anew when the server no longer has this version.
 */
export class Asker {
  constructor(model, signal, gone) {
    Object.assign(this, { model, gone, running: null });
    this.time = element("p", { class: "time" });
    this.error = element("div", { class: "error", role: "alert" });
    this.answer = element("div", { class: "answer" });
    this.command = new Command();
    this.element = element(
      "section",
      { class: "answers", "aria-label": "Answer" },
      this.error,
      this.answer,
      this.time,
      this.command.element,
    );
    signal.addEventListener("abort", () => this.stop());
  }

  stop() {
    this.running?.abort();
    this.running = null;
  }

  clear() {
    this.stop();
    this.error.replaceChildren();
    this.answer.replaceChildren();
    this.time.replaceChildren();
    this.command.hide();
  }

  /** Show what was wrong before anything was asked. */
  complain(words) {
    this.error.replaceChildren(element("p", {}, words));
    this.answer.replaceChildren();
    this.time.replaceChildren();
  }

  /**
   * Ask with inputs (a batch of one) and return the outputs of the one example; null when there
   * are none, or another request came after it.
   */
  async outputs(signatureName, inputs, file = null) {
    const signature = this.model.signatures[signatureName];
    const body = bodyOf(signatureName, inputs);
    const reply = await this.send(body, file);
    return reply && firstOf(outputsOf(reply.content, signature), signature);
  }

  /** Ask and show the answer; `context` has what it is shown with, such as the picture. */
  async ask(signatureName, inputs, context = {}) {
    const outputs = await this.outputs(signatureName, inputs, context.file);
    if (!outputs) return null;
    const { shown, words } = answerTo(outputs, this.model, context);
    this.answer.replaceChildren(...shown);
    say(words);
    return outputs;
  }

  /**
   * Send a body; return {content, milliseconds}, or null where that failed and was said.
   *
   * Where a newer version has taken the place of this one, it is asked.
   */
  async send(body, file = null, again = true) {
    this.stop();
    const running = new AbortController();
    this.running = running;
    this.command.set(commandOf(this.model, body, file));
    this.element.setAttribute("aria-busy", "true");
    try {
      const reply = await ask(this.model, body, running.signal);
      if (this.running !== running) return null;
      this.error.replaceChildren();
      this.time.textContent = `Answered in ${inTime(reply.milliseconds)}`;
      return reply;
    } catch (error) {
      if (this.running !== running || error.name === "AbortError") return null;
      if (error.gone && again) {
        const before = this.model.version;
        await this.gone();
        if (this.running !== running) return null;
        if (this.model.version !== before) return this.send(body, file, false);
      }
      this.complain(error.message);
      return null;
    } finally {
      if (this.running === running) {
        this.running = null;
        this.element.removeAttribute("aria-busy");
      }
    }
  }
}

/** The request as a command, folded away, with a button that copies it. */
class Command {
  constructor() {
    this.code = element("code");
    const text = element("pre", { tabindex: "0", role: "region", "aria-label": "Command" }, this.code);
    this.copied = element("span", { role: "status" });
    const copy = button("Copy", () => this.copy());
    this.element = element(
      "details",
      { class: "command", hidden: true },
      element("summary", {}, "The request as curl"),
      text,
      element("p", {}, copy, " ", this.copied),
    );
  }

  set(command) {
    this.code.textContent = command;
    this.copied.textContent = "";
    this.element.hidden = false;
  }

  hide() {
    this.element.hidden = true;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.code.textContent);
      this.copied.textContent = "Copied.";
    } catch {
      // no clipboard: the page is neither from this machine nor encrypted
      getSelection().selectAllChildren(this.code);
      this.copied.textContent = "Selected: press Ctrl+C.";
    }
  }
}

function inTime(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}
