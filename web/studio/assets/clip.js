// A clip to decide about: its pictures by time, one choice per track, areas for a time. See video.py.
// props.clip: {key, size: [w, h], end_s, tracks: [{number, from_s, to_s, risks, pictures: [url]}],
//              moments: [{seconds, why, url, boxes: [{track, box}]}]}
// props.value: {key, tracks: {"1": "hide"}, areas: [{x, y, width, height, from_s, to_s}]}, seconds null: to the end
const fc = window.facecloak;
const make = fc.make;
const root = element.querySelector(".fc-clip");
const t = words;
const HOWS = ["hide", "keep"];
let clip = null;
let choice = null; // what props.value will be
let here = 0; // which moment is shown

function share() {
  props.value = JSON.parse(JSON.stringify(choice));
}

// 75.25 -> "1:15.3"
function time(seconds) {
  const tenths = Math.round(10 * seconds);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
}

function build() {
  clip = props.clip;
  root.replaceChildren();
  if (!clip || !clip.key) return;
  const kept = props.value && props.value.key === clip.key ? props.value : {};
  choice = { key: clip.key, tracks: {}, areas: (kept.areas || []).map((area) => ({ ...area })) };
  for (const track of clip.tracks) choice.tracks[track.number] = (kept.tracks || {})[track.number] || "hide";
  here = 0;

  const [width, height] = clip.size;
  const picture = make("img", { draggable: "false" });
  const frame = make("div", { class: "fc-frame", "data-testid": "clip-frame" }, picture);
  frame.style.aspectRatio = `${width} / ${height}`;
  frame.style.maxWidth = `calc(62vh * ${width / height})`;
  const slider = make("input", { type: "range", class: "fc-slider", min: "0", max: String(clip.moments.length - 1), value: "0",
    step: "1", "aria-label": t.slider, oninput: () => show(Number(slider.value)) });
  const clock = make("span", { class: "fc-clock" });
  const why = make("p", { class: "fc-why", "aria-live": "polite" });
  const left = make("div", { class: "fc-picture" }, frame, make("div", { class: "fc-bar" }, slider, clock), why);
  const list = make("div", { class: "fc-list" });
  root.append(left, list);

  // --- the picture at a moment ---

  function show(index) {
    here = Math.max(0, Math.min(index, clip.moments.length - 1));
    const moment = clip.moments[here];
    const label = fc.words(t.at, { time: time(moment.seconds), end: time(clip.end_s) });
    slider.value = String(here);
    slider.setAttribute("aria-valuetext", label);
    clock.textContent = label;
    why.textContent = moment.why || "";
    picture.src = moment.url;
    picture.alt = fc.words(t.picture, { time: time(moment.seconds), count: moment.boxes.length });
    frame.querySelectorAll(".fc-face").forEach((one) => one.remove());
    for (const { track, box } of moment.boxes) {
      const [x1, y1, x2, y2] = box;
      // A shortcut for the pointer; by keyboard the same is done in the list
      const one = make("button", { class: "fc-face", type: "button", tabindex: "-1", "aria-hidden": "true", "data-track": track,
        onclick: () => { set(track, choice.tracks[track] === "hide" ? "keep" : "hide"); share(); } }, make("span", {}));
      drawing.place(one, x1, y1, x2 - x1, y2 - y1);
      frame.append(one);
      paint(track);
    }
    drawing.show(null);
  }

  function showNearest(seconds) {
    const gaps = clip.moments.map((moment) => Math.abs(moment.seconds - seconds));
    show(gaps.indexOf(Math.min(...gaps)));
  }

  const buttons = make("div", { class: "fc-many" });
  left.append(buttons);
  const risky = clip.moments.flatMap((moment, index) => (moment.why ? [index] : []));
  if (risky.length) {
    buttons.append(make("button", { class: "fc-button fc-risky", type: "button", onclick: () => {
      show(risky.find((index) => index > here) ?? risky[0]);
    } }, fc.words(t.risky, { count: risky.length })));
    slider.setAttribute("list", `moments-${clip.key}`);
    slider.after(make("datalist", { id: `moments-${clip.key}` }, ...risky.map((index) => make("option", { value: String(index) }))));
  }

  // --- tracks ---

  const name = (number) => `track-${clip.key}-${number}`;
  const paint = (number) => {
    const how = choice.tracks[number];
    for (const box of frame.querySelectorAll(`.fc-face[data-track="${number}"]`)) {
      box.dataset.how = how;
      box.title = `${fc.words(t.track, { number })}: ${t[how]}`;
      box.querySelector("span").textContent = how === "hide" ? String(number) : `${number} ${t[how]}`; // crowds have many
    }
    const radio = root.querySelector(`input[name="${name(number)}"][value="${how}"]`);
    if (radio) radio.checked = true;
  };
  const set = (number, how) => { choice.tracks[number] = how; paint(number); };
  const rows = make("div", { class: "fc-each", role: "group", "aria-label": t.tracks });
  for (const track of clip.tracks) {
    const row = make("fieldset", { class: "fc-track", "data-track": track.number },
      make("legend", {}, fc.words(t.track, { number: track.number })));
    const pictures = make("button", { class: "fc-sights", type: "button", onclick: () => showNearest(track.from_s),
      "aria-label": fc.words(t.show, { number: track.number }) });
    for (const url of track.pictures) pictures.append(make("img", { src: url, alt: "", loading: "lazy" }));
    const hows = make("div", { class: "fc-hows" });
    for (const how of HOWS) {
      hows.append(make("label", { class: "fc-how", "data-how": how },
        make("input", { type: "radio", name: name(track.number), value: how,
          onchange: () => { set(track.number, how); share(); } }),
        make("span", {}, t[how])));
    }
    row.append(make("small", { class: "fc-span" }, fc.words(t.span, { from: time(track.from_s), to: time(track.to_s) })),
      pictures, hows);
    if (track.risks.length) row.append(make("p", { class: "fc-risk" }, track.risks.join("; ")));
    rows.append(row);
  }
  const count = clip.tracks.length;
  list.append(make("p", { class: "fc-count" }, count === 0 ? t.none : fc.words(count === 1 ? t.one : t.several, { count })));
  if (count) list.append(make("p", { class: "fc-help" }, t.careful), rows);

  // --- areas that a person draws ---

  const areas = make("div", { class: "fc-areas" });
  const drawing = fc.drawing({ frame, size: clip.size, words: t, share, list: listAreas,
    boxes: () => choice.areas.map((area) => [area.x, area.y, area.width, area.height]),
    isShown: (index) => {
      const { from_s, to_s } = choice.areas[index];
      const now = clip.moments.length ? clip.moments[here].seconds : 0;
      return from_s <= now && (to_s === null || now < to_s);
    },
    name: (index) => fc.words(t.area_name, { number: index + 1 }),
    add: ([x, y, width, height]) => choice.areas.push({ x, y, width, height, from_s: 0, to_s: null }),
    change: (index, [x, y, width, height]) => Object.assign(choice.areas[index], { x, y, width, height }),
    remove: (index) => choice.areas.splice(index, 1) });
  buttons.append(drawing.draw);
  left.append(drawing.hint, areas);

  function listAreas() {
    areas.replaceChildren();
    choice.areas.forEach((area, index) => {
      const label = fc.words(t.area, { number: index + 1 });
      const seconds = (key, empty) => {
        const input = make("input", { type: "number", min: "0", max: clip.end_s.toFixed(1), step: "0.1", class: "fc-seconds",
          placeholder: key === "to_s" ? t.end : null, value: area[key] === null ? empty : String(area[key]), onchange: () => {
            const said = Number(input.value);
            const isNone = input.value === "" || !Number.isFinite(said) || said < 0;
            area[key] = isNone ? (key === "to_s" ? null : 0) : said;
            // What ends before it begins covers nothing, which nobody means
            if (area.to_s !== null && area.to_s <= area.from_s) area.to_s = null;
            listAreas();
            drawing.show(null);
            share();
          } });
        return input;
      };
      const at = (key, words) => make("button", { class: "fc-button fc-small", type: "button", onclick: () => {
        const now = clip.moments[here].seconds;
        area[key] = Math.round(10 * now) / 10;
        if (area.to_s !== null && area.to_s <= area.from_s) area[key === "from_s" ? "to_s" : "from_s"] = key === "from_s" ? null : 0;
        if (area.to_s !== null && area.to_s <= area.from_s) area.to_s = null;
        listAreas();
        drawing.show(null);
        share();
      } }, words);
      areas.append(make("fieldset", { class: "fc-track fc-area-times", "data-area": index + 1 }, make("legend", {}, label),
        make("label", {}, `${t.from} `, seconds("from_s", "0")), make("label", {}, `${t.to} `, seconds("to_s", "")),
        make("div", { class: "fc-many" }, at("from_s", t.starts), at("to_s", t.ends),
          make("button", { class: "fc-button fc-small", type: "button", onclick: () => drawing.remove(index) }, t.remove))));
    });
  }

  for (const track of clip.tracks) paint(track.number);
  listAreas();
  show(risky.length ? risky[0] : 0);
  share();
}

watch("clip", build);
build();
