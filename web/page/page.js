/** The page: an image in, a model chosen, the image restored. WORKER, CORE and MODELS come from web/build.py. */

/** @template {HTMLElement} T @param {string} id @returns {T} */
const $ = (id) => /** @type {any} */ (document.getElementById(id));
const decode = async (text, packed) => {
  const bytes = await (await fetch(`data:application/octet-stream;base64,${text}`)).blob();
  const stream = packed ? bytes.stream().pipeThrough(new DecompressionStream("gzip")) : bytes.stream();
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

const workers = URL.createObjectURL(new Blob([WORKER], { type: "text/javascript" }));
const compiled = decode(CORE, true).then((code) => WebAssembly.compile(code));
const scripts = {};
const plans = {};
globalThis.addPlan = (name, text) => { plans[name] = text; };

let picture, shown, restored, model, running = 0;
/** @type {AbortController | undefined} */
let stop;

// A script, which may be read where pages are files too.
function planOf(name) {
  return scripts[name] ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `models/${name}.js`;
    script.onload = () => resolve(decode(plans[name], false));
    script.onerror = () => { delete scripts[name]; reject(new Error(`models/${name}.js cannot be read`)); };
    document.head.append(script);
  });
}

async function modelOf(name) {
  if (model?.name === name) return model.loaded;
  model?.loaded.close();
  model = undefined;
  const count = Math.min(8, navigator.hardwareConcurrency || 1);
  const loaded = await Model.start(await compiled, await planOf(name), () => new Worker(workers), count);
  model = { name, loaded };
  return loaded;
}

function report(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("wrong", wrong);
}

const kib = (bytes) => `${Math.round(bytes / 1024).toLocaleString("en")} KiB`;

const isAnySize = () => MODELS.find((one) => one.name === $("model").value).anySize;

// What the field asks for: "x2.5" or "2.5", "1920x1080", or "1920x", whose height follows.
function sizeOf(text) {
  $("size").ariaInvalid = "false";
  const word = text.trim().toLowerCase().replaceAll("×", "x");
  const sides = /^([1-9]\d{0,6})x([1-9]\d{0,6})?$/.exec(word);
  if (sides) return { width: Number(sides[1]), height: sides[2] && Number(sides[2]) };
  const factor = /^x?(\d+(\.\d+)?|\.\d+)$/.exec(word);
  if (factor && Number(factor[1]) > 0) return { scale: Number(factor[1]) };
  $("size").ariaInvalid = "true";
  throw new Error(`"${text}" is no size: expected a factor such as x2.5, or a size such as 1920x1080`);
}

async function restore() {
  if (!picture) return;
  const turn = ++running;
  stop?.abort();
  stop = new AbortController();
  const { signal } = stop, image = picture;
  restored = undefined;
  $("save").disabled = true;
  $("cancel").hidden = $("progress").hidden = false;
  $("progress").removeAttribute("value");
  report("Restoring ...");
  try {
    const size = isAnySize() ? sizeOf($("size").value) : {};
    await waiting.catch(() => {});
    const loaded = await (waiting = modelOf($("model").value));
    if (turn !== running) return;
    const start = performance.now();
    const result = await loaded.restore(image, { ...size, signal, progress: (done, total) => {
      if (turn === running) Object.assign($("progress"), { max: total, value: done });
    } });
    if (turn !== running) return;
    const time = performance.now() - start;
    restored = result;
    draw(image, await scaled(result, isAnySize() ? 1 : image.width * Number($("scale").value) / result.width));
    const sizes = `${image.width}x${image.height} to ${shown.width}x${shown.height}`;
    report(`${sizes} in ${(time / 1000).toFixed(2)} s by ${$("model").value}, a model of ${kib(loaded.bytes)}.`);
    $("save").disabled = false;
  } catch (error) {
    if (turn === running) signal.aborted ? report("Cancelled.") : report(`It failed: ${error.message}`, true);
  } finally {
    if (turn === running) $("cancel").hidden = $("progress").hidden = true;
  }
}
let waiting = Promise.resolve();

// The browser resamples where a scale below the model's was chosen.
async function scaled(image, by) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.round(image.width * by), height: Math.round(image.height * by) });
  const context = canvas.getContext("2d");
  if (by === 1) context.putImageData(image, 0, 0);
  else {
    context.imageSmoothingQuality = "high";
    context.drawImage(await createImageBitmap(image), 0, 0, canvas.width, canvas.height);
  }
  return canvas;
}

function draw(image, canvas) {
  shown = canvas;
  for (const [id, width, height] of [["before", image.width, image.height], ["after", canvas.width, canvas.height]])
    Object.assign($(id), { width, height });
  $("before").getContext("2d").putImageData(image, 0, 0);
  $("after").getContext("2d").drawImage(canvas, 0, 0);
  $("view").hidden = false;
  zoom();
}

function zoom() {
  if (!shown) return;
  const factor = Number($("zoom").value);
  Object.assign($("view").style, {
    aspectRatio: `${shown.width} / ${shown.height}`,
    width: factor ? `${shown.width * factor}px` : `min(100%, ${Math.max(shown.width, 640)}px)`,
  });
}

function take(image) {
  picture = image;
  restore();
}

async function open(file) {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file);
    take(pixelsOf(bitmap.width, bitmap.height, (context) => context.drawImage(bitmap, 0, 0)));
  } catch {
    report(`${file.name || "It"} is no image that this browser can read, or it is too large.`, true);
  }
}

function pixelsOf(width, height, paint) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  paint(context);
  return context.getImageData(0, 0, width, height);
}

// The samples are drawn here: shapes that hide each other, and text.
const SAMPLES = {
  leaves(context, width, height) {
    let state = 7;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    for (let i = 0; i < 900; ++i) {
      const size = 4 + 60 / (1 + 14 * random());
      context.fillStyle = `hsl(${360 * random()} ${20 + 60 * random()}% ${15 + 70 * random()}%)`;
      context.save();
      context.translate(width * random(), height * random());
      context.rotate(7 * random());
      context.beginPath();
      random() < 0.5 ? context.ellipse(0, 0, size, size * (0.3 + 0.7 * random()), 0, 0, 7) : context.rect(0, 0, size, size);
      context.fill();
      context.restore();
    }
  },
  text(context, width, height) {
    context.fillStyle = "#f4f1e8";
    context.fillRect(0, 0, width, height);
    context.fillStyle = "#222";
    for (let line = 0, size = 18; line < 8; ++line, size -= 1.3) {
      context.font = `${size}px serif`;
      context.fillText("The otter swims at night.", 8, 26 + 19 * line);
    }
    context.strokeStyle = "#a33";
    for (let i = 0; i < 20; ++i) {
      context.beginPath();
      context.moveTo(width, 0);
      context.lineTo(width - 70 + 6 * i, height);
      context.stroke();
    }
  },
};

async function sample(name) {
  const width = 240, height = 168, task = $("task").value;
  let image = pixelsOf(width, height, (context) => {
    if (task === "deblur") context.filter = "blur(1px)";
    SAMPLES[name](context, width, height);
  });
  if (task === "denoise" || task === "denoise-colour") {
    let state = 3;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    for (let i = 0; i < image.data.length; ++i)
      if (i % 4 < 3) image.data[i] += 25 * Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  }
  if (task === "deblock") {
    const canvas = await scaled(image, 1);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.1));
    const bitmap = await createImageBitmap(blob);
    image = pixelsOf(width, height, (context) => context.drawImage(bitmap, 0, 0));
  }
  take(image);
}

function listModels() {
  const found = MODELS.filter((one) => one.task === $("task").value);
  $("model").replaceChildren(...found.map(({ name, bytes }) => new Option(`${name}, ${kib(bytes)}`, name)));
  listScales();
}

function listScales() {
  $("scale").parentNode.hidden = isAnySize();
  $("size").parentNode.hidden = !isAnySize();
  const { scale } = MODELS.find((one) => one.name === $("model").value);
  $("scale").replaceChildren(...Array.from({ length: Math.max(1, scale - 1) }, (_, i) => new Option(`x${scale - i}`, scale - i)));
}

for (const task of new Map(MODELS.map((one) => [one.task, one.title])))
  $("task").add(new Option(task[1], task[0]));
listModels();
$("task").onchange = () => { listModels(); restore(); };
$("model").onchange = () => { listScales(); restore(); };
$("scale").onchange = $("size").onchange = restore;
$("zoom").onchange = zoom;
$("cancel").onclick = () => stop?.abort();
$("choose").onclick = () => $("file").click();
$("file").onchange = () => { open($("file").files[0]); $("file").value = ""; };
for (const button of document.querySelectorAll("[data-sample]")) button.onclick = () => sample(button.dataset.sample);
$("save").onclick = () => shown.toBlob((blob) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = "restored.png";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});

divided($("view"), $("split"), () => "before");

const holds = (event) => [...(event.dataTransfer ?? event.clipboardData)?.files ?? []].find((file) => file.type.startsWith("image/"));
addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
addEventListener("dragleave", () => $("drop").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const file = holds(event);
  file ? open(file) : report("That is no image.", true);
});
addEventListener("paste", (event) => open(holds(event)));
