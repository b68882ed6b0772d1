// A request as a command for a shell.

import { addressOf } from "./client.js";

/**
 * Return the command that asks a model with a body.
 *
 * @param {object} model with name and version.
 * @param {string} body JSON.
 * @param {{base64: string, name: string}} file whose base64 text stands in the body, or null: the
 *   command reads the file in its place.
 */
export function commandOf(model, body, file = null) {
  const address = quoted(new URL(addressOf(model), document.baseURI).href);
  const place = file ? body.indexOf(`"${file.base64}"`) : -1;
  if (place < 0) return `curl -s ${address} -d ${quoted(body)}`;
  const before = quoted(body.slice(0, place + 1));
  const after = quoted(body.slice(place + 1 + file.base64.length));
  const read = `"$(base64 < ${quoted(file.name)} | tr -d '\\n')"`;
  // printf is of the shell itself: a picture may be longer than a command line
  return `printf %s ${before}${read}${after} |\n  curl -s ${address} -d @-`;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
