// Bars, a heat map, words with tags: drawn with elements and tables, so that they can be heard.

import { element, newId } from "./dom.js";

const MOST_WORDS = 60; // of a side of a heat map: more cannot be read

export function asPercent(value) {
  if (!Number.isFinite(value)) return String(value);
  const percent = value * 100;
  if (percent > 0 && percent < 0.1) return "< 0.1 %";
  if (percent < 100 && percent > 99.9) return "> 99.9 %";
  return `${percent.toFixed(1)} %`;
}

/** Return a list of bars: pairs of a name and a number of at most 1. */
export function bars(pairs, format) {
  const items = pairs.map(([name, value]) => {
    const bar = element("span", { class: "bar", "aria-hidden": "true" }, element("span"));
    const part = Number.isFinite(value) ? Math.min(Math.max(value, 0), 1) : 0;
    bar.firstChild.style.width = `${part * 100}%`;
    return element(
      "li",
      {},
      element("span", { class: "name" }, name),
      bar,
      element("span", { class: "value" }, format(value)),
    );
  });
  return element("ol", { class: "bars" }, items);
}

/** Return a table of weights (rows of words, columns of words); "" is no word. */
export function heatMap(weights, rowWords, columnWords) {
  const rows = rowWords.filter(Boolean).slice(0, MOST_WORDS);
  const columns = columnWords.filter(Boolean).slice(0, MOST_WORDS);
  const head = columns.map((word) => element("th", { scope: "col" }, element("span", {}, word)));
  const body = rows.map((word, i) => {
    const cells = columns.map((other, j) => {
      const text = asPercent(weights[i]?.[j] ?? 0);
      const cell = element("td", { title: `${word}, ${other}: ${text}` });
      cell.append(element("span", { class: "heard" }, text));
      cell.style.setProperty("--weight", String(Math.min(Math.max(weights[i]?.[j] ?? 0, 0), 1)));
      return cell;
    });
    return element("tr", {}, element("th", { scope: "row" }, word), cells);
  });
  const caption = "Which words look at which: each row adds up to 100 %, darker is more.";
  const about = element("p", { id: newId("heat"), class: "time" }, caption);
  const table = element(
    "table",
    { class: "heat", "aria-labelledby": about.id },
    element("thead", {}, element("tr", {}, element("td"), head)),
    element("tbody", {}, body),
  );
  const label = "Attention, can be scrolled";
  const attributes = { class: "wide", tabindex: "0", role: "region", "aria-label": label };
  return element("div", {}, about, element("div", attributes, table));
}

/** Return words with a tag below each: triples of word, tag, probability. */
export function taggedWords(triples) {
  const items = triples.map(([word, tag, likely]) =>
    element(
      "li",
      {},
      element("span", { class: "name" }, word),
      element("span", { class: "tag" }, tag),
      typeof likely === "number" && element("span", { class: "value" }, asPercent(likely)),
    ),
  );
  return element("ul", { class: "tagged" }, items);
}
