// The list of models: names, versions, and how they are.

import { element } from "./dom.js";

const STATES = {
  START: "is about to load",
  LOADING: "is loading",
  AVAILABLE: "is served",
  UNLOADING: "is being unloaded",
  END: "is unloaded",
};

/** Return the models whose name or recipe has all words of the search. */
export function shownModels(models, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const has = ({ name, recipe }) => {
    const text = `${name} ${recipe ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return models.filter(has);
}

/** Return an item of the list for each model; `current` is the name of the one that is shown. */
export function modelList(models, current) {
  if (!models.length) return [element("li", { class: "none" }, "No models.")];
  return models.map((model) => {
    const link = element(
      "a",
      {
        href: `#${encodeURIComponent(model.name)}`,
        "aria-current": model.name === current ? "page" : null,
      },
      element("span", { class: "name" }, breakable(model.name)),
      element("span", { class: "about" }, aboutOf(model)),
    );
    return element("li", {}, link);
  });
}

/** Return the parts of a name, between which a line may end. */
function breakable(name) {
  return name.split(/(?<=[_-])/).flatMap((part) => [part, element("wbr")]);
}

function aboutOf(model) {
  if (!isServed(model)) return inState(model.versions?.at(-1)?.state);
  const version = `version ${model.version}`;
  const figure = Object.entries(model.metrics ?? {}).find(([name]) => /test_(accuracy|bleu)/.test(name));
  return figure ? `${version}, ${figureOf(...figure)}` : version;
}

/** Whether a version of a model (or of none) answers now. */
export function isServed(model) {
  return Boolean(model?.versions?.some(({ state }) => state === "AVAILABLE"));
}

/** "LOADING" -> "is loading". */
export function inState(state) {
  return STATES[state] ?? (state ? String(state).toLowerCase() : "is not loaded");
}

/** Return a metric as one reads it: "test_accuracy", 0.987 -> "98.7 % test accuracy". */
export function figureOf(name, value) {
  return `${valueOf(name, value)} ${name.replaceAll("_", " ")}`;
}

export function valueOf(name, value) {
  if (typeof value !== "number") return String(value);
  if (/accuracy/.test(name) && value >= 0 && value <= 1) return `${(100 * value).toFixed(1)} %`;
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}
