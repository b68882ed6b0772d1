// The page: a list of the server's models, and the one whose name stands behind the # in the address.

import { fetchModels } from "./client.js";
import { element, say } from "./dom.js";
import { isServed, modelList, shownModels } from "./model_list.js";
import { refresh, showModel } from "./model_view.js";

const SOON = 2000; // milliseconds until the list is read again while something is still to come
const MANY = 9; // models, from which on they can be searched

const state = { models: [], problems: [], shown: null, model: null, leave: null, timer: null };
const main = document.getElementById("model");
const words = document.getElementById("words");

/** Read the list, show it, and show the model again if it is another version now. */
async function renew() {
  clearTimeout(state.timer);
  try {
    const { models, problems } = await fetchModels();
    Object.assign(state, { models: models ?? [], problems: problems ?? [], lost: null });
  } catch (error) {
    state.lost = error.message;
  }
  list();
  route();
  const coming = state.models.some(({ versions }) =>
    versions?.some(({ state: at }) => at === "START" || at === "LOADING"),
  );
  const wait = state.lost || coming || !state.models.length;
  if (wait && !document.hidden) state.timer = setTimeout(renew, SOON);
}

function list() {
  document.getElementById("filter").hidden = state.models.length < MANY;
  const some = shownModels(state.models, words.value);
  document.getElementById("models").replaceChildren(...modelList(some, nameInAddress()));
  const problems = [state.lost, ...state.problems].filter(Boolean);
  const shown = problems.map((problem) => element("li", {}, problem));
  document
    .getElementById("problems")
    .replaceChildren(
      ...(shown.length ? [element("h2", {}, "Problems"), element("ul", { class: "problems" }, shown)] : []),
    );
}

/** The address ends with #NAME or #NAME/WAY. */
function partsOfAddress() {
  try {
    return location.hash.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return [""]; // a % that is none
  }
}

function nameInAddress() {
  return partsOfAddress()[0] || state.models[0]?.name;
}

function route({ moved = false } = {}) {
  const name = nameInAddress();
  const way = partsOfAddress()[1];
  const model = state.models.find((one) => one.name === name);
  // what is shown stays as it is, with all that was typed, while it takes and gives the same
  const { signatures, assets, warning } = model ?? {};
  const same = [name, way, isServed(model), signatures, assets, warning, !state.models.length && state.lost];
  const key = JSON.stringify(same);
  if (key === state.shown) {
    if (model) refresh(Object.assign(state.model, model), main);
    return;
  }
  Object.assign(state, { shown: key, model });
  state.leave?.abort();
  state.leave = new AbortController();
  document.title = model ? `${model.name} - kerasd2l` : "Models - kerasd2l";
  main.replaceChildren(...contentOf(model, way, name));
  if (moved) {
    main.focus({ preventScroll: true });
    main.scrollIntoView({ block: "nearest" });
    if (model) say(`${model.name}.`);
  }
}

function contentOf(model, way, name) {
  if (model) return showModel(model, way, { signal: state.leave.signal, gone: renew });
  if (state.models.length) {
    return [element("h2", {}, "No such model"), element("p", {}, `This server has no model "${name}".`)];
  }
  if (state.lost) {
    return [element("h2", {}, "No answer"), element("p", {}, `${state.lost} This page goes on asking.`)];
  }
  const command = "kerasd2l train lenet --data builtin --export --savedmodels FOLDER";
  return [
    element("h2", {}, "No models yet"),
    element("p", {}, "The folder that this server watches has no model. Train and export one into it:"),
    element("pre", { tabindex: "0" }, element("code", {}, command)),
    element("p", {}, "FOLDER is what was given to kerasd2l serve. The model then appears here by itself."),
  ];
}

addEventListener("hashchange", () => {
  list();
  route({ moved: true });
});
document.addEventListener("visibilitychange", () => document.hidden || renew());
words.addEventListener("input", list);
renew();
