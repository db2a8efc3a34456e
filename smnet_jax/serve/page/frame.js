// A plain black or white frame round a photo is no part of it: smnet_jax/exposure/frame.py, in its float32 arithmetic.

const PLAIN = Math.fround(4 / 255); // a frame's pixels differ by less, after JPEG too
const ENDS = Math.fround(16 / 255); // a frame is black or white by as much
const LIGHT = Math.fround(1 - 16 / 255);
const MOST = 0.75; // of the outermost line of each of a frame's sides is of one colour: walls in the dark are not
const value = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);

/** {top, left, width, height} of the photo within its frame; all of the picture where there is none. */
export function inside(data, width, height) {
  const colour = [0, 1, 2].map((c) => value[data[c]]);
  const whole = { top: 0, left: 0, width, height };
  if (Math.max(...colour) > ENDS && Math.min(...colour) < LIGHT) return whole;
  const plain = (x, y) => {
    const i = 4 * (y * width + x);
    return colour.every((level, c) => Math.fround(Math.abs(value[data[i + c]] - level)) <= PLAIN);
  };
  const same = (x, y) => [0, 1, 2].every((c) => data[4 * (y * width + x) + c] === data[c]);
  const all = (size) => ({ first: 0, count: size });
  const rows = [0, height - 1].every((y) => mostly(width, (x) => same(x, y)))
    ? within(height, (y) => every(0, width, (x) => plain(x, y)))
    : all(height);
  const columns = [0, width - 1].every((x) => mostly(height, (y) => same(x, y)))
    ? within(width, (x) => every(rows.first, rows.first + rows.count, (y) => plain(x, y)))
    : all(width);
  return { top: rows.first, left: columns.first, width: columns.count, height: rows.count };
}

/** Which lines are left between plain ones at both ends: bars at one end only are part of the photo. */
function within(size, plain) {
  let first = 0;
  while (first < size && plain(first)) first++;
  let last = 0;
  while (last < size && plain(size - 1 - last)) last++;
  const count = size - first - last;
  const none = Math.min(first, last) === 0 || count < Math.max(8, Math.floor(size / 4));
  return none ? { first: 0, count: size } : { first, count };
}

function mostly(size, holds) {
  let count = 0;
  for (let i = 0; i < size; i++) if (holds(i)) count++;
  return count >= MOST * size;
}

function every(from, to, holds) {
  for (let i = from; i < to; i++) if (!holds(i)) return false;
  return true;
}

/** Bytes of a rectangle of a picture `width` wide. */
export function cut(data, width, place) {
  const result = new Uint8ClampedArray(4 * place.width * place.height);
  for (let y = 0; y < place.height; y++) {
    const start = 4 * ((place.top + y) * width + place.left);
    result.set(data.subarray(start, start + 4 * place.width), 4 * y * place.width);
  }
  return result;
}

/** The same bytes put back. */
export function paste(data, width, part, place) {
  for (let y = 0; y < place.height; y++) {
    const row = part.subarray(4 * y * place.width, 4 * (y + 1) * place.width);
    data.set(row, 4 * ((place.top + y) * width + place.left));
  }
}
