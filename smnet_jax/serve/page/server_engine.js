// Photos are brightened by `smnet serve`, which sent this page.

const client = crypto.getRandomValues(new Uint32Array(2)).join("-"); // takes turns with other pages, fairly
let limits = { bytes: Infinity };

export const parallel = 2; // one is computed while the next is on its way

/** What the page says about itself. */
export async function start() {
  const answer = await fetch("healthz");
  if (!answer.ok) throw new Error("The server does not answer as it should.");
  limits = await answer.json();
  return {
    where: `Computed on this server, weights ${limits.weights}`,
    about:
      "Whatever smnet enhance reads: JPEG, PNG, WebP, AVIF, TIFF and more, up to " +
      `${limits.megapixels} megapixels. EXIF, colour profile, transparency and 16 bits are kept. ` +
      "Photos are sent to the server that this page comes from, are not stored, and go nowhere else.",
  };
}

/** -> {before, after: Blobs that the browser can show, file: the result as a file or null, notes} */
export async function enhance(file, say) {
  if (file.size > limits.bytes) {
    throw new Error(`larger than ${Math.floor(limits.bytes / 2 ** 20)} MB, the limit of this server`);
  }
  if (await canShow(file)) {
    const { blob, notes } = await post(file, "strength=1", say);
    return { before: file, after: blob, file: blob, notes };
  }
  const before = await post(file, "strength=0&format=png", say); // of a TIFF, say
  const after = await post(file, "strength=1&format=png", say);
  return { before: before.blob, after: after.blob, file: null, notes: after.notes };
}

/** The result as chosen, {strength, exposure}, as a file of the photo's own format. */
export async function finish(photo, { strength, exposure }) {
  if (strength === 1 && exposure === 0 && photo.file) return photo.file;
  return (await post(photo.source, `strength=${strength}&exposure=${exposure}`, () => {})).blob;
}

async function canShow(file) {
  try {
    (await createImageBitmap(file)).close();
    return true;
  } catch {
    return false;
  }
}

async function post(file, query, say) {
  for (;;) {
    let answer;
    try {
      answer = await fetch(`enhance?${query}`, {
        method: "POST",
        body: file,
        headers: { "content-type": "application/octet-stream", "smnet-client": client },
      });
    } catch {
      throw new Error("the server did not answer, or the file cannot be read any more");
    }
    if (answer.status === 429) {
      say("waiting for others");
      await new Promise((go) => setTimeout(go, 1000 * Number(answer.headers.get("retry-after") || 2)));
      continue;
    }
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({ error: `the server says ${answer.status}` }));
      throw new Error(problem.error.replace(/^this photo: /, ""));
    }
    return { blob: await answer.blob(), notes: JSON.parse(answer.headers.get("smnet-notes") || "[]") };
  }
}
