// Pixels that nobody sees must not decide about those that somebody does: smnet_jax/images/transparency.py.

/** The bytes of an ImageData with smooth colours from around under alpha 0; the same array where there is nothing to do. */
export function filled({ data, width, height }) {
  const seen = new Float32Array(width * height);
  for (let i = 0; i < seen.length; i++) seen[i] = data[4 * i + 3] > 0 ? 1 : 0;
  if (seen.every((s) => s > 0) || !seen.some((s) => s > 0)) return data;
  const total = new Float32Array(width * height * 3);
  for (let i = 0; i < seen.length; i++) {
    for (let c = 0; c < 3; c++) total[3 * i + c] = seen[i] * data[4 * i + c];
  }
  const levels = [{ total, weight: seen, width, height }];
  while (Math.max(levels.at(-1).width, levels.at(-1).height) > 1) levels.push(halved(levels.at(-1)));
  let above = null; // colours of the coarser level
  for (const level of levels.reverse()) {
    const colours = level.total;
    for (let y = 0, i = 0; y < level.height; y++) {
      for (let x = 0; x < level.width; x++, i++) {
        const j = above && (y >> 1) * above.width + (x >> 1);
        for (let c = 0; c < 3; c++) {
          colours[3 * i + c] = level.weight[i] > 0 ? colours[3 * i + c] / level.weight[i] : above.colours[3 * j + c];
        }
      }
    }
    above = { colours, width: level.width };
  }
  const result = data.slice();
  for (let i = 0; i < seen.length; i++) {
    if (!data[4 * i + 3]) for (let c = 0; c < 3; c++) result[4 * i + c] = above.colours[3 * i + c];
  }
  return result;
}

/** Sums over squares of two by two. */
function halved({ total, weight, width, height }) {
  const [w, h] = [(width + 1) >> 1, (height + 1) >> 1];
  const small = { total: new Float32Array(w * h * 3), weight: new Float32Array(w * h), width: w, height: h };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const j = (y >> 1) * w + (x >> 1);
      small.weight[j] += weight[i];
      for (let c = 0; c < 3; c++) small.total[3 * j + c] += total[3 * i + c];
    }
  }
  return small;
}
