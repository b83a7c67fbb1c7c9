// Paints pictures in the browser: one network at a time, by WebGPU where there is a graphics card, by WebAssembly elsewhere.

let base, ort, provider, session, current, ready;
const files = new Map(); // what was fetched: it goes on without the server

const get = (name) => {
  if (!files.has(name)) {
    files.set(name, fetch(new URL(name, base)).then((answer) => {
      if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
      return name.endsWith(".gz") ? new Response(answer.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer()
        : answer.arrayBuffer();
    }));
    files.get(name).catch(() => files.delete(name)); // to be tried again
  }
  return files.get(name);
};

async function use(name, script, build) {
  ort = await import(new URL(script, base));
  ort.env.logLevel = "error"; // which nodes a graphics card leaves to the processor is no news
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.wasmPaths = { mjs: String(new URL(`${build}.mjs`, base)) };
  ort.env.wasm.wasmBinary = await get(`${build}.wasm.gz`);
  [provider, session, current] = [name, null, null];
}

const useProcessor = () => use("wasm", "ort.wasm.min.mjs", "ort-wasm-simd-threaded");
const useGraphics = () => use("webgpu", "ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify");

const create = (bytes, name) => ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: [name] });

// Drivers differ: a graphics card is trusted when it paints a small picture as the processor does.
async function check(style) {
  const values = Float32Array.from({ length: 3 * 32 * 32 }, (_, i) => (i * 7919) % 1000 / 1000), found = [];
  for (const name of ["wasm", provider]) {
    const one = await create(await get(style), name);
    const { painting } = await one.run({ picture: new ort.Tensor("float32", values, [1, 3, 32, 32]) });
    found.push(await painting.getData());
    await one.release();
  }
  if (!found[0].every((value, i) => Math.abs(value - found[1][i]) < 0.02)) throw new Error("The graphics card paints wrongly.");
}

async function begin(style) {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (!adapter || adapter.info?.isFallbackAdapter) return useProcessor();
  return useGraphics().then(() => check(style)).catch(useProcessor);
}

async function load(style) {
  if (current === style) return;
  const bytes = await get(style);
  await session?.release();
  session = current = null;
  session = await create(bytes, provider);
  current = style;
}

// pixels: RGBA in bytes, [height, width, 4]; painted in place.
async function paint(style, pixels, width, height) {
  await load(style);
  const size = width * height, values = new Float32Array(3 * size);
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) values[c * size + i] = pixels[4 * i + c] / 255;
  }
  const { painting } = await session.run({ picture: new ort.Tensor("float32", values, [1, 3, height, width]) });
  const painted = await painting.getData();
  if (!Number.isFinite(painted[0])) throw new Error("The network gave values that are no numbers.");
  for (let i = 0; i < size; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = 255 * painted[c * size + i];
  }
  painting.dispose();
}

onmessage = async ({ data }) => {
  if (data.base) {
    base = data.base;
    return;
  }
  const { asked, style, width, height } = data, pixels = new Uint8ClampedArray(data.pixels);
  try {
    await (ready ??= begin(style));
    await paint(style, pixels, width, height).catch(async (error) => {
      if (provider === "wasm") throw error;
      await useProcessor(); // a graphics card that is lost, or cannot do it
      await paint(style, pixels, width, height);
    });
    const device = provider === "wasm" ? "processor" : "graphics card";
    postMessage({ asked, style, device, pixels: pixels.buffer, width, height }, [pixels.buffer]);
  } catch (error) {
    postMessage({ asked, error: String(error) });
  }
  if (data.others) data.others.forEach((name) => get(name).catch(() => {}));
};
