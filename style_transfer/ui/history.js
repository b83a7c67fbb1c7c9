// The strip of finished results: noted when a tab's download button changes and its job has ended, shown large in a dialog.
const MOST = 30, BYTES = 200e6;  // the oldest go first
const LIMIT = 20000;  // characters of settings
const find = (selector) => element.querySelector(selector);
let made = [], shown = null, number = 0;
const pending = new Map();  // download button's id -> { tab, url } of its newest picture
const noted = new Map();  // download button's id -> url of the last one in the strip: a button may tell of a picture twice

// The JSON under the keyword "style-transfer" in a PNG's text chunks, uncompressed, or "".
const settings = (bytes) => {
  const view = new DataView(bytes), text = (from, to, kind = "utf-8") => new TextDecoder(kind).decode(bytes.slice(from, to));
  if (bytes.byteLength < 8 || view.getUint32(0) !== 0x89504e47) return "";
  for (let at = 8; at + 12 <= bytes.byteLength;) {
    const end = at + 8 + view.getUint32(at), type = text(at + 4, at + 8, "latin1");
    if (end > bytes.byteLength) return "";
    if (type === "tEXt" || type === "iTXt") {
      const zero = (from) => { while (from < end && view.getUint8(from)) from += 1; return from; };
      const key = zero(at + 8);
      if (text(at + 8, key, "latin1") === "style-transfer") {
        if (type === "tEXt") return text(key + 1, end, "latin1");
        return view.getUint8(key + 1) ? "" : text(zero(zero(key + 3) + 1) + 1, end);  // compressed ones are not read
      }
    }
    at = end + 4;
  }
  return "";
};
const usable = (text) => {
  try { return text.length <= LIMIT && JSON.parse(text)?.constructor === Object; } catch { return false; }
};

const thumbnail = (image) => {
  const scale = 160 / Math.min(image.width, image.height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.width * Math.min(1, scale));
  canvas.height = Math.round(image.height * Math.min(1, scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/webp", 0.85);
};

const forget = (item) => {
  URL.revokeObjectURL(item.address);
  made = made.filter((other) => other !== item);
};

const add = async (tab, url, status) => {
  const blob = await (await fetch(url)).blob();
  if (!blob.type.startsWith("image/")) return;  // films and the like are too large to be kept
  const text = settings(await blob.arrayBuffer()), image = await createImageBitmap(blob), { width, height } = image;
  const item = { tab, status, text: usable(text) ? text : "", size: blob.size, thumb: thumbnail(image), width, height,
    time: new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }), number: ++number,
    name: decodeURIComponent(url.split("/").pop()), address: URL.createObjectURL(blob) };
  image.close();
  made.unshift(item);
  const total = () => made.reduce((sum, other) => sum + other.size, 0);
  while (made.length > 1 && (made.length > MOST || total() > BYTES)) forget(made.findLast((other) => other !== shown));
  draw();
};

const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
// "The Scream, 768 × 576 pixels, 0.5 s" names the picture; "Done: ..." and "Stopped: ..." do not
const caption = ({ number, tab, status, time }) =>
  `${number}. ${/^[^:,]+,/.test(status) ? status.split(",")[0] : tab}, ${time}`;
const draw = () => {
  find(".history").hidden = !made.length;
  find(".history ol").replaceChildren(...made.map((item) => make("li", {},
    make("button", { type: "button", title: item.status, onclick: () => open(item) },
      make("img", { src: item.thumb, alt: "" }), make("span", { textContent: caption(item) })))));
};

// with its size, so that nothing moves below a finger when the picture has been decoded
const figure = (item) => make("figure", {},
  make("img", { src: item.address, alt: caption(item), width: item.width, height: item.height }),
  make("figcaption", {}, make("strong", { textContent: `${item.number}. ${item.tab}, ${item.time}` }), ` ${item.status}`));
const compare = () => {
  const other = made.find((item) => String(item.number) === find("dialog select").value);
  find("dialog").classList.toggle("two", Boolean(other));
  find("dialog .pictures").replaceChildren(...[shown, other].filter(Boolean).map(figure));
};
const open = (item) => {
  shown = item;
  Object.assign(find("dialog .download"), { href: item.address, download: item.name });
  find("dialog .use").hidden = !item.text;
  Object.assign(find("dialog .copy"), { hidden: !item.text || !navigator.clipboard, textContent: "Copy the settings" });
  const others = made.filter((other) => other !== item);
  find("dialog select").replaceChildren(make("option", { value: "", textContent: "nothing" }),
    ...others.map((other) => make("option", { value: other.number, textContent: caption(other) })));
  find("dialog label").hidden = !others.length;
  compare();
  find("dialog").showModal();
};
const close = () => find("dialog").close();
find("dialog select").addEventListener("change", compare);
find("dialog").addEventListener("close", () => { shown = null; find("dialog .pictures").replaceChildren(); });
find("dialog").addEventListener("click", (event) => { if (event.target === find("dialog")) close(); });
find("dialog .use").addEventListener("click", () => { props.value = shown.text; close(); trigger("restore"); });
find("dialog .copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(shown.text);
  find("dialog .copy").textContent = "Copied";
});
find("dialog .remove").addEventListener("click", () => { forget(shown); close(); draw(); });

// A job has ended when its Stop is at rest: previews before that do not count, the last one after Stop does.
const settle = () => {
  for (const [id, { tab, url }] of pending) {
    const studio = document.getElementById(id)?.closest(".studio") || document.getElementById(id)?.closest("[role=tabpanel]");
    const buttons = [...studio?.querySelectorAll("button") || []];
    if (buttons.some((button) => button.textContent.trim() === "Stop" && !button.disabled)) continue;
    pending.delete(id);
    noted.set(id, url);
    add(tab, url, studio?.querySelector(".status .prose, .prose.status")?.textContent.trim() || "").catch(() => {});
  }
  if (pending.size) setTimeout(settle, 300);
};
addEventListener("style-transfer-result", ({ detail: { id, tab, url, opening } }) => {
  if (!url || noted.get(id) === url || opening && url.endsWith(opening)) return;
  if (!pending.size) setTimeout(settle, 300);
  pending.set(id, { tab, url });
});
