// Before and after, one over the other, with a slider. props.value: {before, after, size} or null
const fc = window.facecloak;
const root = element.querySelector(".fc-compare");
const t = words;

function build() {
  root.replaceChildren();
  const pair = props.value;
  if (!pair || !pair.after) return;
  const [width, height] = pair.size;
  const frame = fc.make("div", { class: "fc-frame fc-pair" },
    fc.make("img", { src: pair.after, alt: t.after, class: "fc-after", draggable: "false" }),
    fc.make("img", { src: pair.before, alt: t.before, class: "fc-before", draggable: "false" }),
    fc.make("span", { class: "fc-tag fc-tag-before", "aria-hidden": "true" }, t.before),
    fc.make("span", { class: "fc-tag fc-tag-after", "aria-hidden": "true" }, t.after),
    fc.make("i", { class: "fc-line" }));
  frame.style.aspectRatio = `${width} / ${height}`;
  const scroller = fc.make("div", { class: "fc-scroller" }, frame);
  const slider = fc.make("input", { type: "range", min: "0", max: "100", value: "50", step: "1", "aria-label": t.slider,
    class: "fc-slider", oninput: () => frame.style.setProperty("--fc-split", `${slider.value}%`) });
  const fit = () => { frame.style.width = "100%"; frame.style.maxWidth = `calc(75vh * ${width / height})`; };
  const zoom = fc.make("button", { class: "fc-button", type: "button", "aria-pressed": "false", onclick: () => {
    const isLarge = zoom.getAttribute("aria-pressed") !== "true";
    zoom.setAttribute("aria-pressed", String(isLarge));
    if (isLarge) { frame.style.width = `${width}px`; frame.style.maxWidth = "none"; } else fit();
  } }, t.zoom);
  const drag = (event) => {
    if (!event.buttons) return;
    const edge = frame.getBoundingClientRect();
    slider.value = String(Math.round((100 * (event.clientX - edge.left)) / edge.width));
    slider.dispatchEvent(new Event("input"));
  };
  frame.addEventListener("pointerdown", drag);
  frame.addEventListener("pointermove", drag);
  fit();
  root.append(scroller, fc.make("div", { class: "fc-compare-bar" }, slider, zoom));
}

watch("value", build);
build();
