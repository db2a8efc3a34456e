// Photos are brightened in this browser: ./worker.js runs the network, and nothing is sent anywhere.

const worker = new Worker("worker.js", { type: "module" });
const asked = new Map();
let count = 0;
worker.addEventListener("message", ({ data }) => {
  const { settle, say } = asked.get(data.id);
  if (data.text) return say(data.text);
  asked.delete(data.id);
  settle(data);
});
worker.addEventListener("error", (event) => {
  for (const { settle } of asked.values()) settle({ error: event.message || "the page's worker cannot be loaded" });
  asked.clear();
});

function ask(task, say = () => {}) {
  const id = ++count;
  worker.postMessage({ id, ...task });
  return new Promise((settle) => asked.set(id, { settle, say })).then((answer) => {
    if (answer.error) throw new Error(answer.error);
    return answer.value;
  });
}

export const parallel = 1;

/** What the page says about itself. */
export async function start() {
  const { program, name, whole, reduced } = await ask({ what: "start" });
  const million = (pixels) => (pixels / 1e6).toLocaleString("en", { maximumFractionDigits: 1 });
  return {
    where: `Computed in this browser (${program}), weights ${name}`,
    about:
      "Photos never leave this device. What the browser can show can be brightened; results have 8 bits in sRGB, " +
      "JPEG keeps its EXIF." +
      (whole
        ? ` Photos above ${million(whole)} megapixels are computed at ${million(reduced)} megapixels, ` +
          "and the gain found there is applied at full size."
        : ""),
  };
}

/** -> {before, after: Blobs that the browser can show, file: null, notes} */
export async function enhance(file, say) {
  const { after, notes } = await ask({ what: "enhance", file }, say);
  return { before: file, after, file: null, notes };
}

/** The result as chosen, {strength, exposure}: of the photo's own format where the browser can write it, else PNG. */
export async function finish(photo, chosen) {
  return ask({ what: "finish", file: photo.source, after: photo.after, ...chosen });
}
