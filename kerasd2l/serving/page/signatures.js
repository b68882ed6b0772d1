// What a signature takes and gives, and which form is made of it.

const TEXTS = ["text", "premise", "hypothesis", "question", "prefix", "first", "second", "sentence"];
const MOST_NUMBERS = 1000; // in one field
const DIGIT = [28, 28, 1];

/**
 * Return the inputs: name, dtype, shape, optional (it has a default), default. They come in the
 * order of the alphabet, but for a premise, which one reads first.
 */
export function inputsOf(signature) {
  const inputs = Object.entries(signature.inputs).map(([name, spec]) => ({
    name,
    dtype: spec.dtype,
    shape: spec.shape,
    optional: spec.default !== undefined && spec.default !== null,
    default: spec.default,
  }));
  return inputs.sort((a, b) => (b.name === "premise") - (a.name === "premise"));
}

export const isText = (input) => input.dtype === "string" && !isFile(input);
export const isFile = (input) => input.dtype === "string" && input.name.endsWith("_bytes");
export const isNumber = (input) => /^(u?int|float|double|half|bfloat)/.test(input.dtype);
export const isInteger = (input) => /^u?int/.test(input.dtype);

/** Whether one example of an input is one value. */
const isSingle = (input) => input.shape?.length === 1 && input.shape[0] === null;

/** How many numbers an example of an input has, if it is a short list of them; else 0. */
export function listLength(input) {
  const [batch, length] = input.shape?.length === 2 ? input.shape : [0, 0];
  return batch === null && isNumber(input) && length > 0 && length <= MOST_NUMBERS ? length : 0;
}

/** Whether a text may need several lines. */
export function isLong(input, inputs) {
  const alone = inputs.filter((other) => !other.optional).length === 1 && input.name !== "word";
  return TEXTS.includes(input.name) || alone;
}

/** Return the form of a signature: "picture", "draw", "writing", "fields", or null for JSON only. */
export function kindOf(signature) {
  const inputs = inputsOf(signature);
  const asked = inputs.filter((input) => !input.optional);
  if (!asked.length || inputs.some((input) => input.optional && !isSetting(input))) return null;
  if (asked.length === 1 && isFile(asked[0])) return isSingle(asked[0]) ? "picture" : null;
  const classifies = "probabilities" in signature.outputs;
  if (asked.length === 1 && isDrawing(asked[0]) && classifies) return "draw";
  const names = inputs.map((input) => input.name);
  if (names.includes("prefix") && names.includes("num_tokens") && "text" in signature.outputs) {
    return "writing";
  }
  const fits = (input) => isSingle(input) && (isText(input) || isNumber(input) || isFlag(input));
  return asked.every((input) => fits(input) || listLength(input)) ? "fields" : null;
}

export const isFlag = (input) => input.dtype === "bool";
const isSetting = (input) =>
  input.shape?.length === 0 && (isNumber(input) || isText(input) || isFlag(input));

function isDrawing(input) {
  const [batch, ...size] = input.shape ?? [];
  return batch === null && input.name === "pixels" && String(size) === String(DIGIT);
}

/** Whether signature `other` takes all that `signature` takes, and settings besides. */
function covers(other, signature) {
  const mine = Object.keys(signature.inputs);
  const asked = inputsOf(other).filter((input) => !input.optional);
  const same = asked.length === mine.length && asked.every((input) => mine.includes(input.name));
  const gives = Object.keys(signature.outputs).every((name) => name in other.outputs);
  return same && gives && Object.keys(other.inputs).length > mine.length;
}

/**
 * Return the ways to try a model: {id, label, kind, signature}. The last one is JSON.
 *
 * A signature that another one covers has no way of its own: the other one's settings have
 * defaults.
 */
export function waysOf(model) {
  const signatures = Object.entries(model.signatures ?? {});
  const ways = [];
  for (const [name, signature] of signatures) {
    const kind = kindOf(signature);
    const covered = signatures.some(([, other]) => kindOf(other) && covers(other, signature));
    if (kind && !covered) ways.push({ id: name, label: labelOf(kind, name), kind, signature: name });
  }
  const digits = model.assets?.class_names?.every?.((name) => /^[0-9]$/.test(name));
  const rank = ({ kind, id }) => {
    if (kind === "draw") return digits ? 0 : 3;
    return id === "serving_default" ? 1 : 2;
  };
  ways.sort((a, b) => rank(a) - rank(b));
  if (signatures.length) {
    const first = "serving_default" in model.signatures ? "serving_default" : signatures[0][0];
    ways.push({ id: "json", label: "JSON", kind: "json", signature: first });
  }
  return ways;
}

function labelOf(kind, name) {
  if (kind === "picture") return "Picture";
  if (kind === "draw") return "Draw";
  if (kind === "writing") return "Write on";
  return name === "serving_default" ? "Try it" : inWords(name);
}

/** "next_sentence" -> "Next sentence". */
export function inWords(name) {
  const words = name.replace(/^column_/, "").replaceAll("_", " ").trim() || name;
  return (words[0].toUpperCase() + words.slice(1)).replace(/^Iou\b/, "IoU");
}

/** Return the example rows for a signature: its own, or those of one with the same inputs. */
export function examplesOf(model, signatureName) {
  const examples = model.examples ?? {};
  if (examples[signatureName]?.length) return examples[signatureName];
  const wanted = inputsOf(model.signatures[signatureName]).filter((input) => !input.optional);
  const fits = (row) => wanted.every((input) => row && typeof row === "object" && input.name in row);
  return Object.values(examples).find((rows) => rows?.length && rows.every(fits)) ?? [];
}

/** Return a value of the right shape for an input, if there is no example: zeros and "". */
export function plainValue(input) {
  if (input.optional) return input.default;
  const leaf = isFile(input) ? { b64: "" } : isText(input) ? "" : isFlag(input) ? false : 0;
  return (input.shape ?? [null]).reduceRight((value, size) => Array(size ?? 1).fill(value), leaf);
}
