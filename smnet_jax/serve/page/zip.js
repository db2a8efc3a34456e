// A ZIP archive without compression (photos are compressed already): APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.16.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** [{name, blob}] -> Blob. The names are distinct. Together less than 4 GiB, or it throws. */
export async function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, blob } of files) {
    const title = new TextEncoder().encode(name);
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    // version 2.0, names in UTF-8, stored, 1980-01-01
    const about = [20, 0x0800, 0, 0, 0x21].flatMap((v) => [v & 255, v >> 8]);
    const sizes = [crc, blob.size, blob.size].flatMap(four);
    const names = [title.length & 255, title.length >> 8, 0, 0];
    parts.push(Uint8Array.from([...four(0x04034b50), ...about, ...sizes, ...names]), title, blob);
    const place = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...four(offset)];
    directory.push(Uint8Array.from([...four(0x02014b50), 20, 0, ...about, ...sizes, ...names, ...place]), title);
    offset += 30 + title.length + blob.size;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  if (offset + size >= 2 ** 32) throw new Error("Together the photos are larger than 4 GB; download them one by one.");
  const count = [files.length & 255, files.length >> 8];
  const end = [...four(0x06054b50), 0, 0, 0, 0, ...count, ...count, ...four(size), ...four(offset), 0, 0];
  return new Blob([...parts, ...directory, Uint8Array.from(end)], { type: "application/zip" });
}

function four(value) {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
}
