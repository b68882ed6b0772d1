// Elements without innerHTML: what a model or a file says is text, never markup.

/**
 * Make an element. A string among the children becomes text; null and false are left out.
 * Attributes: `on: {click: f}` listens, true is an attribute without a value, null is none.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else if (value === true) {
      made.setAttribute(name, "");
    } else if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(name, value);
    }
  }
  made.append(...children.flat().filter((child) => child !== null && child !== false));
  return made;
}

export function button(text, listener, attributes = {}) {
  return element("button", { type: "button", ...attributes, on: { click: listener } }, text);
}

let count = 0;

/** Return an id that no other element of the page has. */
export function newId(word) {
  count += 1;
  return `${word}-${count}`;
}

/** Say something to those who hear the page; it is not seen. */
export function say(text) {
  document.getElementById("status").textContent = text;
}

/** Return a function that calls another one when nothing new came for some milliseconds. */
export function later(milliseconds, action, signal) {
  let timer;
  signal?.addEventListener("abort", () => clearTimeout(timer));
  return (...given) => {
    clearTimeout(timer);
    if (!signal?.aborted) timer = setTimeout(() => action(...given), milliseconds);
  };
}
