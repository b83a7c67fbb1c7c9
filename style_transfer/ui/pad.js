// A square with a style in each corner: a knob to be moved by hand or by arrow keys; its value is "x,y" in [0, 1].
let place = [0.5, 0.5];
const pad = () => element.querySelector(".pad");
const draw = () => {
  const [x, y] = place, parts = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
  pad().querySelector("i").style.cssText = `left: ${100 * x}%; top: ${100 * y}%`;
  pad().setAttribute("aria-valuenow", Math.round(100 * x));
  pad().setAttribute("aria-valuetext", parts.map((part, n) => `style ${n + 1} ${Math.round(100 * part)} %`)
    .filter((text) => !text.endsWith(" 0 %")).join(", "));
};
const move = (x, y) => { place = [x, y].map((v) => Math.min(1, Math.max(0, v))); draw(); };
const tell = () => { props.value = place.map((v) => v.toFixed(3)).join(","); draw(); trigger("release"); };
const follow = (event) => {
  const box = pad().getBoundingClientRect();
  move((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
};
element.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".pad")) return;
  event.preventDefault();
  pad().focus();
  follow(event);
  const end = () => { removeEventListener("pointermove", follow); tell(); };
  addEventListener("pointermove", follow);
  addEventListener("pointerup", end, { once: true });
});
const STEPS = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
element.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step) return;
  event.preventDefault();
  move(place[0] + step[0], place[1] + step[1]);
});
element.addEventListener("keyup", (event) => { if (event.key in STEPS) tell(); });
watch("value", draw);
draw();
