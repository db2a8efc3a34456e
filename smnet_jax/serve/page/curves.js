// The default weights: the network looks at a thumbnail and chooses curves, which then go over the photo in strips.
//
// As smnet_jax/exposure/picture.py: photos of any size are computed whole, in little memory.

import { cut, inside, paste } from "./frame.js";

const STRIP = 1 << 18; // pixels computed at once

/**
 * Brighten an ImageData in place; `low` are its bytes before, put(image, values, firstRow, gray) writes floats.
 * A plain frame stays as it is, and the photo in it is brightened as if there were none.
 */
export async function brighten(image, low, network, gray, put, say) {
  const place = inside(low, image.width, image.height);
  if (place.width === image.width && place.height === image.height) {
    return brightenAll(image, low, network, gray, put, say);
  }
  const { width, height } = place;
  const photo = { data: cut(image.data, image.width, place), width, height };
  await brightenAll(photo, cut(low, image.width, place), network, gray, put, say);
  paste(image.data, image.width, photo.data, place);
}

async function brightenAll(image, low, { ort, look, render, about }, gray, put, say) {
  const { width, height } = image;
  const tensor = (values, ...shape) => new ort.Tensor("float32", values, shape);
  const side = about.thumbnail;
  const tone = await look.run({ thumbnail: tensor(thumbnail(low, width, height, side), 1, side, side, 3) });
  const [rows, columns] = [dense(about.grid, height), dense(about.grid, width)];
  const at = Math.max(about.halo, Math.floor(STRIP / width));
  const bytes = (from, to) => low.subarray(from * width * 4, to * width * 4);
  let above = new Float32Array(); // the rows before a strip, as they were: `low` may be what is written to
  for (let top = 0; top < height; top += at) {
    const count = Math.min(at, height - top);
    const first = Math.max(0, top - about.halo); // noise is smoothed, so a strip needs rows of its neighbours
    const last = Math.min(height, top + count + about.halo);
    const part = new Float32Array((last - first) * width * 3);
    part.set(above);
    part.set(floats(bytes(top, last)), above.length);
    above = floats(bytes(Math.max(0, top + count - about.halo), top + count));
    const { high } = await render.run({
      ...tone,
      low: tensor(part, 1, last - first, width, 3),
      rows: tensor(rows.slice(first * about.grid, last * about.grid), last - first, about.grid),
      columns: tensor(columns, width, about.grid),
    });
    const values = await high.getData();
    put(image, values.subarray((top - first) * width * 3, (top - first + count) * width * 3), top, gray);
    high.dispose();
    if (height > at) say(`computing … ${Math.round((100 * (top + count)) / height)} %`);
  }
}

/** Bytes of red, green, blue, alpha -> floats of red, green, blue in [0, 1]. */
export function floats(data) {
  const result = new Float32Array((data.length / 4) * 3);
  for (let i = 0, j = 0; i < data.length; i += 4) {
    for (let c = 0; c < 3; c++) result[j++] = data[i + c] / 255;
  }
  return result;
}

/**
 * `linear` of smnet_jax/exposure/resampling.py: linear resampling of an axis, with antialiasing where it shrinks.
 * For each new place: the first old one that counts, and the weights from there on.
 */
function linear(size, newSize) {
  const scale = size / newSize;
  const support = Math.max(scale, 1);
  return Array.from({ length: newSize }, (_, i) => {
    const centre = (i + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.ceil(centre - support));
    const last = Math.min(size - 1, Math.floor(centre + support));
    const weights = [];
    for (let k = first; k <= last; k++) weights.push(Math.max(0, 1 - Math.abs(k - centre) / support));
    const sum = weights.reduce((a, b) => a + b);
    return { first, weights: weights.map((w) => w / sum) };
  });
}

/** The same as a matrix (newSize, size). */
function dense(size, newSize) {
  const matrix = new Float32Array(newSize * size);
  linear(size, newSize).forEach(({ first, weights }, i) => matrix.set(weights, i * size + first));
  return matrix;
}

/** (side, side, 3) floats in [0, 1]: what the network sees of a photo. */
function thumbnail(data, width, height, side) {
  const [rows, columns] = [linear(height, side), linear(width, side)];
  const result = new Float32Array(side * side * 3);
  const row = new Float64Array(width * 3);
  rows.forEach((down, y) => {
    row.fill(0);
    down.weights.forEach((weight, k) => {
      for (let i = (down.first + k) * width * 4, j = 0; j < row.length; i += 4, j += 3) {
        for (let c = 0; c < 3; c++) row[j + c] += weight * data[i + c];
      }
    });
    columns.forEach((across, x) => {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        across.weights.forEach((weight, k) => (sum += weight * row[(across.first + k) * 3 + c]));
        result[(y * side + x) * 3 + c] = sum / 255;
      }
    });
  });
  return result;
}
