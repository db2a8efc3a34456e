// Runs the network beside the page, one photo after another: ONNX Runtime Web on WebGPU, or else on WebAssembly.
//
// The same pixels as `smnet enhance` within 1 of 255 where the photo is computed whole.

import { brighten, floats } from "./curves.js";
import { applyGain, fitGain } from "./gain.js";
import { factorAt } from "./knob.js";
import { isGray, typeOf, withExifOf } from "./metadata.js";
import { filled } from "./transparency.js";

const SMALLEST = 8;
const LUMA = [0.299, 0.587, 0.114]; // ITU-R BT.601
let network;
let line = Promise.resolve(); // tasks wait for each other: one computation at a time

self.addEventListener("message", ({ data }) => {
  line = line.then(() => serve(data));
});

async function serve({ id, what, ...task }) {
  try {
    const value = await { start, enhance, finish }[what](task, (text) => self.postMessage({ id, text }));
    self.postMessage({ id, value });
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
}

async function start() {
  // Hosts that say nothing of caching let browsers keep files for a tenth of their age: what this page computes with is
  // asked for anew, and the networks by a name that changes with them.
  const answer = await fetch("model.json", { cache: "no-cache" });
  if (!answer.ok) throw new Error("model.json is missing beside this page");
  const about = await answer.json();
  network = { about, ...(await (about.network === "exposure" ? loadCurves(about) : load(about))) };
  return { program: network.program, name: about.name, whole: about.whole_pixels, reduced: about.reduced_pixels };
}

/** {ort, look, render, program}: the two steps of the default weights, quick enough without a GPU. */
async function loadCurves(about) {
  try {
    const ort = await runtime("wasm");
    const [look, render] = await Promise.all(
      ["look.onnx", "render.onnx"].map((name) =>
        ort.InferenceSession.create(`${name}?${about.networks}`, { executionProviders: ["wasm"] }),
      ),
    );
    return { ort, look, render, program: "WebAssembly" };
  } catch (error) {
    throw new Error(`the network cannot be run in this browser (${error.message})`);
  }
}

async function runtime(provider) {
  const ort = await import(`./ort/ort.${provider}.min.mjs`);
  ort.env.wasm.wasmPaths = new URL("ort/", self.location.href).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = "error";
  return ort;
}

/** {ort, session, program}: on WebGPU where the browser has it and the network runs there. */
async function load(about) {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  for (const provider of adapter ? ["webgpu", "wasm"] : ["wasm"]) {
    try {
      const ort = await runtime(provider);
      const source = `model.onnx?${about.networks}`;
      const session = await ort.InferenceSession.create(source, { executionProviders: [provider] });
      const tiny = new ort.Tensor("float32", new Float32Array(16 * 16 * 3).fill(0.1), [1, 16, 16, 3]);
      await session.run({ low: tiny });
      return { ort, session, program: provider === "wasm" ? "WebAssembly" : "WebGPU" };
    } catch (error) {
      if (provider === "wasm") throw new Error(`the network cannot be run in this browser (${error.message})`);
    }
  }
}

async function enhance({ file }, say) {
  const { about } = network;
  const image = await pixels(file);
  const { width, height } = image;
  if (Math.min(width, height) < SMALLEST) throw new Error(`${width}x${height} pixels; at least 8x8 are needed`);
  const gray = isGray(new Uint8Array(await file.slice(0, 1 << 20).arrayBuffer()));
  const notes = [];
  if (about.network === "exposure") {
    await brighten(image, filled(image), network, gray, put, say);
  } else if (width * height <= about.whole_pixels) {
    put(image, await run(floats(filled(image)), width, height), 0, gray);
  } else {
    const share = Math.sqrt(about.reduced_pixels / (width * height));
    const size = [width, height].map((side) => Math.max(SMALLEST, Math.round(side * share)));
    notes.push(`computed at ${size[0]}x${size[1]}; the gain found there is applied at ${width}x${height}`);
    say(`computing at ${size[0]}x${size[1]} …`);
    const small = floats(filled(await pixels(file, size)));
    const gain = fitGain(small, await run(small, ...size), ...size);
    applyGain(image, gain, gray ? LUMA : null);
  }
  return { after: await encoded(image, "image/png"), notes };
}

/** (h, w, 3) floats in [0, 1] through the network. */
async function run(low, width, height) {
  const input = new network.ort.Tensor("float32", low, [1, height, width, 3]);
  const { high } = await network.session.run({ low: input });
  const values = (await high.getData()).slice();
  high.dispose();
  if (!values.every(Number.isFinite)) throw new Error("the network's result is not finite");
  return values;
}

async function finish({ file, after, strength, exposure }) {
  const result = await pixels(after);
  if (strength < 1 || exposure !== 0) blend(result, strength < 1 ? await pixels(file) : result, strength, exposure);
  const type = typeOf(new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  const blob = await encoded(result, type);
  return blob.type === "image/jpeg" ? withExifOf(file, blob) : blob;
}

/** `result` between the photo and itself, then brighter or darker by `exposure` stops; rounded once. */
function blend(result, low, strength, exposure) {
  const factor = factorAt(exposure);
  const rgb = new Float32Array(3);
  for (let i = 0; i < result.data.length; i += 4) {
    for (let c = 0; c < 3; c++) rgb[c] = low.data[i + c] + strength * (result.data[i + c] - low.data[i + c]);
    const f = exposure === 0 ? 1 : factor(Math.max(...rgb) / 255);
    for (let c = 0; c < 3; c++) result.data[i + c] = rgb[c] * f;
  }
}

// Photos to pixels and back

/** ImageData in sRGB, upright, of the photo's own size or another one. */
async function pixels(file, size = null) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error("this browser cannot read the file; is it damaged, or no JPEG, PNG or WebP?");
  }
  const [width, height] = size ?? [bitmap.width, bitmap.height];
  const context = canvas(width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

async function encoded(image, type) {
  const context = canvas(image.width, image.height);
  context.putImageData(image, 0, 0);
  return context.canvas.convertToBlob({ type, quality: 0.95 });
}

function canvas(width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Error(`${width}x${height} pixels are too many for this browser`);
  return context;
}

/** Write (h, w, 3) floats into an image from `row` on, clipped and rounded; its alpha stays. */
function put(image, values, row, gray) {
  const { data } = image; // a Uint8ClampedArray: it clips and rounds by itself
  const rgb = new Float32Array(3);
  for (let i = row * image.width * 4, j = 0; j < values.length; i += 4, j += 3) {
    for (let c = 0; c < 3; c++) rgb[c] = Math.min(1, Math.max(0, values[j + c])) * 255;
    if (gray) rgb.fill(rgb[0] * LUMA[0] + rgb[1] * LUMA[1] + rgb[2] * LUMA[2]);
    for (let c = 0; c < 3; c++) data[i + c] = rgb[c];
  }
}
