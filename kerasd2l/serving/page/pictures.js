// Pictures as a model may have them: upright, of a known kind, not too large.

const MOST_PIXELS = 1 << 24; // the models refuse more
const MOST_BYTES = 16 << 20; // the server refuses more than 32 MB of JSON
const LONGEST_SIDE = 2048; // of a picture that is made smaller here
const BEGINS = [[0x89, 0x50, 0x4e, 0x47], [0xff, 0xd8, 0xff], [0x47, 0x49, 0x46, 0x38], [0x42, 0x4d]];

/**
 * Read a file.
 *
 * A photograph that lies on its side (EXIF) is turned, since models do not read that; what is too
 * large, or of a kind that models do not read but this browser does, is written anew.
 *
 * @returns {Promise<{name, base64, bitmap, note}>} bitmap is null, if the browser cannot read
 *   the file: it is for the server to say what is wrong.
 */
export async function readPicture(blob, name) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let bitmap = null;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return { name, base64: toBase64(bytes), bitmap, note: "" };
  }
  const note = reasonToRewrite(bytes, bitmap);
  if (!note) return { name, base64: toBase64(bytes), bitmap, note };
  const written = await smaller(bitmap);
  const anew = new Uint8Array(await written.arrayBuffer());
  return {
    name,
    base64: toBase64(anew),
    bitmap: await createImageBitmap(written),
    note: `${note}: it was written anew as a JPEG before it was sent.`,
  };
}

function reasonToRewrite(bytes, bitmap) {
  if (bitmap.width * bitmap.height > MOST_PIXELS) return "The picture has more than 16 megapixels";
  if (bytes.length > MOST_BYTES) return "The file has more than 16 MB";
  if (orientationOf(bytes) !== 1) return "The photograph lay on its side";
  const text = String.fromCharCode(...bytes.subarray(0, 16));
  const isWebP = text.startsWith("RIFF") && text.slice(8, 12) === "WEBP";
  const isKnown = isWebP || BEGINS.some((begin) => begin.every((byte, i) => bytes[i] === byte));
  return isKnown ? "" : "The models do not read this kind of picture";
}

async function smaller(bitmap) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}

/** Return the EXIF orientation of a JPEG, 1 (upright) to 8; 1 if it says none. */
export function orientationOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return 1;
  try {
    for (let at = 2; view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
      const marker = view.getUint8(at + 1);
      if (marker === 0xda) return 1;
      if (marker === 0xe1 && view.getUint32(at + 4) === 0x45786966) return ofTiff(view, at + 10);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the file ends early
  }
  return 1;
}

function ofTiff(view, start) {
  const little = view.getUint16(start) === 0x4949;
  const first = start + view.getUint32(start + 4, little);
  const entries = view.getUint16(first, little);
  for (let i = 0; i < entries; i += 1) {
    const entry = first + 2 + 12 * i;
    if (view.getUint16(entry, little) === 0x0112) {
      const found = view.getUint16(entry + 8, little);
      return found >= 1 && found <= 8 ? found : 1;
    }
  }
  return 1;
}

export function toBase64(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += 0x8000) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  }
  return btoa(parts.join(""));
}

/** Return the file that stands in an example as {"b64": ...}. */
export function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Blob([bytes]);
}
