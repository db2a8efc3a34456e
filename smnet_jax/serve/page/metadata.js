// The little that a canvas loses and a photo should keep: a JPEG's EXIF block; and whether a file is gray.

/** A JPEG `result` with the EXIF block of the JPEG `source`, its orientation set to upright, as the pixels now are. */
export async function withExifOf(source, result) {
  const block = exif(new Uint8Array(await source.slice(0, 1 << 20).arrayBuffer()));
  if (!block) return result;
  const start = result.slice(0, 2); // FF D8
  return new Blob([start, setUpright(block), result.slice(2)], { type: result.type });
}

/** Segments before the pixels: [marker, start, end] each, of a JPEG's first bytes. */
function* segments(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return;
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++; // fill
      continue;
    }
    const end = at + 2 + bytes[at + 2] * 256 + bytes[at + 3];
    if (end > bytes.length) return;
    yield [marker, at, end];
    if (marker === 0xda) return;
    at = end;
  }
}

function exif(bytes) {
  for (const [marker, start, end] of segments(bytes)) {
    const name = String.fromCharCode(...bytes.subarray(start + 4, start + 10));
    if (marker === 0xe1 && name === "Exif\0\0") return bytes.slice(start, end);
  }
  return null;
}

/** Orientation (tag 0x0112) of the first directory becomes 1; the rest stays byte for byte. */
function setUpright(block) {
  const view = new DataView(block.buffer, 10);
  try {
    const little = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, little);
    for (let i = 0; i < view.getUint16(directory, little); i++) {
      const entry = directory + 2 + 12 * i;
      if (view.getUint16(entry, little) === 0x0112) view.setUint16(entry + 8, 1, little);
    }
  } catch {
    // a damaged block: it is kept as it is
  }
  return block;
}

/** In what a file is written again, by its first 12 bytes: what it is called says little. */
export function typeOf(bytes) {
  const text = String.fromCharCode(...bytes);
  if (text.startsWith("\xff\xd8")) return "image/jpeg";
  return text.startsWith("RIFF") && text.endsWith("WEBP") ? "image/webp" : "image/png";
}

/** Whether the file is a gray JPEG or PNG, so that its result is gray too. */
export function isGray(bytes) {
  const isPng = bytes[0] === 0x89 && bytes[1] === 0x50;
  if (isPng) return bytes[25] === 0 || bytes[25] === 4; // the colour type
  for (const [marker, start] of segments(bytes)) {
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return bytes[start + 9] === 1; // the number of components
  }
  return false;
}
