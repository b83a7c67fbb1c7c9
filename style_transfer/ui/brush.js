// A canvas over the photograph: one colour a style. What was painted is uploaded when the brush is lifted, as a picture of the
// regions on black; the value is that file, or nothing where nothing is painted.
const LONG = 768; // pixels of the long side of the regions
const canvas = element.querySelector("canvas"), image = element.querySelector("img"), context = canvas.getContext("2d");
const tools = [...element.querySelectorAll("[data-color]")], size = element.querySelector("input");
let tool = tools[0], last = null, empty = true, timer;

const photograph = () => document.querySelector("#photograph [data-testid=image] img")?.src || "";
const clear = () => { context.clearRect(0, 0, canvas.width, canvas.height); empty = true; };
const show = () => {
  const source = photograph();
  element.querySelector(".stage").hidden = !source;
  if (source && image.src !== source) image.src = source;
};
image.onload = () => {
  const scale = LONG / Math.max(image.naturalWidth, image.naturalHeight), old = empty;
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight].map((side) => Math.max(1, Math.round(side * scale)));
  empty = true;
  if (!old) tell();
};
const tell = () => {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (empty) { props.value = ""; trigger("release"); return; }
    const regions = new OffscreenCanvas(canvas.width, canvas.height), pen = regions.getContext("2d");
    pen.fillRect(0, 0, regions.width, regions.height);
    pen.drawImage(canvas, 0, 0);
    const file = new File([await regions.convertToBlob({ type: "image/png" })], "regions.png", { type: "image/png" });
    props.value = (await upload(file)).path;
    trigger("release");
  }, 250);
};
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width * canvas.width, (event.clientY - box.top) / box.height * canvas.height];
};
const draw = (event) => {
  const place = at(event);
  context.globalCompositeOperation = tool.dataset.color ? "source-over" : "destination-out";
  context.strokeStyle = tool.dataset.color || "#000";
  context.lineWidth = size.value / 100 * Math.max(canvas.width, canvas.height);
  context.lineCap = context.lineJoin = "round";
  context.beginPath();
  context.moveTo(...(last || place));
  context.lineTo(...place);
  context.stroke();
  if (tool.dataset.color) empty = false;
  last = place;
};
canvas.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  draw(event);
});
canvas.addEventListener("pointermove", (event) => last && draw(event));
for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => { if (last) tell(); last = null; });
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.hasAttribute("data-clear")) { clear(); tell(); return; }
  tool = button;
  for (const other of tools) other.setAttribute("aria-pressed", other === tool);
});
new MutationObserver(show).observe(document.querySelector("#photograph"), { subtree: true, childList: true, attributeFilter: ["src"] });
show();
