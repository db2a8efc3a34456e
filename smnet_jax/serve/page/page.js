// The page: a list of photos, one of them shown. Who computes is ./engine.js's affair: the server, or this browser.

import * as engine from "./engine.js";
import { Viewer } from "./viewer.js";
import { zip } from "./zip.js";

const $ = (id) => document.getElementById(id);
const photos = []; // {source, name, state: waiting|working|done|failed, before, after, file, notes, error, item}
let shown = null;
let working = 0;

const viewer = new Viewer($("canvas"), () => {
  $("split").value = Math.round(viewer.split * 100);
  $("zoom-value").textContent = viewer.before ? `${Math.round(viewer.scale * 100)} %` : "";
  const [left, right] = [viewer.split > 0.08, viewer.split < 0.92];
  $("tag-before").hidden = !viewer.after || !left;
  $("tag-after").hidden = !viewer.after || !right;
});

/** What the knobs say: strength from 0 to 1, exposure in stops. */
const chosen = () => ({ strength: Number($("strength").value) / 100, exposure: Number($("exposure").value) });

// Photos come in: chosen, dropped or pasted

$("files").addEventListener("change", () => {
  add([...$("files").files]);
  $("files").value = ""; // so that the same file can be chosen again
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  add([...event.dataTransfer.files]);
});
document.addEventListener("paste", (event) => add([...event.clipboardData.files]));

function add(files) {
  if (!files.length) {
    if (!photos.length) $("about").textContent = "That was no file. Drop photos from a folder, or choose them.";
    return;
  }
  for (const source of files) {
    const photo = { source, name: source.name || "photo.png", state: "waiting", text: "waiting", notes: [] };
    photo.item = listed(photo);
    photos.push(photo);
  }
  $("empty").hidden = true;
  $("work").hidden = $("batch").hidden = false;
  if (!shown) show(photos[0]);
  work();
}

// Photos are computed

function work() {
  tell();
  while (working < engine.parallel) {
    const photo = photos.find((p) => p.state === "waiting");
    if (!photo) return;
    working++;
    compute(photo).finally(() => {
      working--;
      work();
    });
  }
}

async function compute(photo) {
  set(photo, "working", "computing …");
  try {
    Object.assign(photo, await engine.enhance(photo.source, (text) => set(photo, "working", text)));
    await thumbnail(photo);
    set(photo, "done", "done");
  } catch (error) {
    photo.error = error.message;
    set(photo, "failed", error.message);
  }
}

function set(photo, state, text) {
  photo.state = state;
  photo.text = text;
  const line = photo.item.querySelector(".state");
  line.textContent = text;
  line.className = `state ${state === "failed" ? "bad" : state}`;
  if (photo === shown) show(photo, true);
  tell();
}

function tell() {
  const count = (state) => photos.filter((p) => p.state === state).length;
  const [done, failed] = [count("done"), count("failed")];
  $("progress").max = photos.length || 1;
  $("progress").value = done + failed;
  $("progress").hidden = photos.length < 2;
  let text = `${done} of ${photos.length} photo${photos.length === 1 ? "" : "s"} done`;
  if (failed) text += `, ${failed} could not be brightened`;
  if ($("status").textContent !== `${text}.`) $("status").textContent = `${text}.`;
  $("save").disabled = shown?.state !== "done";
  $("save-all").hidden = photos.length < 2;
  $("save-all").disabled = !done || done + failed < photos.length;
}

// One photo is shown

function listed(photo) {
  const item = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  const [picture, name, state] = ["canvas", "span", "span"].map((tag) => document.createElement(tag));
  picture.setAttribute("aria-hidden", "true");
  name.className = "name";
  name.textContent = name.title = photo.name;
  state.className = "state";
  state.textContent = "waiting";
  button.append(picture, name, state);
  button.addEventListener("click", () => show(photo));
  item.append(button);
  $("photos").append(item);
  return item;
}

async function show(photo, keepPlace = false) {
  shown = photo;
  for (const other of photos) other.item.firstChild.setAttribute("aria-current", String(other === photo));
  if (!keepPlace) viewer.show(null, null);
  const state = photo.state;
  say(state === "failed" ? `${photo.name}: ${photo.error}` : state === "done" ? "opening …" : photo.text, state === "failed");
  $("notes").textContent = photo.notes.join(". ");
  $("notes").hidden = !photo.notes.length;
  $("canvas").setAttribute("aria-label", `${photo.name}, ${state === "done" ? "before and after" : state}`);
  tell();
  const [before, after] = await Promise.all([bitmap(photo.before ?? photo.source), bitmap(photo.after)]);
  if (shown !== photo || photo.state !== state) {
    for (const unused of [before, after]) unused?.close();
    return;
  }
  viewer.show(before, after, keepPlace && viewer.before !== null);
  if (state === "done") say("");
}

function say(text, bad = false) {
  $("message").textContent = text;
  $("message").className = bad ? "bad" : "";
  $("message").hidden = !text;
}

async function bitmap(blob) {
  try {
    return blob ? await createImageBitmap(blob) : null;
  } catch {
    return null; // a TIFF before the server has seen it, or no photo at all
  }
}

async function thumbnail(photo) {
  const canvas = photo.item.querySelector("canvas");
  const after = await createImageBitmap(photo.after, { resizeHeight: 176, resizeQuality: "medium" });
  [canvas.width, canvas.height] = [after.width, after.height];
  canvas.getContext("2d").drawImage(after, 0, 0);
  after.close();
}

for (const knob of ["strength", "exposure"]) {
  $(knob).addEventListener("input", turn);
  $(knob).addEventListener("dblclick", () => {
    $(knob).value = $(knob).defaultValue;
    turn();
  });
}

function turn() {
  const { strength, exposure } = Object.assign(viewer, chosen());
  $("strength-value").textContent = `${Math.round(100 * strength)} %`;
  $("exposure-value").textContent = `${exposure > 0 ? "+" : exposure < 0 ? "−" : ""}${Math.abs(exposure).toFixed(1)} EV`;
  viewer.draw();
}
$("split").addEventListener("input", () => {
  viewer.split = Number($("split").value) / 100;
  viewer.draw();
  viewer.changed();
});
$("zoom-in").addEventListener("click", () => viewer.step(1));
$("zoom-out").addEventListener("click", () => viewer.step(-1));
$("zoom-fit").addEventListener("click", () => viewer.zoomTo(0));
$("zoom-pixels").addEventListener("click", () => viewer.zoomTo(1));

// Photos go out

const ENDINGS = {
  "image/jpeg": ".jpg",
  "image/png": ".png",
  "image/webp": ".webp",
  "image/avif": ".avif",
  "image/bmp": ".bmp",
  "image/tiff": ".tiff",
};

function resultName(photo, blob, taken = new Set()) {
  const stem = `${photo.name.replace(/\.[^.]*$/, "")}_bright`;
  const ending = ENDINGS[blob.type] ?? "";
  let name = stem + ending;
  for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${stem}_${n}${ending}`;
  taken.add(name.toLowerCase());
  return name;
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Run a download with its button shut; what goes wrong is said where the photo is. */
async function saving(button, text, action) {
  const usual = button.textContent;
  button.disabled = true;
  button.textContent = text;
  try {
    await action();
  } catch (error) {
    say(`Not downloaded: ${error.message}`, true);
  }
  button.textContent = usual;
  tell();
}

$("save").addEventListener("click", () =>
  saving($("save"), "Preparing …", async () => {
    const photo = shown;
    const blob = await engine.finish(photo, chosen());
    save(blob, resultName(photo, blob));
  }),
);
$("save-all").addEventListener("click", () =>
  saving($("save-all"), "Preparing …", async () => {
    const [taken, files, choice] = [new Set(), [], chosen()];
    for (const photo of photos.filter((p) => p.state === "done")) {
      const blob = await engine.finish(photo, choice);
      files.push({ name: resultName(photo, blob, taken), blob });
    }
    save(await zip(files), "bright_photos.zip");
  }),
);
$("clear").addEventListener("click", () => {
  photos.length = 0;
  shown = null;
  $("photos").replaceChildren();
  viewer.show(null, null);
  $("work").hidden = $("batch").hidden = true;
  $("empty").hidden = false;
  $("files").focus();
});

try {
  const { where, about } = await engine.start();
  $("where").textContent = where;
  $("about").textContent = about;
} catch (error) {
  $("where").textContent = error.message;
}
document.body.dataset.ready = "yes"; // what is dropped now is taken
