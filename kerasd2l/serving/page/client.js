// The server: what it has, and how it is asked. Errors are sentences.

import { read, write } from "./json.js";

/** Why there is no answer, in words. `gone`: the model or its version is no longer there. */
export class Unanswered extends Error {
  constructor(words, gone = false) {
    super(words);
    this.gone = gone;
  }
}

/** Return {models, problems}. */
export async function fetchModels() {
  const answer = await fetched("page/models", {});
  return answer.content;
}

/** Where a version of a model answers, relative to the page. */
export function addressOf(model) {
  const name = encodeURIComponent(model.name);
  return `v1/models/${name}/versions/${encodeURIComponent(model.version)}:predict`;
}

/** Return the body that asks a signature by columns: a batch of one, settings as they are. */
export function bodyOf(signatureName, inputs) {
  return write({ signature_name: signatureName, inputs });
}

/**
 * Ask a model.
 *
 * @param {object} model with name and version.
 * @param {string} body JSON.
 * @param {AbortSignal} signal ends the request.
 * @returns {Promise<{content: object, milliseconds: number}>}
 */
export async function ask(model, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return fetched(addressOf(model), { method: "POST", headers, body, signal });
}

async function fetched(address, options) {
  const begin = performance.now();
  let response, text;
  try {
    response = await fetch(address, { cache: "no-store", ...options });
    text = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unanswered("The server does not answer. Is it still running?");
  }
  const milliseconds = performance.now() - begin;
  let content = null;
  try {
    content = read(text);
  } catch {
    if (response.ok) throw new Unanswered("The server's answer is not JSON.");
  }
  if (!response.ok) throw refusal(response.status, content?.error);
  return { content, milliseconds };
}

function refusal(status, said) {
  const words = typeof said === "string" && said ? said : `The server answered with ${status}.`;
  const before = {
    404: "This is no longer there. ",
    413: "That is too much for one request. ",
    429: "The server is busy: try again in a moment. ",
    503: "The server is busy or still loading the model: try again in a moment. ",
    504: "The model took too long: try again, or with less. ",
  };
  return new Unanswered((before[status] ?? "") + words, status === 404);
}

/** Return the outputs by name; of a single one TensorFlow Serving leaves the name out. */
export function outputsOf(content, signature) {
  const names = Object.keys(signature.outputs);
  const outputs = content.outputs ?? {};
  return names.length === 1 ? { [names[0]]: outputs } : outputs;
}

/** Return the outputs of the only example of a batch. */
export function firstOf(outputs, signature) {
  const parts = Object.entries(outputs).map(([name, value]) => {
    const batched = signature.outputs[name]?.shape?.length > 0 && Array.isArray(value);
    return [name, batched && value.length === 1 ? value[0] : value];
  });
  return Object.fromEntries(parts);
}
