// A photo before and after in one canvas: the border between them, strength, zoom and panning.
//
// Strength is a blend of the two pictures, done by the canvas itself, and exposure a curve over what is visible, so that
// neither slider costs a new computation.

import { adjust } from "./knob.js";

const LARGEST = 16; // screen pixels for a pixel of the photo
const STEP = 2;
const GRIP = 24; // CSS pixels around the border within which a drag moves it, also where the photo is enlarged

export class Viewer {
  /** changed() is called when zoom or border were moved in the canvas itself. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.before = this.after = null; // ImageBitmap
    this.strength = 1;
    this.exposure = 0; // stops
    this.split = 0.5; // where the border stands between the photo's visible left and right
    this.zoom = 0; // screen pixels for a pixel of the photo; 0: as fits
    this.centre = [0.5, 0.5]; // of the photo, at the canvas' centre
    this.pointers = new Map();
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("dblclick", (event) => this.zoomTo(this.zoom ? 0 : 1, this.#at(event)));
  }

  /** Show another photo; `after` may be null while it is computed. Bitmaps shown before are let go. */
  show(before, after, keepPlace = false) {
    for (const old of [this.before, this.after]) {
      if (old && old !== before && old !== after) old.close();
    }
    this.before = before;
    this.after = after;
    if (!keepPlace) {
      this.zoom = 0;
      this.centre = [0.5, 0.5];
    }
    this.draw();
    this.changed();
  }

  /** Screen pixels for a pixel of the photo, as shown now. */
  get scale() {
    return this.zoom || this.#fitting();
  }

  /** Zoom to `scale` (0: as fits), keeping the place of the photo that lies at `at` in the canvas, in screen pixels. */
  zoomTo(scale, at = null) {
    if (!this.before) return;
    const { width, height } = this.#size();
    const place = at || [width / 2, height / 2];
    const before = this.#toPhoto(place);
    this.zoom = scale <= this.#fitting() * 1.001 ? 0 : Math.min(scale, LARGEST);
    if (this.zoom) {
      const now = this.scale;
      this.centre = [0, 1].map((i) => {
        const pixels = [this.before.width, this.before.height][i];
        return (before[i] * pixels - (place[i] - [width, height][i] / 2) / now) / pixels;
      });
    } else {
      this.centre = [0.5, 0.5];
    }
    this.#keepInside();
    this.draw();
    this.changed();
  }

  step(direction, at = null) {
    this.zoomTo(this.scale * STEP ** direction, at);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.#draw();
    });
  }

  #fitting() {
    if (!this.before) return 1;
    const { width, height } = this.#size();
    return Math.min(width / this.before.width, height / this.before.height, 4 * devicePixelRatio);
  }

  #size() {
    const box = this.canvas.getBoundingClientRect();
    return { width: Math.round(box.width * devicePixelRatio), height: Math.round(box.height * devicePixelRatio) };
  }

  #origin() {
    const { width, height } = this.#size();
    const scale = this.scale;
    const origin = [
      width / 2 - this.centre[0] * this.before.width * scale,
      height / 2 - this.centre[1] * this.before.height * scale,
    ];
    return this.zoom >= 1 ? origin.map(Math.round) : origin; // whole pixels stay sharp
  }

  #draw() {
    const { width, height } = this.#size();
    const { canvas } = this;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    canvas.classList.toggle("enlarged", this.zoom > 0);
    if (!this.before) return;
    const scale = this.scale;
    const [x, y] = this.#origin();
    context.imageSmoothingEnabled = scale < 2;
    context.imageSmoothingQuality = "medium";
    const put = (bitmap, alpha) => {
      context.globalAlpha = alpha;
      context.drawImage(bitmap, x, y, this.before.width * scale, this.before.height * scale);
      context.globalAlpha = 1;
    };
    put(this.before, 1);
    if (!this.after) return;
    const border = Math.round(this.#border());
    context.save();
    context.beginPath();
    context.rect(border, 0, width - border, height);
    context.clip();
    if (this.strength > 0) put(this.after, this.strength);
    context.restore();
    if (this.exposure !== 0) this.#expose(context, border);
    const thick = Math.max(1, Math.round(2 * devicePixelRatio));
    context.fillStyle = "rgb(255 255 255 / .9)";
    context.fillRect(border - thick / 2, 0, thick, height);
    context.beginPath();
    context.arc(border, height / 2, 9 * devicePixelRatio, 0, 7);
    context.fill();
    context.strokeStyle = "rgb(0 0 0 / .35)";
    context.lineWidth = devicePixelRatio;
    context.stroke();
  }

  /** The knob over what the canvas shows of the result: right of the border, within the photo. */
  #expose(context, border) {
    const { width, height } = this.#size();
    const [x, y] = this.#origin();
    const inside = (place, most) => Math.min(most, Math.max(0, Math.round(place)));
    const left = Math.max(border, inside(x, width));
    const right = inside(x + this.before.width * this.scale, width);
    const top = inside(y, height);
    const bottom = inside(y + this.before.height * this.scale, height);
    if (right <= left || bottom <= top) return;
    const shown = context.getImageData(left, top, right - left, bottom - top);
    adjust(shown.data, this.exposure);
    context.putImageData(shown, left, top);
  }

  /** The photo's visible left and right, in screen pixels of the canvas. */
  #visible() {
    const left = this.#origin()[0];
    return [Math.max(0, left), Math.min(this.#size().width, left + this.before.width * this.scale)];
  }

  #border() {
    const [left, right] = this.#visible();
    return left + this.split * (right - left);
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * devicePixelRatio, (event.clientY - box.top) * devicePixelRatio];
  }

  #toPhoto([x, y]) {
    const origin = this.#origin();
    return [(x - origin[0]) / (this.before.width * this.scale), (y - origin[1]) / (this.before.height * this.scale)];
  }

  #keepInside() {
    this.centre = this.centre.map((place) => Math.min(1, Math.max(0, place)));
  }

  #setSplit(x) {
    const [left, right] = this.#visible();
    this.split = Math.min(1, Math.max(0, (x - left) / (right - left || 1)));
    this.draw();
    this.changed();
  }

  #pan(dx, dy) {
    this.centre[0] -= dx / (this.before.width * this.scale);
    this.centre[1] -= dy / (this.before.height * this.scale);
    this.#keepInside();
    this.draw();
  }

  #down(event) {
    if (!this.before || event.button > 0) return;
    const at = this.#at(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, at);
    const near = Math.abs(at[0] - this.#border()) < GRIP * devicePixelRatio;
    this.moves = this.zoom && !near ? "photo" : "border";
    if (this.pointers.size === 1 && this.moves === "border") this.#setSplit(at[0]);
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before || !this.before) return;
    const at = this.#at(event);
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      this.zoomTo((this.scale * apart(at)) / apart(before), [(at[0] + other[0]) / 2, (at[1] + other[1]) / 2]);
    } else if (this.moves === "photo") {
      this.#pan(at[0] - before[0], at[1] - before[1]);
    } else {
      this.#setSplit(at[0]);
    }
    this.pointers.set(event.pointerId, at);
  }

  #wheel(event) {
    if (!this.before) return;
    event.preventDefault();
    this.zoomTo(this.scale * 2 ** (-event.deltaY / 300), this.#at(event));
  }

  #key(event) {
    if (!this.before || event.ctrlKey || event.metaKey || event.altKey) return;
    const { width } = this.#size();
    const arrows = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const arrow = arrows[event.key];
    if (arrow && this.zoom) this.#pan(arrow[0] * width * 0.05, arrow[1] * width * 0.05);
    else if (arrow && arrow[0]) this.#setSplit(this.#border() - arrow[0] * width * 0.02);
    else if (event.key === "+" || event.key === "=") this.step(1);
    else if (event.key === "-") this.step(-1);
    else if (event.key === "0") this.zoomTo(0);
    else if (event.key === "1") this.zoomTo(1);
    else return;
    event.preventDefault();
  }
}
