// One model: what is known of it, and the ways to try it.

import { element } from "./dom.js";
import { drawForm } from "./draw_form.js";
import { fieldForm } from "./field_form.js";
import { jsonForm } from "./json_form.js";
import { inState, isServed, valueOf } from "./model_list.js";
import { pictureForm } from "./picture_form.js";
import { inWords, waysOf } from "./signatures.js";
import { writingForm } from "./writing_form.js";

const FORMS = {
  picture: pictureForm,
  draw: drawForm,
  writing: writingForm,
  fields: fieldForm,
  json: jsonForm,
};
const MOST_CLASSES = 30; // that are named

/** Return the elements of a model; `wayId` is how it is tried, the first way if there is no such. */
export function showModel(model, wayId, { signal, gone }) {
  const served = isServed(model);
  const parts = [element("h2", {}, model.name), subtitle(model)];
  if (served && model.warning) parts.push(element("p", { class: "warning" }, model.warning));
  const ways = served ? waysOf(model) : [];
  if (!served) {
    parts.push(element("p", { class: "warning" }, `This model ${inState(model.versions?.at(-1)?.state)}.`));
  } else if (!ways.length) {
    parts.push(element("p", {}, "This model has no signature that can be asked."));
  } else {
    const way = ways.find((one) => one.id === wayId) ?? ways[0];
    parts.push(choiceOf(model, ways, way), tryIt(model, way, { signal, gone }));
  }
  parts.push(facts(model));
  return parts.filter(Boolean);
}

/** Show in `place` what is new of a model that is shown there: version, figures, states. */
export function refresh(model, place) {
  place.querySelector(".subtitle").replaceWith(subtitle(model));
  place.querySelector(".facts").replaceWith(facts(model));
}

function subtitle({ version, recipe, created }) {
  if (version === null) return element("p", { class: "subtitle" });
  const date = created ? new Date(created) : null;
  const day = date && !Number.isNaN(date.getTime()) ? date.toLocaleDateString() : null;
  const words = [`Version ${version}`, recipe, day && `exported on ${day}`].filter(Boolean);
  return element("p", { class: "subtitle" }, words.join(" · "));
}

function choiceOf(model, ways, current) {
  if (ways.length < 2) return null;
  const links = ways.map((way) =>
    element(
      "a",
      {
        href: `#${encodeURIComponent(model.name)}/${encodeURIComponent(way.id)}`,
        "aria-current": way === current ? "true" : null,
      },
      way.label,
    ),
  );
  return element("nav", { class: "ways", "aria-label": "Ways to try this model" }, links);
}

function tryIt(model, way, options) {
  const form = FORMS[way.kind](model, way, options);
  return element("section", { class: "try", "aria-label": way.label }, form);
}

function facts(model) {
  const rows = Object.entries(model.metrics ?? {})
    .filter(([, value]) => ["number", "string", "boolean"].includes(typeof value))
    .map(([name, value]) => [inWords(name), valueOf(name, value)]);
  const classes = model.assets?.class_names;
  const parts = [];
  if (rows.length) {
    const shown = rows.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value)),
    );
    parts.push(element("h3", {}, "Figures"), element("dl", { class: "numbers" }, shown));
  }
  if (Array.isArray(classes) && classes.length) {
    const some = classes.slice(0, MOST_CLASSES).join(", ");
    const rest = classes.length > MOST_CLASSES ? `, ... (${classes.length} in all)` : "";
    parts.push(element("h3", {}, "Classes"), element("p", {}, some + rest));
  }
  const versions = model.versions ?? [];
  if (versions.length) {
    const shown = versions.map(({ version, state, labels, message }) => {
      const named = labels?.length ? ` (${labels.join(", ")})` : "";
      const why = message ? `: ${message}` : "";
      return element("li", {}, `Version ${version}${named} ${inState(state)}${why}`);
    });
    parts.push(element("h3", {}, "Versions"), element("ul", { class: "versions" }, shown));
  }
  return element("section", { class: "facts", "aria-label": "About this model" }, parts);
}
