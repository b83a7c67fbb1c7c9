() => {
  // What Gradio leaves without a name or without a key is given both here, again whenever the page changes.
  const set = (element, name, value) => {
    if (element && element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  };
  const stem = (image) => decodeURIComponent(image.src.split("/").pop()).replace(/\.\w+$/, "").replaceAll(/[-_]/g, " ");

  // The handle between before and after: a slider for the arrow keys, which move it as a mouse would.
  const share = (outer) => parseFloat(outer.parentElement.querySelector("img.fixed")?.style.clipPath.split(" ").pop());
  const move = (outer, percent) => {
    const box = outer.parentElement.querySelector("img.fixed").getBoundingClientRect();
    const mouse = (target, kind, x) => target.dispatchEvent(new MouseEvent(kind, {
      bubbles: true, cancelable: true, view: window, clientX: x, clientY: box.top + box.height / 2 }));
    const x = (at) => box.left + box.width * at / 100;
    mouse(outer, "mousedown", x(share(outer)));
    mouse(window, "mousemove", x(Math.min(100, Math.max(0, percent))));
    mouse(window, "mouseup", x(percent));
  };
  const press = (event) => {
    const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -20, PageUp: 20, Home: -100, End: 100 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    move(event.currentTarget, share(event.currentTarget) + steps[event.key]);
  };

  const name = () => {
    document.querySelectorAll(".styles .thumbnail-item").forEach((tile) =>
      set(tile, "aria-label", tile.querySelector(".caption-label")?.textContent.trim() || "Style"));
    document.querySelectorAll('[id^="examples-"] img').forEach((image) => set(image, "alt", stem(image)));
    document.querySelectorAll(".blind .image-container > button").forEach((button) =>
      set(button, "aria-label", button.closest(".block").querySelector('[data-testid="block-label"]').textContent.trim()));
    document.querySelectorAll(".empty[aria-label]").forEach((box) => set(box, "role", "img"));
    // results are read out; progress, which changes all the time, is not
    document.querySelectorAll(".prose.status").forEach((line) =>
      set(line, "aria-live", line.querySelector("progress") ? "off" : "polite"));
    document.querySelectorAll('[data-testid="slider"]').forEach((outer) => {
      const images = outer.parentElement.querySelectorAll("img");
      ["The photograph", "The painting"].forEach((text, number) => set(images[number], "alt", text));
      if (!Number.isFinite(share(outer))) return;
      if (!outer.hasAttribute("tabindex")) outer.addEventListener("keydown", press);
      Object.entries({ role: "slider", tabindex: 0, "aria-label": "Before and after", "aria-valuemin": 0,
        "aria-valuemax": 100, "aria-valuenow": Math.round(share(outer)) }).forEach(([key, value]) => set(outer, key, value));
    });
  };
  // Gradio loses a click that comes while it still stops the job before: the button that begins rests as long.
  document.addEventListener("click", ({ target }) => {
    const begin = target.closest("button.stop")?.closest(".begin").querySelector("button.primary");
    if (!begin) return;
    begin.inert = true;
    setTimeout(() => { begin.inert = false; }, 1500);
  });

  let waiting = false;
  new MutationObserver(() => {
    if (!waiting) requestAnimationFrame(() => { waiting = false; name(); });
    waiting = true;
  }).observe(document.body, { childList: true, subtree: true, attributeFilter: ["src", "style", "aria-label", "alt"] });
  name();
}
