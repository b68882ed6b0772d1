// A drawing as MNIST has its digits: 20 x 20 pixels at most, its centre of mass in the middle of 28 x 28.

export const SIDE = 28;
const BOX = 20;
const PEN = 2.4; // pixels: as thick as MNIST's digits are, however large one draws
const FINE = 8; // each pixel is the mean of 8 x 8 finer ones

/**
 * Return (28 * 28) numbers in [0, 1], white on black; null where nothing is drawn.
 *
 * The lines are scaled before they are drawn: a small drawing does not become a thick one.
 *
 * @param {{x: number, y: number}[][]} strokes points of each line, in any unit.
 */
export function asDigit(strokes) {
  const points = strokes.flat();
  if (!points.length) return null;
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [left, right, top, bottom] = [min(xs), -min(xs, -1), min(ys), -min(ys, -1)];
  const longest = Math.max(right - left, bottom - top);
  const scale = longest > 0 ? (BOX - PEN) / longest : 1;
  const middle = { x: (left + right) / 2, y: (top + bottom) / 2 };
  const place = ({ x, y }, shift) => ({
    x: (x - middle.x) * scale + SIDE / 2 + shift.x,
    y: (y - middle.y) * scale + SIDE / 2 + shift.y,
  });
  const drawn = (shift) =>
    raster(strokes.map((stroke) => stroke.map((point) => place(point, shift))));
  const mass = centreOfMass(drawn({ x: 0, y: 0 }));
  const room = (length) => (SIDE - length * scale - PEN) / 2; // it stays within the picture
  const bound = (shift, most) => Math.min(Math.max(shift, -most), most);
  return drawn({
    x: bound(SIDE / 2 - mass.x, room(right - left)),
    y: bound(SIDE / 2 - mass.y, room(bottom - top)),
  });
}

function min(values, sign = 1) {
  return values.reduce((least, value) => Math.min(least, sign * value), Infinity);
}

function raster(strokes) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE * FINE;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.scale(FINE, FINE);
  drawStrokes(context, strokes, PEN);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Float32Array(SIDE * SIDE);
  for (let y = 0; y < canvas.height; y += 1) {
    for (let x = 0; x < canvas.width; x += 1) {
      const alpha = data[4 * (y * canvas.width + x) + 3];
      pixels[Math.floor(y / FINE) * SIDE + Math.floor(x / FINE)] += alpha / (255 * FINE * FINE);
    }
  }
  return pixels.map((value) => Math.round(value * 255) / 255); // grey levels, as a file has them
}

/** Draw lines of round ends; a line of one point is a dot. */
export function drawStrokes(context, strokes, width) {
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(stroke[0].x, stroke[0].y);
    for (const point of stroke) context.lineTo(point.x, point.y);
    context.stroke();
  }
}

function centreOfMass(pixels) {
  const sums = { x: 0, y: 0, all: 0 };
  pixels.forEach((value, i) => {
    sums.all += value;
    sums.x += value * ((i % SIDE) + 0.5);
    sums.y += value * (Math.floor(i / SIDE) + 0.5);
  });
  return { x: sums.x / sums.all, y: sums.y / sums.all };
}
