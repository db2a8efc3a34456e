// One knob for taste: a finished photo brighter or darker. The curve of smnet_jax/exposure/knob.py.
//
// 1 - (1 - v)^r with r = 2^(stops / 2.2), on each pixel's largest channel: hues stay, black and white stay, nothing clips.

const ENCODING = 2.2; // sRGB is close to this power of linear light

/** stops -> a function: a pixel's largest channel in [0, 1] -> the factor of all its channels. */
export function factorAt(stops) {
  const rate = 2 ** (stops / ENCODING);
  return (level) => (level > 1e-6 ? (1 - (1 - level) ** rate) / level : rate);
}

/** Change the pixels (red, green, blue, alpha: bytes) in place, by so many stops. */
export function adjust(data, stops) {
  const factor = factorAt(stops);
  const factors = Float32Array.from({ length: 256 }, (_, level) => factor(level / 255));
  for (let i = 0; i < data.length; i += 4) {
    const f = factors[Math.max(data[i], data[i + 1], data[i + 2])];
    for (let c = i; c < i + 3; c++) data[c] *= f; // data clips and rounds by itself
  }
}
