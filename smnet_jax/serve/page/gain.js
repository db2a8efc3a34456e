// What the network did to a reduced photo, applied to the photo at full size.
//
// Around every pixel of the reduced photo the result is a line of the input, gain * low + offset, fitted by least
// squares; gain and offset are smoothed, enlarged and applied to the full photo, whose detail they keep. This is the
// fast guided filter (He and Sun 2015, arXiv:1505.00996), channel by channel.

const RADIUS = 4; // pixels of the reduced photo
const FLAT = 1e-6; // variance below which a neighbourhood is flat: of rounding to 8 bits it is 1.3e-6

/** (h, w, 3) floats before and after -> {gain, offset: (h, w, 3) floats, width, height} */
export function fitGain(low, high, width, height) {
  const mean = (values) => box(values, width, height);
  const product = (a, b) => a.map((v, i) => v * b[i]);
  const clipped = high.map((v) => Math.min(1, Math.max(0, v)));
  const [meanLow, meanHigh] = [mean(low), mean(clipped)];
  const [square, both] = [mean(product(low, low)), mean(product(low, clipped))];
  const gain = square.map((s, i) => {
    const variance = Math.max(0, s - meanLow[i] ** 2);
    return (both[i] - meanLow[i] * meanHigh[i]) / (variance + FLAT);
  });
  const offset = meanHigh.map((m, i) => m - gain[i] * meanLow[i]);
  return { gain: mean(gain), offset: mean(offset), width, height };
}

/** Change a photo's ImageData, reading gain and offset between their pixels; with `luma` the result is gray. */
export function applyGain(image, { gain, offset, width, height }, luma) {
  const { data } = image; // a Uint8ClampedArray: it clips and rounds by itself
  const across = positions(image.width, width);
  const down = positions(image.height, height);
  const [gains, offsets] = [new Float32Array(width * 3), new Float32Array(width * 3)]; // of one row
  const rgb = new Float32Array(3);
  for (let y = 0, i = 0; y < image.height; y++) {
    const [top, bottom, v] = [down.first[y] * width * 3, down.second[y] * width * 3, down.share[y]];
    for (let k = 0; k < width * 3; k++) {
      gains[k] = gain[top + k] + v * (gain[bottom + k] - gain[top + k]);
      offsets[k] = (offset[top + k] + v * (offset[bottom + k] - offset[top + k])) * 255;
    }
    for (let x = 0; x < image.width; x++, i += 4) {
      const left = across.first[x] * 3;
      const right = across.second[x] * 3;
      const u = across.share[x];
      for (let c = 0; c < 3; c++) {
        const g = gains[left + c] + u * (gains[right + c] - gains[left + c]);
        const o = offsets[left + c] + u * (offsets[right + c] - offsets[left + c]);
        rgb[c] = Math.min(255, Math.max(0, g * data[i + c] + o));
      }
      if (luma) rgb.fill(rgb[0] * luma[0] + rgb[1] * luma[1] + rgb[2] * luma[2]);
      for (let c = 0; c < 3; c++) data[i + c] = rgb[c];
    }
  }
}

/** Where pixels of a row of `many` lie between those of one of `few`: centres on centres. */
function positions(many, few) {
  const [first, second, share] = [new Int32Array(many), new Int32Array(many), new Float32Array(many)];
  for (let i = 0; i < many; i++) {
    const place = Math.min(few - 1, Math.max(0, ((i + 0.5) * few) / many - 0.5));
    first[i] = Math.floor(place);
    second[i] = Math.min(few - 1, first[i] + 1);
    share[i] = place - first[i];
  }
  return { first, second, share };
}

/** The mean over (2 RADIUS + 1)^2 pixels, fewer at the border, of (h, w, 3). */
function box(values, width, height) {
  return along(along(values, width, 3, height, width * 3), height, width * 3, width, 3);
}

/** Means along one axis: `count` places `step` apart, for `lines` lines `apart` apart, three channels each. */
function along(values, count, step, lines, apart) {
  const result = new Float32Array(values.length);
  for (let line = 0; line < lines; line++) {
    for (let c = 0; c < 3; c++) {
      const start = line * apart + c;
      let sum = 0; // in float64, as all numbers here
      let inside = 0;
      for (let i = -RADIUS; i < count; i++) {
        if (i + RADIUS < count) (sum += values[start + (i + RADIUS) * step]), inside++;
        if (i - RADIUS - 1 >= 0) (sum -= values[start + (i - RADIUS - 1) * step]), inside--;
        if (i >= 0) result[start + i * step] = sum / inside;
      }
    }
  }
  return result;
}
