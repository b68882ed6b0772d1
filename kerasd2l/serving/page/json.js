// JSON as TensorFlow Serving speaks it: with the tokens NaN, Infinity and -Infinity.

const TOKENS = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/gs;
const SIGN = "\u0001number ";

/** Read JSON; the three tokens become numbers. */
export function read(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    const marked = text.replace(TOKENS, (token) =>
      token.startsWith('"') ? token : JSON.stringify(SIGN + token),
    );
    if (marked === text) throw error;
    return JSON.parse(marked, (key, value) =>
      typeof value === "string" && value.startsWith(SIGN) ? Number(value.slice(SIGN.length)) : value,
    );
  }
}

/** Write JSON in one line; numbers that are none become the tokens. */
export function write(value) {
  if (typeof value === "number") return String(value);
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    return `[${Array.from(value, write).join(", ")}]`;
  }
  if (value !== null && typeof value === "object") {
    const parts = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${write(item)}`);
    return `{${parts.join(", ")}}`;
  }
  return JSON.stringify(value ?? null);
}

/** Write JSON to be read: what is short in one line, the rest indented. */
export function layOut(value, indent = "") {
  const line = write(value);
  if (line.length <= 80 || value === null || typeof value !== "object") return line;
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (!value.some((item) => item !== null && typeof item === "object")) return line;
    return `[\n${value.map((item) => inner + layOut(item, inner)).join(",\n")}\n${indent}]`;
  }
  const parts = Object.entries(value).map(
    ([key, item]) => `${inner}${JSON.stringify(key)}: ${layOut(item, inner)}`,
  );
  return `{\n${parts.join(",\n")}\n${indent}}`;
}
