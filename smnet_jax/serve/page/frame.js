// A plain black or white frame round a photo is no part of it: smnet_jax/exposure/frame.py, in its float32 arithmetic.

const ENDS = Math.fround(16 / 255); // a black frame's corner is as dark
const PLAIN = Math.fround(4 / 255); // and its pixels differ from that by less, after JPEG too
const MOST = 0.75; // of the outermost line of each of its sides is of one colour: walls in the dark are not
const LIGHT = Math.fround(1 - 24 / 255); // all of a white frame is as light: JPEG rings in narrow ones
const value = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);

/** {top, left, width, height} of the photo within its frame; all of the picture where there is none. */
export function inside(data, width, height) {
  const level = (x, y) => [0, 1, 2].map((c) => value[data[4 * (y * width + x) + c]]);
  const colour = level(0, 0);
  const white = Math.min(...colour) >= LIGHT;
  const black = Math.max(...colour) <= ENDS;
  const same = (pixel) => pixel.every((v, c) => v === colour[c]);
  const plain = white
    ? (pixel) => Math.min(...pixel) >= LIGHT
    : (pixel) => pixel.every((v, c) => Math.fround(Math.abs(v - colour[c])) <= PLAIN);
  /** The photo's lines of `count`, each of `size` pixels `at(line, i)`. */
  const between = (count, size, at) => {
    const mostly = (line) => {
      let found = 0;
      for (let i = 0; i < size; i++) if (same(at(line, i))) found++;
      return found >= MOST * size;
    };
    if (!white && !(black && mostly(0) && mostly(count - 1))) return { first: 0, count };
    return within(count, (line) => every(0, size, (i) => plain(at(line, i))));
  };
  const rows = between(height, width, (y, x) => level(x, y));
  const columns = between(width, height, (x, y) => level(x, y));
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
