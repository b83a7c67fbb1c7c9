// The live camera of the page: pictures go from the video to a worker that paints them, and from there to the canvas.

const SIDE = 16; // of which the networks take multiples, two at least
const ERRORS = {
  NotAllowedError: "The camera is not allowed for this page: allow it at the camera sign beside the address, then start again.",
  NotFoundError: "There is no camera here: connect one, then start again.",
  OverconstrainedError: "There is no camera here: connect one, then start again.",
  NotReadableError: "The camera is in use by another program: close that one, then start again.",
  AbortError: "The camera is in use by another program: close that one, then start again.",
};
const NO_CAMERA = "This page gets no camera: open it by https in a current browser, or let the server paint, below.";
const NO_PAINTER = "This browser cannot paint by itself: take a current one, or let the server paint, below.";

// The sides of what is painted: the long one as asked for, both multiples of SIDE.
export function sides(width, height, long) {
  const scale = long / Math.max(width, height);
  return [width, height].map((side) => Math.max(2 * SIDE, Math.round(side * scale / SIDE) * SIDE));
}

// The part of the video with the shape of what is painted: [x, y, width, height].
export function cut(videoWidth, videoHeight, width, height) {
  const scale = Math.min(videoWidth / width, videoHeight / height);
  return [(videoWidth - width * scale) / 2, (videoHeight - height * scale) / 2, width * scale, height * scale];
}

export function start(element, { base, styles }) {
  const find = (selector) => element.querySelector(selector);
  const stage = find(".stage"), video = find("video"), canvas = find("canvas"), rate = find(".rate"), said = find(".said");
  const startButton = find(".start"), snapshot = find(".snapshot"), other = find(".other"), detail = find("select");
  const shown = canvas.getContext("2d");
  const taken = document.createElement("canvas"), taking = taken.getContext("2d", { willReadFrequently: true });
  let style = styles[0], worker = null, stream = null, asked = 0, mirrored = false;
  let busy = false, fresh = false, times = [];

  const say = (text) => { said.textContent = text; };

  const tiles = styles.map((one) => {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    if (one.tile) button.append(Object.assign(document.createElement("img"), { src: new URL(one.tile, base), alt: "" }));
    button.append(one.title);
    button.addEventListener("click", () => choose(one));
    find(".tiles").append(button);
    return button;
  });

  function choose(one) {
    style = one;
    tiles.forEach((tile, number) => tile.setAttribute("aria-pressed", styles[number] === one));
    if (stream) say(`${one.title} is coming …`);
  }

  function paint() {
    if (!stream || busy || !fresh) return;
    if (!canvas.isConnected || stage.offsetParent === null) { stop("The camera was stopped when you left it."); return; }
    const [width, height] = sides(video.videoWidth, video.videoHeight, Number(detail.value));
    Object.assign(taken, { width, height });
    if (mirrored) taking.setTransform(-1, 0, 0, 1, width, 0);
    taking.drawImage(video, ...cut(video.videoWidth, video.videoHeight, width, height), 0, 0, width, height);
    const pixels = taking.getImageData(0, 0, width, height).data.buffer;
    busy = true;
    fresh = false;
    // the other styles are fetched behind the first picture, so that they are there when the server is not
    const others = navigator.connection?.saveData ? [] : styles.map((one) => one.file);
    worker.postMessage({ asked, style: style.file, pixels, width, height, others }, [pixels]);
  }

  function painted({ pixels, width, height, style: file, device }) {
    const one = styles.find((each) => each.file === file);
    if (canvas.width !== width || canvas.height !== height) {
      Object.assign(canvas, { width, height });
      stage.style.aspectRatio = `${width} / ${height}`;
    }
    shown.putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
    stage.classList.add("painted");
    snapshot.disabled = rate.hidden = false;
    const now = performance.now();
    times = [...times.filter((time) => now - time < 2000), now];
    if (times.length > 1) {
      const number = 1000 * (times.length - 1) / (now - times[0]);
      rate.textContent = `${number.toFixed(number < 10 ? 1 : 0)} pictures a second`;
    }
    if (canvas.dataset.style !== one.file) {
      canvas.dataset.style = one.file;
      canvas.setAttribute("aria-label", `The camera's picture, painted in the style of ${one.title}`);
      say(`${one.title}, painted by this device's ${device}, ${width} × ${height} pixels.`);
    }
  }

  function answered({ data }) {
    busy = false;
    if (data.asked !== asked || !stream) return;
    if (data.error) { fail(data.error); return; }
    paint(); // the next one is on its way before this one is shown
    painted(data);
  }

  function fail(details) {
    console.warn(details);
    stop(NO_PAINTER);
    worker?.terminate();
    worker = null;
    busy = false;
  }

  function watch() {
    if (!stream) return;
    fresh = true;
    paint();
    if (stream) (video.requestVideoFrameCallback ?? ((next) => requestAnimationFrame(next))).call(video, watch);
  }

  async function open(wanted) {
    stop("");
    const mine = asked;
    if (!navigator.mediaDevices?.getUserMedia) { say(NO_CAMERA); return; }
    if (!window.WebAssembly || !window.DecompressionStream) { say(NO_PAINTER); return; }
    say("Waiting for the camera …");
    try {
      const size = { width: { ideal: 640 }, height: { ideal: 480 } };
      const opened = await navigator.mediaDevices.getUserMedia({ audio: false, video: { ...size, ...wanted } });
      if (mine !== asked) { opened.getTracks().forEach((track) => track.stop()); return; }
      stream = opened;
      video.srcObject = stream;
      await video.play();
    } catch (error) {
      if (mine === asked) stop(ERRORS[error.name] ?? NO_CAMERA);
      return;
    }
    if (mine !== asked) return;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => { if (mine === asked) stop("The camera is gone: connect it, then start again."); });
    mirrored = track.getSettings().facingMode !== "environment";
    stage.classList.toggle("mirrored", mirrored);
    stage.classList.add("on");
    stage.style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
    startButton.textContent = "Stop";
    say("Fetching the painter …");
    if (!worker) {
      worker = new Worker(new URL("worker.js", base), { type: "module" });
      worker.onmessage = answered;
      worker.onerror = (event) => fail(event.message);
      worker.postMessage({ base: String(base) });
    }
    watch();
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
    other.hidden = cameras.length < 2;
    other.onclick = () => {
      const { facingMode, deviceId } = track.getSettings();
      const next = cameras[(cameras.findIndex((device) => device.deviceId === deviceId) + 1) % cameras.length];
      open(facingMode ? { facingMode: facingMode === "user" ? "environment" : "user" } : { deviceId: { exact: next.deviceId } });
    };
  }

  function stop(text) {
    asked += 1;
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    times = [];
    stage.classList.remove("on");
    rate.hidden = other.hidden = true;
    delete canvas.dataset.style;
    startButton.textContent = "Start camera";
    say(text);
  }

  startButton.addEventListener("click", () => {
    if (stream) stop("Stopped. The last picture can still be saved.");
    else open({ facingMode: "user" });
  });
  snapshot.addEventListener("click", () => canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: "camera.png" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`A snapshot of ${canvas.width} × ${canvas.height} pixels was saved.`);
  }, "image/png"));
  choose(style);
  startButton.disabled = false;
}
