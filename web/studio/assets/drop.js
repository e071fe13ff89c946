// Files dropped, chosen or pasted -> jobs. See parts.drop.
const fc = window.facecloak;
const root = element.querySelector(".fc-drop");
const chosen = {}; // part -> File, where a button starts the upload
const jobs = [];
let queue = Promise.resolve();

const status = fc.make("ul", { class: "fc-drop-status", "aria-live": "polite" });
const zones = fc.make("div", { class: "fc-zones" });
root.append(zones);

function complain(text) {
  status.append(fc.make("li", { class: "fc-wrong", role: "alert" }, text));
}

function tooLarge(files) {
  return files.filter((file) => {
    if (file.size <= props.max_bytes) return false;
    complain(fc.words(words.too_large, { name: file.name, limit: Math.floor(props.max_bytes / 2 ** 20) }));
    return true;
  });
}

async function send(parts) {
  const name = Object.values(parts)[0].name;
  const line = fc.make("li", {}, fc.words(words.uploading, { name, percent: 0 }));
  status.append(line);
  const show = (percent) => { line.textContent = fc.words(words.uploading, { name, percent }); };
  try {
    jobs.push(await fc.handIn(props.kind, parts, show, words.no_connection));
    props.value = { jobs: [...jobs] };
    trigger("upload");
    if (!props.button) root.classList.add("fc-compact");
  } catch (error) {
    complain(fc.words(words.failed, { name, why: error.message }));
  }
  line.remove();
}

function take(part, list) {
  let files = [...list];
  if (!files.length) return;
  status.replaceChildren();
  const large = tooLarge(files);
  files = files.filter((file) => !large.includes(file));
  if (!props.several) files = files.slice(-1);
  if (!files.length) return;
  if (props.button) {
    chosen[part] = files[0];
    zones.querySelector(`[data-part="${part}"] .fc-chosen`).textContent = files[0].name;
    start.disabled = Object.keys(props.wanted).some((one) => !chosen[one]);
    return;
  }
  for (const file of files) queue = queue.then(() => send({ [part]: file }));
}

for (const [part, what] of Object.entries(props.wanted)) {
  const input = fc.make("input", { type: "file", accept: props.accept, multiple: props.several, class: "fc-file",
    onchange: () => { take(part, input.files); input.value = ""; } });
  const text = props.button ? words.or : words.or_paste;
  const zone = fc.make("label", { class: "fc-zone", "data-part": part }, input,
    fc.make("span", { class: "fc-button fc-primary" }, fc.words(words.choose, { what })),
    fc.make("span", { class: "fc-or" }, fc.words(text, { what })),
    fc.make("strong", { class: "fc-chosen" }));
  let inside = 0;
  zone.addEventListener("dragenter", (event) => { event.preventDefault(); inside += 1; zone.classList.add("fc-over"); });
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("dragleave", () => { inside -= 1; if (inside <= 0) zone.classList.remove("fc-over"); });
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    zone.classList.remove("fc-over");
    take(part, event.dataTransfer.files);
  });
  zones.append(zone);
}

const start = fc.make("button", { class: "fc-button fc-primary fc-send", type: "button", disabled: true, onclick: async () => {
  start.disabled = true;
  status.replaceChildren();
  await send({ ...chosen });
  start.disabled = false;
} }, props.button || "");
if (props.button) root.append(start);
if (props.help) root.append(fc.make("p", { class: "fc-help" }, props.help));
root.append(status);

if (!props.button) {
  document.addEventListener("paste", (event) => {
    if (root.offsetParent === null || !event.clipboardData) return; // another tab of the page is open
    take(Object.keys(props.wanted)[0], event.clipboardData.files);
  });
  // A file that misses the box must not replace the page
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
}
